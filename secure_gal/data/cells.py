"""Columns from cells that have each a type of its own, as in SQLite and in workbooks; values as they were written."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence

import polars as pl

EXACT = 1 << 53
"""Whole numbers up to this are exact in Float64."""
KINDS: dict[type, pl.DataType] = {
    bool: pl.Boolean(),
    int: pl.Int64(),
    float: pl.Float64(),
    str: pl.String(),
    dt.date: pl.Date(),
    dt.datetime: pl.Datetime("us"),
    dt.time: pl.Time(),
    dt.timedelta: pl.Duration("us"),
    bytes: pl.Binary(),
}
"""What a cell may hold, by its exact class."""


class Cells:
    """One column, filled block by block; memory is that of the values and not of Python objects.

    Args:
        whole: the source knows no whole numbers, as workbooks do not: floats that are all whole become Int64.
    """

    def __init__(self, name: str, whole: bool = False) -> None:
        self._name, self._whole = name, whole
        self._blocks: list[dict[type, pl.Series]] = []
        self._heights: list[int] = []

    def add(self, values: Sequence[object]) -> None:
        """The next cells, top to bottom: None, or of a class in `KINDS`; whole numbers of 64 bits."""
        classes = {type(value) for value in values} - {type(None)}
        self._heights.append(len(values))
        self._blocks.append({kind: _only(values, kind, alone=len(classes) == 1) for kind in classes})

    def series(self) -> pl.Series:
        """The column: of one type where its cells were (numbers are one), Datetime where some are dates, else text.

        As text, numbers are written so that reading them gives the same ones, dates as 2020-12-31 or
        2020-12-31 23:59:00. A column with bytes beside other things is Binary. One without any value is text.
        """
        kinds = {kind for block in self._blocks for kind in block}
        if bytes in kinds and len(kinds) > 1:
            return pl.Series(self._name, [b""] * sum(self._heights), dtype=pl.Binary)
        parts = {kind: self._all(kind) for kind in kinds}
        if float in parts:
            numbers = parts.pop(float)
            if int in parts:
                numbers = numbers.fill_null(parts.pop(int).cast(pl.Float64))
            parts[float] = _whole(numbers) if self._whole else numbers
        if set(parts) == {dt.date, dt.datetime}:
            return parts[dt.datetime].fill_null(parts[dt.date].cast(pl.Datetime("us")))
        if len(parts) == 1:
            return parts.popitem()[1]
        column = pl.Series(self._name, [None] * sum(self._heights), dtype=pl.String)
        for part in parts.values():
            column = column.fill_null(part.cast(pl.String))
        return column

    def _all(self, kind: type) -> pl.Series:
        """This kind's cells from top to bottom, null at all others."""
        blocks = [
            block[kind] if kind in block else pl.Series(self._name, [None] * height, dtype=KINDS[kind])
            for block, height in zip(self._blocks, self._heights, strict=True)
        ]
        return pl.concat([block.alias(self._name) for block in blocks])


def _only(values: Sequence[object], kind: type, alone: bool) -> pl.Series:
    those = values if alone else [value if type(value) is kind else None for value in values]
    return pl.Series("", those, dtype=KINDS[kind])


def _whole(numbers: pl.Series) -> pl.Series:
    if ((numbers.floor() == numbers) & (numbers.abs() <= EXACT)).all():
        return numbers.cast(pl.Int64)
    return numbers
