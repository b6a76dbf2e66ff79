"""One party's holding in this process: the rows of its block behind the same objects as a table on a disk."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl

from secure_gal.data.arrays import ArrayRows
from secure_gal.data.raw import Raw
from secure_gal.data.schema import Schema
from secure_gal.data.table import Table, table_of
from secure_gal.errors import DataError
from secure_gal.estimator.blocks import Block
from secure_gal.holdings.in_memory import InMemory
from secure_gal.learners.base import Learner
from secure_gal.settings.classes import Label
from secure_gal.settings.party import DataSettings, LearnerSettings, PartySettings
from secure_gal.settings.report import ReportSettings
from secure_gal.settings.study import Study

ID, LABEL, WEIGHT = "#id", "#label", "#weight"
"""Columns beside the features; a row's id is its place."""
NOWHERE = Path("/nonexistent")


@dataclass(frozen=True, slots=True)
class Target:
    """The sponsor's labels, and weights of its rows where there are any."""

    labels: list[Label] = field(repr=False)
    weights: npt.NDArray[np.float64] | None = field(default=None, repr=False)


def ids_of(rows: int) -> tuple[str, ...]:
    """What the rows are called in a study of this process."""
    return tuple(map(str, range(rows)))


def settings_for(block: Block, learner: LearnerSettings, study: Study, home: Path = NOWHERE) -> PartySettings:
    """What the party's file would say."""
    sponsor = block.party == study.sponsor
    weighted = sponsor and study.row_weights == "sponsor"
    data = DataSettings(Path(block.where), ID, LABEL if sponsor else None, weight=WEIGHT if weighted else None)
    return PartySettings(
        NOWHERE, block.party, home, NOWHERE, data, learner=learner, report=ReportSettings(own_model=False)
    )


def in_memory(
    block: Block,
    party: PartySettings,
    study: Study,
    *,
    schema: Schema | None = None,
    learner: Learner | None = None,
    target: Target | None = None,
    to_learn: bool,
) -> InMemory:
    """The block's rows, read by a schema, or by the one that is decided when they are read to learn from.

    Args:
        learner: an object of one's own.
        target: of the sponsor's rows to learn from.
    """

    def read(known: Schema | None) -> Table:
        return _table(block, party.data, study, known, target, to_learn)

    return InMemory(read, schema, learner, secrets.token_bytes(32))


def _table(
    block: Block, data: DataSettings, study: Study, schema: Schema | None, target: Target | None, to_learn: bool
) -> Table:
    if isinstance(block.rows, ArrayRows):
        ids = list(ids_of(block.count))
        labels, weights = (None, None) if target is None else (target.labels, target.weights)
        return Table(ids, block.rows, labels, Path(block.where), pl.DataFrame({ID: ids}), weights=weights)
    beside: dict[str, Sequence[object]] = {ID: list(ids_of(block.count))}
    if target is not None:
        beside[LABEL] = target.labels
        if target.weights is not None:
            beside[WEIGHT] = target.weights.tolist()
    if taken := {ID, LABEL, WEIGHT} & set(block.columns):
        raise DataError(block.where, f"has a column {min(taken)!r}, a name that is taken: rename it")
    known = () if schema is None else [field.name for field in schema.features if field.name != WEIGHT]
    if absent := [name for name in known if name not in block.columns]:
        raise DataError(block.where, f"has no column {', '.join(map(repr, absent[:10]))}, which was learnt from")
    raw = pl.DataFrame(beside).hstack(block.rows.get_columns())
    return table_of(Raw(raw), data, study.form, schema=schema, labelled=to_learn, task=study.task)


Warn = Callable[[str], None]
