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
    "%d/%m/%y",
    "%m/%d/%y",
    "%d-%m-%y",
    "%d-%b-%y",
)
TIME_FORMATS = (
    *(" %H:%M", " %H:%M:%S", " %H:%M:%S%.f", "T%H:%M", "T%H:%M:%S", "T%H:%M:%S%.f"),
    *(" %I:%M %p", " %I:%M:%S %p"),
)
ZONED = ("%+", "%Y-%m-%d %H:%M:%S%#z", "%Y-%m-%d %H:%M:%S%.f%#z")
FORMATS = (*DAY_FORMATS, *(day + time for day in DAY_FORMATS[:5] for time in TIME_FORMATS), *ZONED)
"""strftime as chrono has it; those with a time zone (`%+` is ISO 8601, the others are PostgreSQL's) are read as UTC."""
EITHER_WAY = ("%d/%m/", "%m/%d/")
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
    if "%Y" in form:  # chrono takes 64 for the year 64
        texts = texts.set(~texts.str.contains(r"\d{4}").fill_null(True), None)
    if form in ZONED:
        return texts.str.to_datetime(form, strict=False, time_unit="us", time_zone="UTC").dt.replace_time_zone(None)
    if "%H" in form or "%I" in form:
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
    """(the form, why it is in doubt): day and month either way round in every value, or years of two digits."""
    either = [next((form for form in forms if form.startswith(start)), "") for start in EITHER_WAY]
    if all(either):
        return forms[0], (
            f"{example!r} and all other values could have the day or the month first; say which: "
            f'[data] date_format = "{either[0]}" or "{either[1]}"'
        )
    if "%y" in forms[0]:
        return forms[0], (
            f"{example!r} has a year of two digits; write it out, or say that 00 to 68 are 2000 to 2068 and the others "
            f'1969 to 1999: [data] date_format = "{forms[0]}"'
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
