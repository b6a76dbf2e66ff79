"""Which columns may be ids: text, whole numbers and days; anything else is refused by name, with the fix.

A floating-point number is no id. It is written in several ways (1001, 1001.0, 1.001e3), has lost the zeros that stood
at its front, and above 2^53 has lost digits; another party's table has the number as it was. Such columns come of tools
that turn whole numbers with a gap among them into floating point, so text that such a tool wrote is refused as well.
"""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from secure_gal.errors import DataError

AS_TEXT = (
    "write the column as text where the table is made (in pandas: read it with dtype=str, or "
    '.astype("Int64").astype("string"))'
)
_WHOLE_AS_FLOAT = r"^[+-]?[0-9]+\.0+$"
_WHOLE = r"^[+-]?[0-9]+(\.0+)?$"
_SCIENTIFIC = r"^[+-]?[0-9](\.[0-9]+)?[eE]\+[0-9]{2,3}$"
"""As spreadsheets show long numbers."""


def id_texts(frame: pl.DataFrame, columns: Sequence[str], where: str) -> pl.DataFrame:
    """The id columns of a table as text: whole numbers in decimal, days as YYYY-MM-DD, text as it is.

    Args:
        columns: of `frame`, N rows.
        where: the file, for messages.

    Raises:
        DataError: a column's type cannot be an id, or its text is a floating-point number's; names column, type or row
            (from 1), and the fix.
    """
    for name in columns:
        _check_type(frame[name], where)
    texts = frame.select(pl.col(columns).cast(pl.String))
    for name in columns:
        _check_text(texts[name], where)
    return texts


def _check_type(column: pl.Series, where: str) -> None:
    kind = column.dtype
    if kind.is_integer() or kind in (pl.String, pl.Categorical, pl.Enum, pl.Date, pl.Null):
        return  # a column of nothing is refused for its missing ids
    about = f"the id column {column.name!r} has the type {str(kind).lower()}"
    there = column.drop_nulls()
    shown = f" (the first is {there[0]!r})" if len(there) and not kind.is_nested() else ""
    if kind.is_float() or kind.is_decimal():
        raise DataError(
            where,
            f"{about}{shown}; a number with a fraction is no id, since it is written in many ways and loses digits and "
            f"the zeros at its front: {AS_TEXT}",
        )
    day = "; write the day alone, as a date or as text" if kind == pl.Datetime else f": {AS_TEXT}"
    raise DataError(where, f"{about}{shown}; ids are text, whole numbers or days{day}")


def _check_text(column: pl.Series, where: str) -> None:
    there = column.drop_nulls().str.strip_chars()
    floats = column.str.strip_chars().str.contains(_WHOLE_AS_FLOAT)
    if floats.any() and there.str.contains(_WHOLE).all():
        row = int(floats.fill_null(False).arg_max() or 0)
        raise DataError(
            where,
            f"row {row + 1} has {column[row]!r} in the id column {column.name!r}: a whole number that was written as "
            f"floating point, which another party's table does not have so; {AS_TEXT}",
        )
    powers = column.str.strip_chars().str.contains(_SCIENTIFIC).fill_null(False)
    if powers.any():
        row = int(powers.arg_max() or 0)
        raise DataError(
            where,
            f"row {row + 1} has {column[row]!r} in the id column {column.name!r}: a long number whose digits a "
            "spreadsheet has left out; export the table anew with that column formatted as text",
        )
