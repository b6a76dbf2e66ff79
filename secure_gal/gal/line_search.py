"""Gradient assisted learning rate: eta = argmin mean L_1(y, F + eta g), a convex problem in one variable."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, assert_never

import numpy as np
import numpy.typing as npt

from secure_gal.gal.losses import Array, Loss, Weights

FLAT = 1e-6
"""Where the minimum is not attained, stop at the smallest eta whose slope is below this share of the slope at 0."""
VANISHED = 1e-12
"""A slope below this share of the slope at 0, still of its sign, counts as never changing sign."""
MAX_DOUBLINGS = 200


@dataclass(frozen=True, slots=True)
class LineSearch:
    """eta, and whether a minimum is attained there."""

    eta: float
    attained: bool


def line_search(loss: Loss, y: npt.NDArray[Any], f: Array, g: Array, weights: Weights = None) -> LineSearch:
    """The exact minimiser of the mean loss, its rows weighted; any real eta.

    Closed form for l2, a weighted median for l1 and a weighted quantile for quantile, a bracketed root else.
    """
    if not np.any(g):
        return LineSearch(0.0, True)
    match loss.name:
        case "l2":
            v = g if weights is None else weights[:, None] * g
            return LineSearch(float(np.sum((y - f) * v) / np.sum(g * v)), True)
        case "l1":
            return LineSearch(_best_quantile((y - f)[:, 0], g[:, 0], weights, 0.5), True)
        case "quantile":
            return LineSearch(_best_quantile((y - f)[:, 0], g[:, 0], weights, loss.level), True)
        case "cross_entropy" | "huber" | "poisson" | "gamma":
            return _bracketed(loss, y, f, g, weights)
        case _:
            assert_never(loss.name)


def _bracketed(loss: Loss, y: npt.NDArray[Any], f: Array, g: Array, weights: Weights) -> LineSearch:
    from scipy.optimize import brentq  # heavy; learning alone needs it

    start = loss.slope(y, f, g, weights)
    if start == 0.0:
        return LineSearch(0.0, True)
    sign = -1.0 if start > 0 else 1.0

    def slope(eta: float) -> float:
        return loss.slope(y, f + sign * eta * g, sign * g, weights)

    low, high, steps = 0.0, 1.0, 0
    while (at_high := slope(high)) < -VANISHED * abs(start) and steps < MAX_DOUBLINGS:
        low, high, steps = high, 2 * high, steps + 1
    if at_high > 0:
        return LineSearch(sign * float(brentq(slope, low, high, xtol=1e-13 * high, rtol=1e-14)), True)

    def above(eta: float) -> float:
        return slope(eta) + FLAT * abs(start)

    if not above(high) > 0:  # fitted values so wild that no step of theirs can be judged: none is taken
        return LineSearch(0.0, False)
    return LineSearch(sign * float(brentq(above, 0.0, high, xtol=1e-12 * high)), False)


def _best_quantile(residual: Array, g: Array, weights: Weights, level: float) -> float:
    """argmin_eta of the quantile loss of residual - eta g, (n,) each; at level 0.5 of sum v |residual - eta g|.

    The slope in eta rises by v |g| at residual/g, from -sum v |g| level, with 1 - level where g < 0.
    """
    used = g != 0
    points, shares = residual[used] / g[used], np.abs(g[used])
    order = np.argsort(points, kind="stable")
    shares = shares if weights is None else shares * weights[used]
    total = np.cumsum(shares[order])
    below = level * total[-1] + (1.0 - 2.0 * level) * float(shares[g[used] < 0].sum())
    return float(points[order][np.searchsorted(total, below)])
