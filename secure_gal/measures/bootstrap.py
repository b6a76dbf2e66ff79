"""Percentile intervals by the bootstrap over rows (Efron & Tibshirani, An Introduction to the Bootstrap, 1993, 13)."""

from __future__ import annotations

import math
from collections.abc import Sequence

import msgspec
import numpy as np
import numpy.typing as npt

from secure_gal.measures.metrics import Array, Statistic

LEVEL = 0.95
MOST_DRAWS, FEWEST_DRAWS, ROW_DRAWS = 1000, 200, 20_000_000
"""Draws: as many as take so many rows together, between these ends. 200 place a limit within a tenth of its width."""
DEFINED = 0.5
"""Share of the draws on which a number must be defined for an interval of it."""


class Estimate(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A number of some rows with its 95% interval; None where it is not defined, or not on enough draws."""

    value: float | None
    low: float | None = None
    high: float | None = None


class Drawn:
    """Statistics of the same rows, on all of them and on the same draws.

    Args:
        statistics: of the same n rows each.
        rows: n.
        seed: of the draws.
        weights: what each row counts, (n,), once or as often as it is drawn; None: 1.
    """

    def __init__(self, statistics: Sequence[Statistic], rows: int, seed: int, weights: Array | None = None) -> None:
        v = np.ones(rows) if weights is None else weights
        self.of_all = np.array([of(v) for of in statistics])
        self.of_draws: Array = np.empty((draws_of(rows) if rows > 1 else 0, len(statistics)))
        rng = np.random.default_rng(seed)
        for values in self.of_draws:
            w = np.bincount(rng.integers(0, rows, rows), minlength=rows) * v
            values[:] = [of(w) for of in statistics]

    def estimate(self, number: int) -> Estimate:
        """Of the statistic of this number."""
        return _estimate(self.of_all[number], self.of_draws[:, number])

    def difference(self, number: int, other: Drawn) -> Estimate:
        """Of the statistic of this number less that of others of the same rows, seed and weights: on the same draws."""
        return _estimate(
            self.of_all[number] - other.of_all[number], self.of_draws[:, number] - other.of_draws[:, number]
        )


def draws_of(rows: int) -> int:
    """How often so many rows are drawn."""
    return max(FEWEST_DRAWS, min(MOST_DRAWS, ROW_DRAWS // rows))


def _estimate(value: float, draws: npt.NDArray[np.float64]) -> Estimate:
    if not math.isfinite(value):
        return Estimate(None)
    known = draws[np.isfinite(draws)]
    if not len(known) or len(known) < DEFINED * len(draws):
        return Estimate(float(value))
    low, high = np.quantile(known, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Estimate(float(value), float(low), float(high))
