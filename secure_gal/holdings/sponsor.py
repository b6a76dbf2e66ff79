"""The sponsor's table or arrays, label, encoder and learner behind the protocol objects."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from secure_gal.data.encode import LabelCodec
from secure_gal.data.label_form import unevenly_split
from secure_gal.errors import DataError, StateError
from secure_gal.gal import coefficients
from secure_gal.gal.doubt import told_rows
from secure_gal.gal.ensemble import Ensemble
from secure_gal.gal.losses import metric
from secure_gal.holdings import own_model
from secure_gal.holdings.evaluating import Alone, BestOwn, Held, best_own, evaluation_of, measured_alone
from secure_gal.holdings.groups import group_levels
from secure_gal.holdings.in_memory import InMemory
from secure_gal.holdings.labels import Labels, Target, TrueLabels, labels_of
from secure_gal.holdings.party import PartyHolding
from secure_gal.learners import storage
from secure_gal.learners.base import Model
from secure_gal.learners.cross_fit import folds_for
from secure_gal.learners.linear import LinearLearner
from secure_gal.learners.shared import SharedLearner
from secure_gal.measures.evaluation import Evaluation
from secure_gal.settings.party import PartySettings
from secure_gal.settings.study import Study


class SponsorData(PartyHolding):
    """The sponsor's side: features, if any, and the label.

    Args:
        labels: that a mode of protection learns from (`secure_gal.protection.sponsor_data`); by default the true ones.

    Raises:
        DataError, SettingsError: as `Labels.check`.
    """

    codec: LabelCodec
    y: npt.NDArray[Any]
    train: npt.NDArray[np.bool_]
    rows: npt.NDArray[np.int64]

    def __init__(
        self,
        party: PartySettings,
        study: Study,
        folder: Path,
        warn: Callable[[str], None],
        *,
        memory: InMemory | None = None,
        labels: Labels | None = None,
    ) -> None:
        super().__init__(party, study, folder, warn, memory=memory)
        self._labels = labels or TrueLabels(party, study)
        self._target: Target | None = None
        self._best_own: BestOwn | None = None
        self._alone: Ensemble | None = None
        self._measured_alone: Alone | None = None
        self._fitting = threading.Lock()
        if known := self._labels.check(self.table):
            warn(known)

    def prepare(self, rows: npt.NDArray[np.int64], train: npt.NDArray[np.bool_]) -> bytes:
        """Fit encoder and label coding; returns both for prediction."""
        target = self._target = self._labels.target(self.table, rows, train)
        self.codec, self.y, self.train, self.rows = target.codec, target.y, train, rows
        self._best_own = self._alone = self._measured_alone = None
        if self.study.task == "classification":
            chosen = labels_of(self.table, rows)
            for text in unevenly_split(chosen, {"training": train, "validation": ~train}):
                self.warn(text)
        encoder = self.encode(rows, train) if self.fits else None
        return storage.dump((encoder, self.codec))

    def _numbers(self, part: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """The sponsor's own part (n, K) as it is; DataError where the learner has none for a row."""
        none = np.isnan(part).any(axis=1)
        if none.any():
            raise DataError(
                "[learner]",
                f"{int(none.sum())} rows, the first of them row {int(none.argmax()) + 1}, have values so far from all "
                "that were learnt from that the learner has no number for them; correct them, or leave these rows out",
            )
        return part

    def ensemble(self, parties: tuple[str, ...]) -> Ensemble:
        """A new ensemble at F^0 over these parties."""
        study, target = self.study, self._known
        return Ensemble(
            target.loss,
            target.y,
            self.train,
            study.task,
            parties,
            study.weights,
            study.learning_rate,
            study.patience,
            study.rounds,
            self.party.learner.loss or study.local_loss,
            study.cross_fitted,
            row_weights=target.weights,
            doubted=[p for p in parties if p != self.party.party],
            partly_withheld=study.partly_withheld,
            told=told_rows(self.train, study.seed) if study.keeps_back else None,
        )

    def true_metric(self, outputs: npt.NDArray[np.float64]) -> float | None:
        """The metric of F (N, K) on true labels, where the study learns from released ones; else None.

        Of held-out rows, or else of the cross-fitted training rows: for the sponsor's eyes, it decides nothing.
        """
        truth = self._known.truth
        held_out = ~self.train
        rows = held_out if held_out.any() else self.train
        if truth is None or not (held_out.any() or self.study.cross_fitted):
            return None
        return metric(self.study.task, truth[rows], outputs[rows])

    @property
    def _known(self) -> Target:
        if self._target is None:
            raise StateError("labels were asked for before the data was prepared")
        return self._target

    def class_names(self) -> tuple[str, ...]:
        """The classes in the order of their codes; none for a regression."""
        return tuple(map(str, self.codec.classes))

    def evaluate(self, made: Ensemble, alone: Ensemble) -> Evaluation | None:
        """What `made` is worth on true labels; None without rows to judge by. Groups are read here: DataError."""
        party, study = self.party, self.study
        if made.judged is None:
            return None
        every = group_levels(self.table, party, study)
        groups = {column: [levels[i] for i in self.rows.tolist()] for column, levels in every.items()}
        return evaluation_of(self._held(groups), made, self._measured(alone), self._own(), study, party.report)

    def fit_round(
        self, round_: int, residual: npt.NDArray[np.float32], withheld: float = 1.0
    ) -> tuple[bytes, npt.NDArray[np.float32]]:
        """As `SponsorHolding.fit_round`. Its thread imports what weights are searched for with, while others fit."""
        made = super().fit_round(round_, residual, withheld)
        coefficients.load()
        return made

    @property
    def own_libraries(self) -> tuple[str, ...]:
        """As `SponsorHolding.own_libraries`."""
        if not self.fits:
            return ()
        if self.party.report.own_model:
            return own_model.LIBRARIES
        return coefficients.LIBRARIES if self._leaves_others_alone else ()

    def by_itself(self) -> None:
        """Fit the best own model on half of the cores, so that what it runs beside has the others; and learn alone
        and measure that."""
        if self.party.report.own_model:
            with own_model.half_of_the_cores():
                self._own()
        if self._leaves_others_alone:
            self._measured(self.alone())

    @property
    def _leaves_others_alone(self) -> bool:
        """Whether a fit draws nothing at random and changes nothing that another one reads."""
        return isinstance(self._learner, LinearLearner)

    def _own(self) -> BestOwn:
        """The best own model, fitted once; whoever asks for it meanwhile waits."""
        with self._fitting:
            if self._best_own is None:
                self._best_own = best_own(self._held({}), self._known.weights, self.study, self.party.report)
            return self._best_own

    def _measured(self, alone: Ensemble) -> Alone:
        """What the sponsor learnt alone, measured once; whoever asks for it meanwhile waits."""
        with self._fitting:
            if self._measured_alone is None or self._measured_alone.ensemble is not alone:
                self._measured_alone = measured_alone(self._held({}), alone, self.study, self.party.report)
            return self._measured_alone

    def _held(self, groups: Mapping[str, Sequence[str]]) -> Held:
        x = self.local.x if self.fits else None
        truth = self.y if self._known.truth is None else self._known.truth
        return Held(x, truth, self.train, self.codec, groups, self.folds)

    @property
    def folds(self) -> int | None:
        """Of its fits in cross-fitted rounds, and of its best own model; None where it has no learner."""
        return folds_for(self._learner, self.party.learner.folds, int(self.train.sum())) if self.fits else None

    def metric_unit(self) -> float:
        """The target's standard deviation for regression, its mean under a log link, else 1."""
        return self.codec.scale

    def alone(self) -> Ensemble:
        """M=1 GAL with the same learner and rounds; F^0 itself when the sponsor has no features. It is learnt once."""
        with self._fitting:
            if self._alone is None:
                self._alone = self.learn_alone(lambda round_, model: None)
            return self._alone

    def learn_alone(self, keep: Callable[[int, Model], None]) -> Ensemble:
        """The same, whose round numbers and models are handed over as they come."""
        ensemble = self.ensemble((self.party.party,))
        if self.fits and isinstance(self._learner, SharedLearner) and self._shared_file.exists():
            self._learner.resume(self._shared_file, self.trusted)  # where the run died after its last round
        while self.fits and not ensemble.finished:
            round_, withheld = len(ensemble.history) + 1, ensemble.withheld(self.party.party)
            model, fitted = self.local.fit_round(round_, ensemble.residual(), withheld)
            ensemble.commit({self.party.party: fitted})
            keep(round_, model)
        return ensemble
