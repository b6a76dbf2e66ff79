"""The sponsor's data where labels are released once, and everything that others observe comes from the releases."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from secure_gal.assistance import Ensemble
from secure_gal.errors import StateError
from secure_gal.label_privacy import ClassResponse, LabelScheme, RangeInterval, RangeResponse
from secure_gal.label_release import release_once
from secure_gal.learners import storage
from secure_gal.losses import Array, Loss, default_local_loss, metric
from secure_gal.party_model import SponsorData
from secure_gal.study import PartySettings, Protect, Study


def label_scheme(protect: Protect) -> LabelScheme:
    """The mechanism of a study with `residuals = "dp"` or `"ip"`; its settings were checked with the study."""
    if protect.classes is not None and protect.epsilon is not None:
        return ClassResponse(protect.epsilon, protect.classes)
    if protect.label_range is None:
        raise StateError("a privatised study without classes or a label range")
    low, high = protect.label_range
    return RangeInterval(low, high) if protect.epsilon is None else RangeResponse(protect.epsilon, low, high)


class PrivatisedSponsorData(SponsorData):
    """`SponsorData` that learns from released labels; true labels are only compared with F, at the sponsor.

    Raises:
        DataError: a label of the table is none of the study's classes, or no number.
    """

    def __init__(self, party: PartySettings, study: Study, folder: Path, warn: Callable[[str], None]) -> None:
        super().__init__(party, study, folder, warn)
        self._scheme = label_scheme(study.protect)
        if known := self._scheme.check(self.table.labels or ()):
            warn(known)
        self._loss: Loss | None = None
        self._truth: npt.NDArray[Any] | None = None

    def prepare(self, rows: npt.NDArray[np.int64], train: npt.NDArray[np.bool_]) -> bytes:
        """Release labels that were not released before; fit encoder and label coding to the releases."""
        if self.table.labels is None:
            raise StateError("the sponsor's table was read without its label")
        chosen = [self.table.labels[i] for i in rows.tolist()]
        ids = [self.ids[i] for i in rows.tolist()]
        path = self._party.home / "releases" / f"{self._party.data.label}.json"
        columns = self._party.data.id if isinstance(self._party.data.id, str) else ", ".join(self._party.data.id)
        ids_as = f"of {columns}, compared as {self._study.form or 'written'}"
        released = release_once(path, self._scheme, ids, chosen, ids_as)
        self.codec, self.y, self._loss = self._scheme.training(released, train, self._study.loss_name)
        self.train, self._truth = train, self.codec.encode(chosen)
        encoder = self._encode(rows, train) if self.fits else None
        return storage.dump((encoder, self.codec))

    def ensemble(self, parties: tuple[str, ...]) -> Ensemble:
        """A new ensemble at F^0, on released labels and the loss that suits them."""
        study = self._study
        if self._loss is None:
            raise StateError("an ensemble was asked for before the labels were released")
        return Ensemble(
            self._loss, self.y, self.train, study.task, parties, study.weights, study.learning_rate, study.patience,
            study.rounds, self._party.learner.loss or default_local_loss(study.loss_name),
        )  # fmt: skip

    def true_metric(self, outputs: Array) -> float | None:
        """The metric of F (N, K) on the validation rows' true labels: for the sponsor's eyes, it decides nothing."""
        rows = ~self.train
        if self._truth is None or not rows.any():
            return None
        return metric(self._study.task, self._truth[rows], outputs[rows])
