"""Columns of text that look like numbers, dates or times in a notation of their own: refused, never taken for levels.

What no rule reads and a person would: digits of another script, thousands marked in twos, several currencies in one
column, names of months in another language, times of day. As a category every value would be a level of its own.
"""

from __future__ import annotations

import polars as pl

from secure_gal.data.notation import Notation, numbers
from secure_gal.errors import quoted

FEWEST = 20
"""So many different texts, or fewer, may well be levels."""
PREVAIL = 0.5
"""Of the different texts, the share that has to look so."""
MARKED = r"^[\p{Sc}\s(+\u{2212}-]*\p{Nd}[\p{Nd}.,'\u{2019}_\s]*[\s)%\u{2030}\p{Sc}+\u{2212}-]*$"
"""Digits with marks between them, signs and currencies around them."""
DAY = (
    r"^(?:\p{Nd}{1,2}|\p{Nd}{4})[-/. ]\s*(?:\p{Nd}{1,2}|\p{L}{3,10})\.?[-/., ]\s*"
    r"(?:\p{Nd}{2}|\p{Nd}{4})(?:[^\p{Nd}].*)?$"
)
MONTH_FIRST = r"^\p{L}{3,10}\.? \p{Nd}{1,2},? \p{Nd}{4}\b"
TIME = r"^\p{Nd}{1,2}:\p{Nd}{2}(?::\p{Nd}{2}(?:[.,]\p{Nd}+)?)?(?: ?[AaPp]\.?[Mm]\.?)?$"
VERSION = r"\.\p{Nd}*\."
"""Numbers of chapters, versions or machines."""
KINDS = (
    (
        "dates",
        f"{DAY}|{MONTH_FIRST}",
        'write them as 2020-01-31, or say how they are written: [data] date_format = "..."',
    ),
    ("times of day", TIME, "write them as numbers, such as hours since midnight"),
    ("numbers", MARKED, "write them as plain numbers, such as -1234.5"),
)


def looks_like(stripped: pl.Series, texts: pl.Series) -> str:
    """Why a column cannot be taken for a category, with the first such row; empty where it can.

    Args:
        stripped: the column (N,), without blanks at the ends; texts: the different values that are there.
    """
    if len(texts) <= FEWEST:
        return ""
    read = numbers(texts, Notation()).is_not_null() | texts.str.contains(VERSION)
    for what, pattern, fix in KINDS:
        like = texts.filter(texts.str.contains(pattern) & ~read)
        if len(like) > FEWEST and len(like) > PREVAIL * len(texts):
            row = int(stripped.is_in(like.implode()).fill_null(False).arg_max() or 0)
            return (
                f"looks like {what} in a form that is not known: row {row + 1} has {quoted(stripped[row])}; {fix}; if "
                f'they are levels: [data] categorical = ["{stripped.name}"]'
            )
    return ""
