"""The sponsor's labels where they are released once."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from secure_gal.data.table import Table
from secure_gal.errors import StateError
from secure_gal.holdings.labels import Target, labels_of
from secure_gal.labels.release import check_releases, release_once, release_path
from secure_gal.labels.schemes import ClassResponse, LabelScheme, RangeInterval, RangeResponse
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


class ReleasedLabels:
    """Labels that are released once; everything that others observe comes from the releases, and true labels are only
    compared with F, at the sponsor.

    Args:
        most: labels of one person that may ever be released.
    """

    def __init__(self, party: PartySettings, study: Study, most: int = 1) -> None:
        self._party, self._study, self._most = party, study, most
        self._scheme = label_scheme(study.protect)

    def check(self, table: Table) -> str:
        """As `Labels.check`.

        Raises:
            DataError: a label of the table is none of the study's classes, or no number.
            SettingsError: someone's label was released before in another way or under other names.
        """
        check_known_labels(self._party, self._study, table.ids, self._most)
        return self._scheme.check(table.labels or ())

    def target(self, table: Table, rows: npt.NDArray[np.int64], train: npt.NDArray[np.bool_]) -> Target:
        """Release labels that were not released before; the label coding is fitted to the releases."""
        chosen, ids = labels_of(table, rows), [table.ids[i] for i in rows.tolist()]
        path, ids_as = _releases(self._party, self._study)
        released = release_once(path, self._scheme, ids, chosen, ids_as, self._most)
        codec, y, loss = self._scheme.training(released, train, self._study.loss_name)
        return Target(codec, y, loss, truth=codec.encode(chosen))
