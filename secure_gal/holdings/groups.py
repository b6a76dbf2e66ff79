"""Columns of the sponsor's table by which rows are told apart in its report, whether learnt from or not."""

from __future__ import annotations

from itertools import pairwise

import msgspec
import numpy as np
import polars as pl

from secure_gal.data.schema import Schema
from secure_gal.data.table import Table, read_table
from secure_gal.errors import DataError
from secure_gal.settings.party import PartySettings
from secure_gal.settings.study import Study

MISSING = "missing"
FEW_VALUES = 10
"""So many different numbers are a group each; more are told apart by quarters of the rows."""


def check_groups(table: Table, party: PartySettings) -> None:
    """DataError for a name in `[report] groups` that is no column of this table to tell rows apart by."""
    names = party.report.groups
    if names and table.schema is None:
        raise DataError("[report] groups", f"{table.path} holds arrays, which have no such columns")
    known = [f.name for f in table.schema.fields if f.role in ("feature", "left out")] if table.schema else []
    for name in names:
        if name not in known:
            raise DataError(
                "[report] groups",
                f"{name!r} is no column of {table.path} besides ids and label; accepted: {', '.join(known[:20])}",
            )


def group_levels(table: Table, party: PartySettings, study: Study) -> dict[str, list[str]]:
    """Column -> the group of each of the table's rows, in its order.

    Raises:
        DataError: the table has changed since it was read.
    """
    names, schema = party.report.groups, table.schema
    if not names or schema is None:
        return {}
    frame = table.frame
    if not isinstance(frame, pl.DataFrame) or not set(names) <= set(frame.columns):
        again = read_table(party.data, study.form, schema=_with(schema, names), task=study.task)
        if again.ids != table.ids or not isinstance(again.frame, pl.DataFrame):
            raise DataError(str(table.path), "has changed while the study went on; restore it as it was")
        frame = again.frame
    return {name: levels_of(frame[name]) for name in names}


def _with(schema: Schema, names: tuple[str, ...]) -> Schema:
    """The schema with these columns read as features are."""
    fields = tuple(msgspec.structs.replace(f, role="feature") if f.name in names else f for f in schema.fields)
    return msgspec.structs.replace(schema, fields=fields)


def levels_of(column: pl.Series) -> list[str]:
    """Texts as they are, few numbers as they are, many by quarters of the rows."""
    known = column.drop_nulls()
    if not column.dtype.is_numeric() or known.n_unique() <= FEW_VALUES:
        texts = [f"{v:g}" if isinstance(v, float) else str(v) for v in known.to_list()]
    else:
        values = known.to_numpy().astype(np.float64)
        ends = np.unique(np.quantile(values, [0.25, 0.5, 0.75, 1], method="inverted_cdf"))
        words = [f"{values.min():g} to {ends[0]:g}", *(f"above {a:g} to {b:g}" for a, b in pairwise(ends))]
        texts = [words[i] for i in np.searchsorted(ends, values).tolist()]
    rest = iter(texts)
    return [MISSING if null else next(rest) for null in column.is_null().to_list()]
