"""Dates as numbers: days since a day that the schema names, and parts of the date where they are asked for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, assert_never

import polars as pl

from secure_gal.errors import DataError

Part = Literal["days", "year", "month", "weekday", "hour"]
"""What becomes of a date: days since the origin (fractions where it has a time), or a part of it; Monday is 1."""
ORIGIN = "2000-01-01"
DAY_FORMATS = (
    "%Y-%m-%d",
    "%Y/%m/%d",
    "%d.%m.%Y",
    "%d/%m/%Y",
    "%m/%d/%Y",
    "%d-%m-%Y",
    "%d-%b-%Y",
    "%d %b %Y",
    "%d %B %Y",
    "%b %d, %Y",
    "%d.%m.%y",
)
TIME_FORMATS = (" %H:%M", " %H:%M:%S", " %H:%M:%S%.f", "T%H:%M", "T%H:%M:%S", "T%H:%M:%S%.f")
FORMATS = (*DAY_FORMATS, *(day + time for day in DAY_FORMATS[:5] for time in TIME_FORMATS), "%+")
"""strftime as chrono has it; `%+` is ISO 8601 with a time zone, read as UTC."""
EITHER_WAY = ("%d/%m/%Y", "%m/%d/%Y")
LOOKED_AT = 200
"""Texts that must be dates before all are tried."""


def moments(texts: pl.Series, form: str) -> pl.Series:
    """Datetime (n,) in UTC; null where a text is no date of this form.

    Raises:
        DataError: the form is none.
    """
    try:
        return _read(texts, form)
    except pl.exceptions.PolarsError as error:
        raise DataError("date format", f"{form!r}: {str(error).splitlines()[0]}; accepted: such as %d.%m.%Y") from error


def _read(texts: pl.Series, form: str) -> pl.Series:
    if form == "%+":
        return texts.str.to_datetime("%+", strict=False, time_unit="us", time_zone="UTC").dt.replace_time_zone(None)
    if "%H" in form:
        return texts.str.to_datetime(form, strict=False, time_unit="us")
    return texts.str.to_date(form, strict=False).cast(pl.Datetime("us"))


def find_forms(texts: pl.Series, known: str | None) -> list[str]:
    """The forms in which all of these different texts are dates; that of the person alone, if there is one."""
    candidates = FORMATS if known is None else (known,)
    first = texts.head(LOOKED_AT)
    likely = [form for form in candidates if not moments(first, form).has_nulls()]
    if len(texts) <= LOOKED_AT:
        return likely
    return [form for form in likely if not moments(texts, form).has_nulls()]


def one_form(forms: Sequence[str], example: str) -> tuple[str, str]:
    """(the form, why it is in doubt): day and month may be either way round in every value."""
    if set(EITHER_WAY) <= {form.split(" ")[0] for form in forms}:
        return forms[0], (
            f"{example!r} and all other values could have the day or the month first; say which: "
            '[data] date_format = "%d/%m/%Y" or "%m/%d/%Y"'
        )
    return forms[0], ""


def columns_of(name: str, when: pl.Series, parts: Sequence[Part], origin: str) -> list[pl.Series]:
    """Float64 columns of a date, in the order of `parts`: `name`, or `name.month` for a part; null where missing.

    Raises:
        DataError: the origin is no date.
    """
    try:
        zero = pl.Series([origin]).str.to_date("%Y-%m-%d")[0]
    except pl.exceptions.PolarsError:
        raise DataError(
            f"column {name!r} of the schema", f"origin = {origin!r}; accepted: a date such as {ORIGIN}"
        ) from None
    found = []
    for part in parts:
        match part:
            case "days":
                values = (when - pl.Series([zero]).cast(pl.Datetime("us"))).dt.total_microseconds() / 86_400e6
            case "year":
                values = when.dt.year()
            case "month":
                values = when.dt.month()
            case "weekday":
                values = when.dt.weekday()
            case "hour":
                values = when.dt.hour()
            case _:
                assert_never(part)
        found.append(values.cast(pl.Float64).alias(name if part == "days" else f"{name}.{part}"))
    return found
