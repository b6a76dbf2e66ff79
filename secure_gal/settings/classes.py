"""When two labels are of the same class, and how many outputs so many classes take."""

from __future__ import annotations

import datetime as dt
import functools
import re
from numbers import Integral, Real

Label = int | float | str | dt.date
"""A label as a table holds it: a number, true or false, text, a day or a time; never missing, which readers refuse."""
Class = int | float | str
"""What labels of one class have in common."""
_NUMBER = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?")
"""Numbers as tables write them. What else Python reads as one is a code: 01, 1e3, +1 and 1_000 are classes of their
own, as the person who wrote them meant 01 and 1 to be two."""


@functools.lru_cache(maxsize=4096, typed=True)  # 1, 1.0 and True are equal, and not the same label
def class_of(label: Label) -> Class:
    """Numbers compare as numbers whether a file says 1, 1.0 or "1"; everything else as text without blanks at its ends.

    Text is a number if it is written as one, without zeros at the front.
    """
    if isinstance(label, Integral) and not isinstance(label, bool):
        return int(label)  # not by way of a float, in which 2^53 and 2^53 + 1 are one
    if isinstance(label, Real) and not isinstance(label, bool):
        number = float(label)
    else:
        text = str(label).strip()
        found = _NUMBER.fullmatch(text)
        if not found:
            return text
        if not found[2]:
            return int(text)
        number = float(text)
    return int(number) if number.is_integer() else number


def outputs_of(classes: int) -> int:
    """K for so many classes: two share one output."""
    return classes if classes > 2 else 1
