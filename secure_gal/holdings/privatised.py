"""The sponsor's data where labels are released once, and everything that others observe comes from the releases."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from secure_gal.errors import StateError
from secure_gal.gal.ensemble import Ensemble
from secure_gal.gal.losses import Array, Loss, metric
from secure_gal.holdings.in_memory import InMemory
from secure_gal.holdings.sponsor import SponsorData
from secure_gal.labels.release import check_releases, release_once, release_path
from secure_gal.labels.schemes import ClassResponse, LabelScheme, RangeInterval, RangeResponse
from secure_gal.learners import storage
from secure_gal.settings.party import PartySettings
from secure_gal.settings.study import Protect, Study


def label_scheme(protect: Protect) -> LabelScheme:
    """The mechanism of a study with `residuals = "dp"` or `"ip"`; its settings were checked with the study."""
    epsilon, range_ = protect.epsilon, protect.label_range
    match protect.residuals:
        case "dp" if epsilon is not None and protect.classes is not None:
            return ClassResponse(epsilon, protect.classes)
        case "dp" if epsilon is not None and range_ is not None:
            return RangeResponse(epsilon, *range_)
        case "ip" if range_ is not None:
            return RangeInterval(*range_)
        case _:
            raise StateError(f"residuals = {protect.residuals!r} with these settings releases no label")


def check_known_labels(party: PartySettings, study: Study, ids: Sequence[str], labels: int = 1) -> None:
    """Look, before anything is sent, whether these people's labels were released before in a way that this would add
    to.

    Raises:
        SettingsError: they were; names the file and what to do.
    """
    path, ids_as = _releases(party, study)
    check_releases(path, label_scheme(study.protect), ids, ids_as, labels)


def _releases(party: PartySettings, study: Study) -> tuple[Path, str]:
    """The file of the sponsor's label, and how ids are written."""
    if party.data.label is None:
        raise StateError("the sponsor's settings were read without a label")
    columns = party.data.id if isinstance(party.data.id, str) else ", ".join(party.data.id)
    return release_path(party.home, party.data.label), f"of {columns}, compared as {study.form or 'written'}"


class PrivatisedSponsorData(SponsorData):
    """`SponsorData` that learns from released labels; true labels are only compared with F, at the sponsor.

    Args:
        labels: of one person that may ever be released.

    Raises:
        DataError: a label of the table is none of the study's classes, or no number.
        SettingsError: someone's label was released before in another way or under other names.
    """

    def __init__(
        self,
        party: PartySettings,
        study: Study,
        folder: Path,
        warn: Callable[[str], None],
        labels: int = 1,
        *,
        memory: InMemory | None = None,
    ) -> None:
        super().__init__(party, study, folder, warn, memory=memory)
        self._scheme, self._labels = label_scheme(study.protect), labels
        check_known_labels(party, study, self.ids, labels)
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
        path, ids_as = _releases(self._party, self._study)
        released = release_once(path, self._scheme, ids, chosen, ids_as, self._labels)
        self.codec, self.y, self._loss = self._scheme.training(released, train, self._study.loss_name)
        self.train, self.rows, self._truth = train, rows, self.codec.encode(chosen)
        self._warn_of_split(chosen, train)
        encoder = self._encode(rows, train) if self.fits else None
        return storage.dump((encoder, self.codec))

    def ensemble(self, parties: tuple[str, ...]) -> Ensemble:
        """A new ensemble at F^0, on released labels and the loss that suits them."""
        if self._loss is None:
            raise StateError("an ensemble was asked for before the labels were released")
        return self._ensemble(parties, self._loss)

    @property
    def _true_labels(self) -> npt.NDArray[Any]:
        if self._truth is None:
            raise StateError("an evaluation was asked for before the labels were released")
        return self._truth

    def true_metric(self, outputs: Array) -> float | None:
        """The metric of F (N, K) on true labels, of held-out rows or else of the cross-fitted training rows: for the
        sponsor's eyes, it decides nothing."""
        held_out = ~self.train
        rows = held_out if held_out.any() else self.train
        if self._truth is None or not (held_out.any() or self._study.cross_fitted):
            return None
        return metric(self._study.task, self._truth[rows], outputs[rows])
