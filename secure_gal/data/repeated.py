"""Ids that stand in several rows: counted and refused, or one row made of each, as `[data] repeated` says."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import assert_never

import polars as pl

from secure_gal.errors import DataError
from secure_gal.settings.party import Repeated

MOST_ROWS = 5
"""Row numbers that a message lists."""
HOW_TO_ALLOW = (
    'keep one row an id, or let [data] repeated say what to make of them: "first" takes the first row of each, "mean" '
    "the mean of its numbers and the most frequent of its categories (then all its labels must be the same)"
)
_ROW, _ID = "\0row", "\0id"
"""Columns beside the table's own, whose names no file can have."""


@dataclass(frozen=True, slots=True)
class Repeats:
    """Ids that stand more than once: how many, in how many rows in all, and the rows (from 0) of the one that comes
    first."""

    ids: int
    rows: int
    first: tuple[int, ...]


def find_repeats(ids: Sequence[str]) -> Repeats | None:
    """Which of the ids (N,) stand more than once; None if each stands once."""
    if len({*ids}) == len(ids):
        return None
    counts = {entity: count for entity, count in Counter(ids).items() if count > 1}
    first = next(iter(counts))  # a dict keeps the order in which ids came
    rows = tuple(row for row, entity in enumerate(ids) if entity == first)
    return Repeats(len(counts), sum(counts.values()), rows)


def refuse_repeats(found: Repeats, columns: Sequence[Sequence[object]], form: str | None, where: str) -> None:
    """Say which ids stand more than once.

    Args:
        columns: the id columns as they are written.
        form: the rule under which ids are compared; None where they are compared as they are written.

    Raises:
        DataError: always; rows count from 1.
    """
    written = [", ".join(repr(column[row]) for column in columns) for row in found.first]
    alike = len({*written}) == 1
    rows = f"in rows {rows_in_words(found.first)}"
    first = f"the first, {written[0]}, {rows}"
    if not alike:
        other = next(text for text in written if text != written[0])
        first = f"the first {rows}: {written[0]} and {other} stand for one id under the rule {form!r}"
    many = "1 id stands" if found.ids == 1 else f"{found.ids:,} ids stand"
    raise DataError(where, f"{many} more than once, in {found.rows:,} rows in all; {first}; {HOW_TO_ALLOW}")


def rows_in_words(rows: Sequence[int]) -> str:
    """Numbers of rows that are counted from 0, as a person counts them."""
    more = f" and {len(rows) - MOST_ROWS} more" if len(rows) > MOST_ROWS else ""
    return ", ".join(str(row + 1) for row in rows[:MOST_ROWS]) + more


@dataclass(frozen=True, slots=True)
class Resolved:
    """One row an id, in the order in which ids first came.

    Attributes:
        frame: as it was given, with the rows of an id made into one; numbers are float64 where a mean was taken.
        rows: of each, the number of the first row that it was made of, from 0.
        said: what was done, for a person; empty if no id stood more than once.
    """

    frame: pl.DataFrame
    rows: list[int]
    said: str


def resolve_repeated(
    frame: pl.DataFrame, ids: Sequence[str], how: Repeated, label: str | None, classes: bool, where: str
) -> Resolved:
    """Make one row of all rows that have one id.

    Args:
        frame: N rows with their types: numbers and dates are averaged, everything else is a category. A missing value
            counts for nothing, and stays where an id has no other.
        ids: (N,) as they are compared.
        label: its column in `frame`, where there is one.
        classes: whether the label names classes: those of one id must agree. A target is averaged as any number.
        where: the file, for messages.

    Raises:
        DataError: "mean" where one id has labels of two classes; names its rows, from 1.
    """
    found = find_repeats(ids)
    first = pl.Series(_ID, ids).to_frame().with_row_index(_ROW).unique(_ID, keep="first", maintain_order=True)[_ROW]
    rows = first.to_list()
    if found is None:
        return Resolved(frame, rows, "")
    said = f"{found.ids:,} ids stood more than once, in {found.rows:,} rows in all: "
    match how:
        case "first":
            return Resolved(frame[rows], rows, f"{said}the first row of each was taken, {_left(frame, rows)} left out")
        case "mean":
            table = frame.with_columns(pl.Series(_ID, ids)).with_row_index(_ROW)
            if label is not None and classes:
                _check_labels(table, label, where)
            parts = [
                _averaged(table, name) if _is_number(frame[name]) else _commonest(table, name) for name in frame.columns
            ]
            made = (
                f"{said}numbers became their mean, categories the most frequent value (the first of those as frequent)"
            )
            return Resolved(pl.DataFrame(parts), rows, made)
        case _:
            assert_never(how)


def _left(frame: pl.DataFrame, rows: Sequence[int]) -> str:
    left = frame.height - len(rows)
    return "1 row is" if left == 1 else f"{left:,} rows are"


def _is_number(column: pl.Series) -> bool:
    return column.dtype.is_numeric() or column.dtype.is_temporal()


def _averaged(table: pl.DataFrame, name: str) -> pl.Series:
    """The mean of an id's values that are there; whole days of dates."""
    kind, value = table[name].dtype, pl.col(name)
    there = value.fill_nan(None) if kind.is_float() else value
    means = table.group_by(_ID, maintain_order=True).agg(there.mean())[name]
    return means.cast(kind) if kind.is_temporal() else means.cast(pl.Float64)


def _commonest(table: pl.DataFrame, name: str) -> pl.Series:
    """The most frequent of an id's values that are there; of those as frequent, the one that comes first."""
    counted = (
        table.filter(pl.col(name).is_not_null())
        .group_by(_ID, name, maintain_order=True)
        .agg(pl.len().alias("\0count"), pl.col(_ROW).min())
        .sort(["\0count", _ROW], descending=[True, False])
        .unique(_ID, keep="first", maintain_order=True)
    )
    order = table.select(_ID).unique(maintain_order=True)
    return order.join(counted, on=_ID, how="left", maintain_order="left")[name]


def _check_labels(table: pl.DataFrame, label: str, where: str) -> None:
    unlike = table.group_by(_ID, maintain_order=True).agg(pl.col(label).n_unique() > 1, pl.col(_ROW))
    wrong = unlike.filter(pl.col(label))
    if not wrong.height:
        return
    rows = wrong[_ROW][0].to_list()
    labels = ", ".join(map(repr, table[label][rows].unique(maintain_order=True).to_list()))
    many = "1 id has" if wrong.height == 1 else f"{wrong.height:,} ids have"
    raise DataError(
        where,
        f"{many} rows with different labels in column {label!r}; the first in rows {rows_in_words(rows)}, labelled "
        f"{labels}. There is no mean of classes: correct them, keep one row an id, or set [data] repeated to "
        '"first"',
    )
