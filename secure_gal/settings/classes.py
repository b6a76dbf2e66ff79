"""When two labels are of the same class, and how many outputs so many classes take."""

from __future__ import annotations

from typing import Any


def class_of(label: Any) -> int | float | str:
    """Whole numbers compare as numbers whether a file says 1, 1.0 or "1"; everything else as text."""
    text = str(label).strip()
    try:
        number = float(text)
    except ValueError:
        return text
    return int(number) if number.is_integer() else number


def outputs_of(classes: int) -> int:
    """K for so many classes: two share one output."""
    return classes if classes > 2 else 1
