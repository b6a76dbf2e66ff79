"""The sponsor's table or arrays, label, encoder and learner behind the protocol objects."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from secure_gal.data.encode import LabelCodec
from secure_gal.data.label_form import unevenly_split
from secure_gal.data.log_codec import fit_codec
from secure_gal.errors import StateError
from secure_gal.gal.ensemble import Ensemble
from secure_gal.gal.losses import Loss, Weights, default_local_loss, get_loss
from secure_gal.holdings.evaluating import Held, evaluation_of
from secure_gal.holdings.groups import group_levels
from secure_gal.holdings.party import PartyModel
from secure_gal.labels.row_weights import row_weights
from secure_gal.learners import storage
from secure_gal.learners.base import Model
from secure_gal.learners.cross_fit import folds_for
from secure_gal.learners.shared import SharedLearner
from secure_gal.measures.evaluation import Evaluation


class SponsorData(PartyModel):
    """The sponsor's side: features, if any, and the label."""

    codec: LabelCodec
    y: npt.NDArray[Any]
    train: npt.NDArray[np.bool_]
    rows: npt.NDArray[np.int64]
    _row_weights: Weights

    def prepare(self, rows: npt.NDArray[np.int64], train: npt.NDArray[np.bool_]) -> bytes:
        """Fit encoder and label coding; returns both for prediction."""
        labels = self.table.labels
        if labels is None:
            raise StateError("the sponsor's table was read without its label")
        chosen = [labels[i] for i in rows.tolist()]
        codec = fit_codec(self._study.task, self._study.loss_name, chosen, train)
        if self._study.task == "classification":  # K is the study's, whichever classes the common rows happen to have
            codec = LabelCodec.fit(self._study.task, labels, np.ones(len(labels), dtype=np.bool_), self._classes)
        self.codec, self.y, self.train, self.rows = codec, codec.encode(chosen), train, rows
        column = None if self.table.weights is None else self.table.weights[rows]
        self._row_weights = row_weights(self._party.data, codec, self.y, train, column)
        self._warn_of_split(chosen, train)
        encoder = self._encode(rows, train) if self.fits else None
        return storage.dump((encoder, self.codec))

    @property
    def _classes(self) -> tuple[str, ...]:
        """In the schema's order; none where it has no label, or a number."""
        label = self.schema.of(self._party.data.label or "") if self.schema is not None else None
        return label.constraints.enum if label is not None else ()

    def _warn_of_split(self, labels: list[Any], train: npt.NDArray[np.bool_]) -> None:
        if self._study.task == "classification":
            for text in unevenly_split(labels, {"training": train, "validation": ~train}):
                self._warn(text)

    def ensemble(self, parties: tuple[str, ...]) -> Ensemble:
        """A new ensemble at F^0 over these parties."""
        study = self._study
        loss = get_loss(study.loss_name, self.codec.outputs, study.quantile_level)
        return self._ensemble(parties, loss, self._row_weights)

    def _ensemble(self, parties: tuple[str, ...], loss: Loss, row_weights: Weights = None) -> Ensemble:
        study = self._study
        return Ensemble(
            loss,
            self.y,
            self.train,
            study.task,
            parties,
            study.weights,
            study.learning_rate,
            study.patience,
            study.rounds,
            self._party.learner.loss or default_local_loss(study.loss_name),
            study.cross_fitted,
            row_weights=row_weights,
            doubted=[p for p in parties if p != self._party.party],
            partly_withheld=study.partly_withheld,
        )

    def true_metric(self, outputs: npt.NDArray[np.float64]) -> float | None:
        """The metric on true labels where the study learns from released ones; None where they are the same."""
        return None

    def class_names(self) -> tuple[str, ...]:
        """The classes in the order of their codes; none for a regression."""
        return tuple(map(str, self.codec.classes))

    @property
    def _true_labels(self) -> npt.NDArray[Any]:
        return self.y

    def evaluate(self, made: Ensemble, alone: Ensemble) -> Evaluation | None:
        """What `made` is worth on true labels; None without rows to judge by. Groups are read here: DataError."""
        party, study = self._party, self._study
        x = self.local.x if self.fits else None
        every = group_levels(self.table, party, study)
        groups = {column: [levels[i] for i in self.rows.tolist()] for column, levels in every.items()}
        held = Held(x, self._true_labels, self.train, self.codec, groups, self.folds)
        return evaluation_of(held, made, alone, study, party.report)

    @property
    def folds(self) -> int | None:
        """Of its fits in cross-fitted rounds, and of its best own model; None where it has no learner."""
        return folds_for(self._learner, self._party.learner.folds) if self.fits else None

    def metric_unit(self) -> float:
        """The target's standard deviation for regression, its mean under a log link, else 1."""
        return self.codec.scale

    def alone(self) -> Ensemble:
        """M=1 GAL with the same learner and rounds; F^0 itself when the sponsor has no features."""
        return self.learn_alone(lambda round_, model: None)

    def learn_alone(self, keep: Callable[[int, Model], None]) -> Ensemble:
        """The same, whose round numbers and models are handed over as they come."""
        ensemble = self.ensemble((self._party.party,))
        if self.fits and isinstance(self._learner, SharedLearner) and self._shared_file.exists():
            self._learner.resume(self._shared_file, self.trusted)  # where the run died after its last round
        while self.fits and not ensemble.finished:
            round_, withheld = len(ensemble.history) + 1, ensemble.withheld(self._party.party)
            model, fitted = self.local.fit_round(round_, ensemble.residual(), withheld)
            ensemble.commit({self._party.party: fitted})
            keep(round_, model)
        return ensemble
