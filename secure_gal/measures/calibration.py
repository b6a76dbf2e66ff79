"""Whether probabilities are what they say: of the rows given 0.3, are three in ten positive?"""

from __future__ import annotations

import math
from collections.abc import Sequence

import msgspec
import numpy as np
import numpy.typing as npt

from secure_gal.measures.metrics import Array, Statistic

BINS = 10
Z = 1.96


class Bin(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Rows whose probability lies in one tenth of 0 to 1.

    Attributes:
        rows: how many.
        said: their mean probability.
        seen: the share of them that are positive; low, high: its 95% interval (Wilson, 1927).
    """

    rows: int
    said: float
    seen: float
    low: float
    high: float


def reliability(positive: npt.NDArray[np.bool_], probability: Array) -> tuple[Bin, ...]:
    """The bins that hold rows, ascending.

    Args:
        positive: (n,); of more than two classes: whether the predicted class is right.
        probability: (n,) of being so.
    """
    where = _bin(probability)
    rows = np.bincount(where, minlength=BINS)
    said, seen = (np.bincount(where, weights=values, minlength=BINS) for values in (probability, positive))
    return tuple(
        Bin(int(n), float(s / n), float(p / n), *_wilson(float(p / n), int(n)))
        for n, s, p in zip(rows, said, seen, strict=True)
        if n
    )


def calibration_error(bins: Sequence[Bin]) -> float:
    """ECE: the mean over rows of how far their bin's probability is from what was seen (Naeini et al., AAAI 2015)."""
    rows = sum(b.rows for b in bins)
    return sum(b.rows * abs(b.said - b.seen) for b in bins) / rows if rows else float("nan")


def calibration_statistic(positive: npt.NDArray[np.bool_], probability: Array) -> Statistic:
    """The same as a function of the rows' weights."""
    where, gap = _bin(probability), probability - positive

    def error(w: Array) -> float:
        total = float(w.sum())
        return float(np.abs(np.bincount(where, weights=w * gap)).sum()) / total if total else float("nan")

    return error


def _bin(probability: Array) -> npt.NDArray[np.int64]:
    return np.minimum((probability * BINS).astype(np.int64), BINS - 1)


def _wilson(share: float, rows: int) -> tuple[float, float]:
    """Limits of a share of so many rows."""
    z2 = Z * Z / rows
    middle = (share + z2 / 2) / (1 + z2)
    half = Z / (1 + z2) * math.sqrt(share * (1 - share) / rows + z2 / (4 * rows))
    return max(0.0, middle - half), min(1.0, middle + half)
