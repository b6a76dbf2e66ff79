"""Overarching losses L_1 with F^0, pseudo-residuals and the metric that is reported (GAL, section 3).

All are convex in F. Of one output, with r = -dL/dF and F^0 the best constant:

- l2: (y - F)^2 / 2; r = y - F; F^0 the mean.
- l1: |y - F|; r = sign(y - F); F^0 the median.
- huber: r is y - F, clipped to HUBER_DELTA; F^0 its root.
- quantile of level a: a (y - F) where y > F, else (a - 1) (y - F); r = a, a - 1, or 0 at y = F; F^0 the a-quantile.
- poisson, y >= 0, mean exp(F): exp(F) - y F; r = y - exp(F); F^0 the log of the mean.
- gamma, y > 0, mean exp(F): F + y exp(-F); r = y exp(-F) - 1; F^0 the log of the mean.

The last two are negative log-likelihoods but for terms in y alone, gamma's over its shape. A regression's metric is the
mean absolute deviation of what is predicted (`predicted`): the quantile, or exp(F).

Labels y are float64 (N, 1) for regression and int64 (N,) class codes for cross-entropy; outputs F are float64 (N, K).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal, assert_never, get_args

import numpy as np
import numpy.typing as npt

from secure_gal.gal.links import log_softmax, logistic, softmax
from secure_gal.gal.ranks import average_ranks
from secure_gal.settings.study import LossName, Task

Array = npt.NDArray[np.float64]
Weights = Array | None
"""v of the rows, (N,), above 0; None where all are equal."""
MAX_EXPONENT = 300.0
"""Above it exp(F) is taken as constant: a step so wild stays finite, and is never the best."""
HUBER_DELTA = 1.0
"""Where Huber's loss turns linear, in standard deviations of the target."""


@dataclass(frozen=True, slots=True)
class Loss:
    """A convex overarching loss over `n_outputs` = K outputs; `level`: of the quantile."""

    name: LossName
    n_outputs: int
    level: float = field(default=0.5, kw_only=True)

    def initial(self, y: npt.NDArray[Any], weights: Weights = None) -> Array:
        """F^0 = argmin_c sum_i v_i L_1(y_i, c), shape (K,)."""
        match self.name:
            case "cross_entropy":
                classes = max(2, self.n_outputs)
                counts = np.bincount(y, weights, minlength=classes) + 1e-9
                prior = counts / counts.sum()
                logs: Array = np.log(prior)
                return logs[1:] - logs[:1] if self.n_outputs == 1 else logs
            case "l2":
                return np.asarray(np.average(y, axis=0, weights=weights))
            case "l1":
                return np.asarray(np.median(y, axis=0) if weights is None else [weighted_quantile(y[:, 0], weights)])
            case "quantile":
                v = np.ones(len(y)) if weights is None else weights
                return np.array([weighted_quantile(y[:, 0], v, self.level)])
            case "poisson" | "gamma":
                return np.asarray(np.log(np.average(y, axis=0, weights=weights)))
            case "huber":
                from scipy.optimize import brentq

                low, high = float(y.min()), float(y.max())
                if low == high:
                    return np.array([low])

                def slope(c: float) -> float:
                    return float(np.average(np.clip(c - y[:, 0], -HUBER_DELTA, HUBER_DELTA), weights=weights))

                return np.array([brentq(slope, low, high)])
            case _:
                assert_never(self.name)

    def value(self, y: npt.NDArray[Any], f: Array, weights: Weights = None) -> float:
        """Mean loss over rows, weighted."""
        return float(np.average(self.of_rows(y, f), weights=weights))

    def of_rows(self, y: npt.NDArray[Any], f: Array) -> Array:
        """Loss of each row, (N,)."""
        match self.name:
            case "cross_entropy":
                if self.n_outputs == 1:
                    return np.asarray(np.logaddexp(0.0, f[:, 0]) - y * f[:, 0])
                return np.asarray(-log_softmax(f)[np.arange(len(y)), y])
            case "l1":
                return np.asarray(np.abs(y - f)[:, 0])
            case "l2":
                return np.asarray(0.5 * (y - f)[:, 0] ** 2)
            case "quantile":
                r = (y - f)[:, 0]
                return np.maximum(self.level * r, (self.level - 1.0) * r)
            case "poisson":
                return np.asarray((_exp(f) - y * f)[:, 0])
            case "gamma":
                return np.asarray((f + y * _exp(-f))[:, 0])
            case "huber":
                r = np.abs(y - f)[:, 0]
                return np.where(r <= HUBER_DELTA, 0.5 * r**2, HUBER_DELTA * (r - 0.5 * HUBER_DELTA))
            case _:
                assert_never(self.name)

    def residual(self, y: npt.NDArray[Any], f: Array) -> Array:
        """Pseudo-residual r = -dL_1(y, F)/dF, shape (N, K)."""
        match self.name:
            case "cross_entropy":
                if self.n_outputs == 1:
                    return np.asarray(y[:, None] - logistic(f))
                r = -softmax(f)
                r[np.arange(len(y)), y] += 1.0
                return np.asarray(r)
            case "l1":
                return np.asarray(np.sign(y - f))
            case "quantile":
                return np.asarray(np.where(y > f, self.level, self.level - 1.0) * (y != f))
            case "poisson":
                return np.asarray(y - _exp(f))
            case "gamma":
                return np.asarray(y * _exp(-f) - 1.0)
            case "l2":
                return np.asarray(y - f)
            case "huber":
                return np.asarray(np.clip(y - f, -HUBER_DELTA, HUBER_DELTA))
            case _:
                assert_never(self.name)

    def curvature(self, y: npt.NDArray[Any], f: Array) -> Array:
        """d^2 L_1 / dF_k^2 of each output, (N, K); 0 where the loss has kinks alone."""
        match self.name:
            case "cross_entropy":
                p = logistic(f) if self.n_outputs == 1 else softmax(f)
                return np.asarray(p * (1.0 - p))
            case "l2":
                return np.ones_like(f)
            case "huber":
                return np.asarray(np.abs(y - f) < HUBER_DELTA, dtype=np.float64)
            case "poisson":
                return _exp(f)
            case "gamma":
                return np.asarray(y * _exp(-f))
            case "l1" | "quantile":
                return np.zeros_like(f)
            case _:
                assert_never(self.name)

    def predicted(self, f: Array) -> Array:
        """Outputs (N, K) in the unit of y: exp(F) where the link is log; classes are read off F itself."""
        match self.name:
            case "poisson" | "gamma":
                return _exp(f)
            case "cross_entropy" | "l2" | "l1" | "huber" | "quantile":
                return f
            case _:
                assert_never(self.name)

    def slope(self, y: npt.NDArray[Any], f: Array, g: Array, weights: Weights = None) -> float:
        """d/d eta of the mean loss at F, along the direction g (N, K)."""
        r = self.residual(y, f)
        if weights is None:
            return -float(np.sum(r * g)) / len(g)
        return -float(np.sum(weights[:, None] * r * g) / weights.sum())


def _exp(f: Array) -> Array:
    return np.asarray(np.exp(np.minimum(f, MAX_EXPONENT)))


def weighted_quantile(points: Array, weights: Array, level: float = 0.5) -> float:
    """argmin_c of the quantile loss, its rows weighted, (n,) each; the middle of them where there are several."""
    order = np.argsort(points, kind="stable")
    total = np.cumsum(weights[order])
    below = level * total[-1]
    low, high = np.searchsorted(total, below), np.searchsorted(total, below, side="right")
    return float(0.5 * (points[order][low] + points[order][min(high, len(points) - 1)]))


def get_loss(name: LossName, n_outputs: int, level: float = 0.5) -> Loss:
    """The overarching loss of this name; ValueError for an unknown one."""
    if name not in get_args(LossName):
        raise ValueError(f"unknown overarching loss {name!r}")
    return Loss(name, n_outputs, level=level)


def metric_name(task: Task, n_outputs: int) -> Literal["auc", "accuracy", "mad"]:
    """auc for two classes, accuracy for more, mad (mean absolute deviation) for regression."""
    match task:
        case "regression":
            return "mad"
        case "classification":
            return "auc" if n_outputs == 1 else "accuracy"
        case _:
            assert_never(task)


def metric(task: Task, y: npt.NDArray[Any], f: Array, weights: Weights = None) -> float:
    """The metric of these outputs, its rows weighted; nan where it is not defined (one class only)."""
    name = metric_name(task, f.shape[1])
    if len(y) == 0:
        return float("nan")
    match name:
        case "mad":
            return float(np.average(np.abs(y - f)[:, 0], weights=weights))
        case "accuracy":
            return float(np.average(f.argmax(axis=1) == y, weights=weights))
        case "auc":
            return _area_under_curve(y, f) if weights is None else _weighted_area(y, f[:, 0], weights)
        case _:
            assert_never(name)


def _area_under_curve(y: npt.NDArray[Any], f: Array) -> float:
    positive = int(y.sum())
    negative = len(y) - positive
    if positive == 0 or negative == 0:
        return float("nan")
    ranks = average_ranks(f[:, 0])  # Mann-Whitney U: ties count half
    return float((ranks[y == 1].sum() - positive * (positive + 1) / 2) / (positive * negative))


def _weighted_area(y: npt.NDArray[Any], f: Array, weights: Array) -> float:
    """The chance that a positive row is above a negative one, both drawn in proportion to their weights; ties count
    half."""
    _, place = np.unique(f, return_inverse=True)
    positive, negative = (np.bincount(place, weights * (y == c), minlength=place.max() + 1) for c in (1, 0))
    pairs = float(positive.sum() * negative.sum())
    if pairs == 0.0:
        return float("nan")
    return float(np.sum(positive * (np.cumsum(negative) - 0.5 * negative)) / pairs)
