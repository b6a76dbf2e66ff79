"""What the sponsor learns from: its labels, coded."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from secure_gal.data.encode import LabelCodec
from secure_gal.data.log_codec import fit_codec
from secure_gal.data.table import Table
from secure_gal.errors import StateError
from secure_gal.gal.losses import Loss, Weights, get_loss
from secure_gal.labels.row_weights import row_weights
from secure_gal.settings.classes import Label
from secure_gal.settings.party import PartySettings
from secure_gal.settings.study import Study


@dataclass(frozen=True, slots=True)
class Target:
    """Labels of the study's rows, in study order.

    Attributes:
        y: as `Ensemble` takes them; loss: that suits them.
        weights: of the rows (N,); None: equal.
        truth: where y are made from released labels, what the true ones would be.
    """

    codec: LabelCodec
    y: npt.NDArray[Any] = field(repr=False)
    loss: Loss
    weights: Weights = field(default=None, repr=False)
    truth: npt.NDArray[Any] | None = field(default=None, repr=False)


class Labels(Protocol):
    """The sponsor's labels."""

    def check(self, table: Table) -> str:
        """What a person should know of them, before anything is sent; DataError, SettingsError."""
        ...

    def target(self, table: Table, rows: npt.NDArray[np.int64], train: npt.NDArray[np.bool_]) -> Target:
        """What is learnt from: of these rows of the table (N,), whose training mask is `train`."""
        ...


class TrueLabels:
    """The labels as they are."""

    def __init__(self, party: PartySettings, study: Study) -> None:
        self._party, self._study = party, study

    def check(self, table: Table) -> str:
        """Nothing is said of them."""
        return ""

    def target(self, table: Table, rows: npt.NDArray[np.int64], train: npt.NDArray[np.bool_]) -> Target:
        """As `Labels.target`."""
        study, chosen = self._study, labels_of(table, rows)
        codec = fit_codec(study.task, study.loss_name, chosen, train)
        if study.task == "classification":  # K is the study's, whichever classes the common rows happen to have
            every = all_labels(table)
            codec = LabelCodec.fit(study.task, every, np.ones(len(every), dtype=np.bool_), self._classes(table))
        y = codec.encode(chosen)
        column = None if table.weights is None else table.weights[rows]
        weights = row_weights(self._party.data, codec, y, train, column)
        return Target(codec, y, get_loss(study.loss_name, codec.outputs, study.quantile_level), weights)

    def _classes(self, table: Table) -> tuple[str, ...]:
        """In the schema's order; none where it has no label, or a number."""
        label = table.schema.of(self._party.data.label or "") if table.schema is not None else None
        return label.constraints.enum if label is not None else ()


def all_labels(table: Table) -> list[Label]:
    """The labels of every row, as the table has them."""
    if table.labels is None:
        raise StateError("the sponsor's table was read without its label")
    return table.labels


def labels_of(table: Table, rows: npt.NDArray[np.int64]) -> list[Label]:
    """Those of these rows, in their order."""
    labels = all_labels(table)
    return [labels[i] for i in rows.tolist()]
