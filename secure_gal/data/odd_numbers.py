"""Numbers of a column that are numbers and may mean something else: markers of missing values, and codes."""

from __future__ import annotations

import polars as pl

from secure_gal.data.cells import EXACT

SENTINELS = (-9.0, -99.0, -999.0, -9999.0, -99999.0, 99.0, 999.0, 9999.0, 99999.0, 999999.0)
FAR = 1.0
"""A sentinel lies so many ranges of the other values away from them."""


def notes_on(there: pl.Series, low: float, high: float) -> list[str]:
    """What a person should know of Float64 values (n,), none missing, between `low` and `high`."""
    notes = _sentinel(there, low, high)
    if max(-low, high) > EXACT and bool((there == there.floor()).all()):
        notes.append(
            f"whole numbers beyond {EXACT:,} lose their last digits; if they are codes, write them as text, or leave "
            "the column out with [data] columns"
        )
    return notes


def _sentinel(there: pl.Series, low: float, high: float) -> list[str]:
    """What looks like a number that stands for a missing value: repeated, extreme and far from all others."""
    for value in {low, high} & set(SENTINELS):
        rest = there.filter(there != value)
        count = len(there) - len(rest)
        if count < 2 or len(rest) < 2:
            continue
        bottom, top = float(rest.min()), float(rest.max())  # type: ignore[arg-type]
        if max(bottom - value, value - top) > FAR * (top - bottom) > 0:
            return [
                f"{value:g} stands in {count} rows, far from all others ({bottom:g} to {top:g}); if it means missing: "
                f'[data] missing_values = ["{value:g}"]'
            ]
    return []
