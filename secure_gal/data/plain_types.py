"""The columns of a file or database that comes with types, as the few types that the rest of the program knows."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import NamedTuple

import polars as pl

from secure_gal.errors import DataError

FIRST_DAY, LAST_DAY = -719_162, 2_932_896
"""Days since 1970 of the years 1 and 9999, beyond which neither Python nor a person's table has dates."""
MICROSECONDS_A_DAY = 86_400_000_000
SIGNED = (pl.Int8, pl.Int16, pl.Int32, pl.Int64)
UNSIGNED = (pl.UInt8, pl.UInt16, pl.UInt32)
WIDE = ("whole numbers of more than 64 bits", "write it as text if it is an id, else as floating-point numbers")
IN_WORDS: dict[type[pl.DataType], tuple[str, str]] = {
    pl.Time: ("times of day", "write it as a number, such as hours since midnight"),
    pl.Duration: ("durations", "write it as a number, such as hours"),
    pl.List: ("lists of values", "write one column a value"),
    pl.Array: ("lists of values", "write one column a value"),
    pl.Struct: ("records of several fields", "write one column a field"),
    pl.Decimal: (
        "decimals",
        "write it as floating-point numbers (in SQL: CAST(... AS DOUBLE)), or as whole numbers or text if it is a code",
    ),
    pl.Binary: ("bytes", "write it as text or numbers"),
    pl.Object: ("objects that are no values", "write it as text or numbers"),
    pl.Int128: WIDE,
    pl.UInt128: WIDE,
}
"""What a type that is refused holds, and how to write it instead."""


class Taken(NamedTuple):
    """What was read of a source with types: the columns that take part, and the names of all others it has."""

    frame: pl.DataFrame
    others: list[str]


def plain_columns(frame: pl.DataFrame, where: str) -> pl.DataFrame:
    """All columns in plain types.

    Args:
        frame: N rows as Parquet, a database or a workbook gave them.
        where: the file or setting, for errors.

    Returns:
        N rows of Float64, Int64, UInt64 (where it was that), Boolean, String, Date and Datetime. A Datetime is in
        microseconds, without a zone, and in UTC where it had one. Categories are text.

    Raises:
        DataError: a column has another type, or a date outside the years 1 to 9999.
    """
    return pl.DataFrame([_plain(column, where) for column in frame])


def chosen(names: Sequence[str], taken: Collection[str] | None) -> tuple[list[str], list[str]]:
    """(those of the names that take part, None for all; the others), in their order."""
    mine = set(names if taken is None else taken)
    return [name for name in names if name in mine], [name for name in names if name not in mine]


def check_names(names: Sequence[str], where: str) -> None:
    """Every column of a header or a query has a name of its own; DataError."""
    before: set[str] = set()
    for number, name in enumerate(names, 1):
        if not name.strip():
            raise DataError(where, f"column {number} has no name; give it one")
        if name in before:
            raise DataError(where, f"has more than one column {name!r}; rename or remove one")
        before.add(name)


def refused(where: str, column: str, holds: str, rewrite: str) -> DataError:
    """The error for a column of a type that no learner takes."""
    return DataError(
        where,
        f"column {column!r} holds {holds}, which cannot take part; {rewrite}, or leave the column out with "
        "`[data] columns`",
    )


def nearest(numbers: pl.Series) -> pl.Series:
    """Whole numbers (Int64) where all are written without a point and fit, else the nearest Float64; from text.

    By way of text, since a division of the unscaled number would round twice.
    """
    if not numbers.str.contains(r"[^0-9-]").any():
        whole = numbers.cast(pl.Int64, strict=False)
        if whole.null_count() == numbers.null_count():
            return whole
    return numbers.cast(pl.Float64)


def _plain(column: pl.Series, where: str) -> pl.Series:
    kind = column.dtype
    if kind in SIGNED or kind in UNSIGNED:
        return column.cast(pl.Int64)
    if kind in (pl.UInt64, pl.Boolean, pl.String):
        return column
    if kind.is_float():
        return column.cast(pl.Float64)
    if kind in (pl.Categorical, pl.Enum, pl.Null):  # Null: what pandas writes for a column without any value
        return column.cast(pl.String)
    if kind == pl.Date:
        return _within(column, column.to_physical(), FIRST_DAY, LAST_DAY, where)
    if isinstance(kind, pl.Datetime):
        return _naive(column, kind, where)
    holds, rewrite = IN_WORDS.get(kind.base_type(), (f"values of the type {kind}", "write it as text or numbers"))
    raise refused(where, column.name, holds, rewrite)


def _naive(column: pl.Series, kind: pl.Datetime, where: str) -> pl.Series:
    """Timestamps count from 1970 in UTC, whatever zone they are shown in: the zone is left off, not the count moved."""
    count = column.to_physical()
    divisor, factor = {"ns": (1000, 1), "us": (1, 1), "ms": (1, 1000)}[kind.time_unit]
    lowest, beyond = FIRST_DAY * MICROSECONDS_A_DAY, (LAST_DAY + 1) * MICROSECONDS_A_DAY
    _within(column, count // divisor, -(-lowest // factor), (beyond - 1) // factor, where)
    return (count // divisor * factor).cast(pl.Datetime("us"))


def _within(column: pl.Series, count: pl.Series, lowest: int, highest: int, where: str) -> pl.Series:
    outside = (count < lowest) | (count > highest)
    if outside.any():
        raise DataError(
            where,
            f"row {1 + int(outside.arg_max() or 0)} of column {column.name!r} has a date outside the years 1 to 9999 "
            "(databases write `infinity` so); leave that cell empty",
        )
    return column
