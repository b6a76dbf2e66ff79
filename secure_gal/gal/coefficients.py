"""The coefficients of a round, eta w_m: both factors are minimisers of a convex problem, and exact.

Gradient assistance weights w: argmin mean l_1(r, sum_m w_m f_m) over the simplex. Gradient assisted learning rate eta:
argmin mean L_1(y, F + eta g), g = sum_m w_m f_m, in one variable.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Any, assert_never

import numpy as np
import numpy.typing as npt

from secure_gal.errors import StateError
from secure_gal.gal.losses import Array, Loss, Weights
from secure_gal.settings.party import LocalLoss

GAP = 1e-9
"""Frank-Wolfe gap, relative to the objective, at which l1.5 and l4 weights are taken as exact."""
MAX_STEPS = 2000
POWERS = {"l1": 1.0, "l1.5": 1.5, "l2": 2.0, "l4": 4.0}
FLAT = 1e-6
"""Where the minimum is not attained, stop at the smallest eta whose slope is below this share of the slope at 0."""
VANISHED = 1e-12
"""A slope below this share of the slope at 0, still of its sign, counts as never changing sign."""
MAX_DOUBLINGS = 200


LIBRARIES = ("scipy.optimize", "scipy.sparse")
"""What weights and rates are searched for with: a third of a second, which learning alone needs."""


def load() -> None:
    """Import them."""
    for name in LIBRARIES:
        import_module(name)


def simplex_weights(
    residual: npt.NDArray[np.float32], fitted: Sequence[npt.NDArray[np.float32]], loss: LocalLoss
) -> Array:
    """Weights (M,), non-negative with sum 1.

    Args:
        residual: r^t, (N, K).
        fitted: one (N, K) a party.
        loss: the sponsor's local loss: l1, l1.5, l2 or l4.
    """
    target = residual.astype(np.float64).ravel()
    columns = np.stack([f.astype(np.float64).ravel() for f in fitted], axis=1)
    if columns.shape[1] == 1:
        return np.ones(1)
    match loss:
        case "l2":
            difference = columns - target[:, None]
            return min_norm_point(difference.T @ difference)
        case "l1":
            return _least_absolute(target, columns)
        case "l1.5" | "l4":
            return _smooth(target, columns, POWERS[loss])
        case _:
            assert_never(loss)


def min_norm_point(gram: Array) -> Array:
    """argmin_w w' H w over the simplex, for H = D'D with D = [f_m - r].

    With sum w = 1, sum_m w_m f_m - r = D w. Solve non-negative least squares for [D; 1'] u = [0; 1]: writing
    u = s w with w in the simplex, the objective is s^2 q + (s - 1)^2 with q = |D w|^2; its minimum over s is
    q/(q+1), which grows with q, so the best w is the simplex minimiser. Lawson and Hanson's method is finite.
    """
    from scipy.optimize import nnls  # heavy, as the others below: `load`

    size = gram.shape[0]
    scale = float(np.trace(gram)) / size
    if scale <= 0:
        return np.full(size, 1.0 / size)
    values, vectors = np.linalg.eigh(gram / scale)
    root = np.sqrt(np.maximum(values, 0.0))[:, None] * vectors.T
    system = np.vstack([root, np.ones((1, size))])
    solution, _ = nnls(system, np.append(np.zeros(size), 1.0))
    total = float(solution.sum())
    if total <= 0:
        raise StateError("the weights could not be solved for; are fitted values finite?")
    return np.asarray(solution / total)


def kkt_residual(gram: Array, weights: Array) -> float:
    """How far w is from optimal for w' H w over the simplex, relative to the size of H: 0 at the optimum."""
    gradient = 2 * gram @ weights
    level = float(gradient @ weights)
    worst = max(float(np.max(level - gradient)), float(np.max(np.abs((gradient - level) * weights))))
    return worst / max(float(np.abs(gram).max()), 1e-300)


def _least_absolute(target: Array, columns: Array) -> Array:
    from scipy.optimize import linprog
    from scipy.sparse import csc_matrix, hstack, identity, vstack

    rows, parties = columns.shape
    eye = identity(rows, format="csc")
    design = csc_matrix(columns)
    above = vstack([hstack([design, -eye]), hstack([-design, -eye])], format="csc")
    result = linprog(
        np.append(np.zeros(parties), np.full(rows, 1.0 / rows)),
        A_ub=above,
        b_ub=np.append(target, -target),
        A_eq=np.append(np.ones(parties), np.zeros(rows))[None, :],
        b_eq=[1.0],
        method="highs",
    )
    return _normalised(result.x[:parties] if result.status == 0 else None)


def _smooth(target: Array, columns: Array, power: float) -> Array:
    """Iteratively reweighted least squares with an exact line search; stops on the Frank-Wolfe gap.

    Each step minimises the weighted squares sum_i s_i (r_i - sum_m w_m f_im)^2, s_i = |left_i|^(power - 2), over the
    simplex exactly, and goes towards that point as far as the true objective falls. Fixed points meet the KKT
    conditions, and the objective is convex.
    """
    rows, parties = columns.shape
    difference = columns - target[:, None]
    w = np.full(parties, 1.0 / parties)
    for _ in range(MAX_STEPS):
        left = difference @ w
        size = np.maximum(np.abs(left), 1e-9 * float(np.abs(left).max()) or 1e-300)
        gradient = power * difference.T @ (np.sign(left) * size ** (power - 1)) / rows
        value = float(np.mean(np.abs(left) ** power))
        if float(gradient @ w - gradient.min()) <= GAP * max(value, 1e-300):
            break
        towards = min_norm_point((difference * size[:, None] ** (power - 2)).T @ difference) - w
        step = _best_step(left, difference @ towards, power)
        if step == 0.0:
            break
        w = w + step * towards
    return _normalised(w)


def _best_step(left: Array, move: Array, power: float) -> float:
    """argmin over 0 <= t <= 1 of mean |left + t move|^power: the root of its increasing slope."""

    def slope(t: float) -> float:
        now = left + t * move
        return float(np.sum(np.sign(now) * np.abs(now) ** (power - 1) * move))

    if slope(0.0) >= 0:
        return 0.0
    from scipy.optimize import brentq

    return 1.0 if slope(1.0) <= 0 else float(brentq(slope, 0.0, 1.0, xtol=1e-14))


def _normalised(solution: Array | None) -> Array:
    if solution is None:
        raise StateError("the weights could not be solved for; are fitted values finite?")
    clipped = np.maximum(np.asarray(solution, dtype=np.float64), 0.0)
    return np.asarray(clipped / clipped.sum())


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
    from scipy.optimize import brentq

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
