"""Who helped how much: each party's contribution to the metric, by leave-one-out and by Shapley's value.

The players are the parties that fit. What a coalition S of them is worth is the metric of F^0 + sum over the kept
rounds of eta^t sum_{m in S} w_m^t f_m^t, with eta and w as they were: nothing is fitted anew, so this is what a party's
parts do for this model, not what a study without the party would have come to. Shapley's value is the one division of
v(all) - v(none) that gives equal parts to players who do the same and nothing to one who changes nothing (Shapley 1953;
of permutations: Ghorbani and Zou 2019, Data Shapley, ICML, algorithm 1, without truncation).
"""

from __future__ import annotations

from collections.abc import Callable
from math import comb
from typing import Any, assert_never

import msgspec
import numpy as np
import numpy.typing as npt

from secure_gal.gal.ensemble import Ensemble
from secure_gal.gal.losses import Array, Weights, metric_name
from secure_gal.gal.split import derive_seed
from secure_gal.settings.study import Task

TOGETHER = "the assistors together"
"""The one player that stands for assistors whose fits are known as a weighted sum alone; no party can be called so."""
MAX_EXACT = 10
"""Players up to which all 2^M coalitions are valued."""
PERMUTATIONS = 200
"""Seeded orders of joining that are valued beyond: of M players' values M * 200."""
RESAMPLES = 1000
"""Bootstrap draws of the rows."""
BLOCK = 1 << 16
"""Rows that are drawn at a time: what fits a core's cache takes a tenth of the time of `Generator.multinomial`."""
Values = Callable[[Array], Array]
"""Outputs (n, K) to values of the rows (n,), whose mean is the metric, larger being better."""


class Estimate(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """By how much a party improves the metric (below 0: worsens it), with a 95% interval over rows."""

    value: float
    low: float
    high: float


class Contribution(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One player's: v(all) - v(all but it), and Shapley's value."""

    party: str
    leave_one_out: Estimate
    shapley: Estimate


class Contributions(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Of a learning stage, in the metric's unit.

    Attributes:
        rows: that they are measured on.
        none, all: the metric of F^0, and of all parts. Shapley's values add up to the improvement between them.
        exact: whether every coalition was valued; else Shapley's values are means over permutations.
        parties: in the order of the study.
    """

    rows: int
    none: float
    all: float
    exact: bool
    parties: tuple[Contribution, ...]


def contributions(made: Ensemble, seed: int) -> Contributions | None:
    """On the judged rows; the interval is of the rows, for the model as it is.

    Returns:
        None where no round is kept, no row judges, or the metric of these rows is not defined.
    """
    rows, parts = made.judged, made.parts_kept
    if rows is None or not parts:
        return None
    y = made.labels(rows.mask)
    lower = metric_name(made.task, made.F.shape[1]) == "mad"
    if metric_name(made.task, made.F.shape[1]) == "auc" and len(np.unique(y)) < 2:
        return None

    weights = made.weights_of(rows.mask)

    def better(f: Array) -> Array:
        values = row_values(made.task, y, made.loss.predicted(f), weights)
        return -values if lower else values

    known = [p for p in (*made.parties, TOGETHER) if p in parts]
    stacked = np.stack([parts[p][rows.mask] for p in known]).astype(np.float64)
    start = np.tile(made.F0, (len(y), 1))
    generator = np.random.default_rng(derive_seed("contributions", seed))
    exact = len(known) <= MAX_EXACT
    shapley = by_coalitions(better, start, stacked) if exact else by_permutations(better, start, stacked, generator)
    everything = start + stacked.sum(axis=0)
    whole = better(everything)
    left_out = np.stack([whole - better(everything - part) for part in stacked])
    sign = -1.0 if lower else 1.0
    none, full = sign * float(better(start).mean()), sign * float(whole.mean())
    estimates = _estimates(np.concatenate([left_out, shapley]), generator)
    pairs = zip(known, estimates[: len(known)], estimates[len(known) :], strict=True)
    return Contributions(len(y), none, full, exact, tuple(Contribution(*found) for found in pairs))


def row_values(task: Task, y: npt.NDArray[Any], f: Array, weights: Weights = None) -> Array:
    """Values of the rows (n,) whose mean is the metric of predictions f (n, K) in the unit of y, its rows weighted.

    An area under the curve A is no mean over rows. Its values are A + n / n_c (V_i - A) for row i of class c, with V_i
    the share of rows of the other class that it is on the right side of (DeLong, DeLong and Clarke-Pearson 1988):
    their mean is A, and their spread gives the variance of A up to terms of second order. With weights, shares and
    class sizes are weighted, and so is row i's difference.
    """
    v = np.ones(len(y)) if weights is None else weights / weights.mean()
    name = metric_name(task, f.shape[1])
    match name:
        case "mad":
            return np.asarray(np.abs(y - f)[:, 0] * v)
        case "accuracy":
            return np.asarray((f.argmax(axis=1) == y) * v)
        case "auc":
            return _of_area(y, f[:, 0], v)
        case _:
            assert_never(name)


def _of_area(y: npt.NDArray[Any], score: Array, v: Array) -> Array:
    """Rows of the other class below (above, for the lower class) by weight, ties half."""
    _, place = np.unique(score, return_inverse=True)
    totals = {c: float(v[y == c].sum()) for c in (0, 1)}
    right = np.empty(len(y))
    for c in (0, 1):
        other = np.bincount(place, v * (y != c), minlength=int(place.max()) + 1)
        below = ((np.cumsum(other) - 0.5 * other) / totals[1 - c])[place[y == c]]
        right[y == c] = below if c else 1.0 - below
    positive = y == 1
    area = float(right[positive] @ v[positive]) / totals[1]
    size = np.where(positive, totals[1], totals[0]) / len(y)
    return np.asarray(area + v * (right - area) / size)


def by_coalitions(better: Values, start: Array, parts: Array) -> Array:
    """Shapley's values of the rows (M, n), exact: every coalition of parts (M, n, K) beyond `start` (n, K) is valued.

    phi_m = sum over S without m of |S|! (M - |S| - 1)! / M! (v(S + m) - v(S)).
    """
    players = len(parts)
    found = np.zeros((players, len(start)))
    for coalition in range(1 << players):
        inside = np.array([coalition >> m & 1 for m in range(players)], dtype=np.float64)
        values, size = better(start + np.tensordot(inside, parts, 1)), int(inside.sum())
        for m in range(players):
            others = size - 1 if inside[m] else size
            share = 1.0 / (players * comb(players - 1, others))
            found[m] += share * values if inside[m] else -share * values
    return found


def by_permutations(better: Values, start: Array, parts: Array, generator: np.random.Generator) -> Array:
    """The same from means over seeded orders of joining; their sum over players is exact all the same."""
    found = np.zeros((len(parts), len(start)))
    for _ in range(PERMUTATIONS):
        f, before = start, better(start)
        for m in generator.permutation(len(parts)):
            f = f + parts[m]
            after = better(f)
            found[m] += (after - before) / PERMUTATIONS
            before = after
    return found


def _estimates(values: Array, generator: np.random.Generator) -> list[Estimate]:
    """Means of each line of (J, n), with percentiles over rows drawn with replacement, the same rows for every line."""
    n = values.shape[1]
    drawn: list[Array] = []
    step = max(1, BLOCK // n)
    for first in range(0, RESAMPLES, step):
        draws = min(step, RESAMPLES - first)
        rows = generator.integers(n, size=(draws, n)) + n * np.arange(draws)[:, None]
        counts = np.bincount(rows.ravel(), minlength=draws * n).reshape(draws, n)
        drawn.append(counts @ values.T / n)
    low, high = np.percentile(np.concatenate(drawn), [2.5, 97.5], axis=0)
    return [Estimate(*map(float, each)) for each in zip(values.mean(axis=1), low, high, strict=True)]
