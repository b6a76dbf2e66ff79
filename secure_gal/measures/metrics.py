"""Metrics by scikit-learn's names, of rows with weights: a bootstrap draw is a weight a row, and nothing is sorted
twice."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from typing import Any, assert_never

import numpy as np
import numpy.typing as npt

from secure_gal.measures.ranked import Ranked
from secure_gal.settings.report import MetricName
from secure_gal.settings.study import Task

Array = npt.NDArray[np.float64]
Labels = npt.NDArray[Any]
Statistic = Callable[[Array], float]
"""Weights of rows (n,) to a number; nan where it is not defined."""
LOWER_IS_BETTER = frozenset({"log_loss", "mean_absolute_error", "root_mean_squared_error"})


def usual_metrics(task: Task, outputs: int) -> tuple[MetricName, ...]:
    """Those that are measured where nobody names any.

    Args:
        outputs: K; 1 for two classes.
    """
    match task:
        case "regression":
            return "mean_absolute_error", "root_mean_squared_error", "r2"
        case "classification":
            of_all: tuple[MetricName, ...] = ("accuracy", "balanced_accuracy", "log_loss")
            return ("roc_auc", "average_precision", *of_all, "f1", "neg_brier_score") if outputs == 1 else of_all
        case _:
            assert_never(task)


def statistics(names: Sequence[MetricName], y: Labels, outputs: Array, threshold: float = 0.5) -> list[Statistic]:
    """These metrics of the same rows, each a function of the rows' weights; rows are sorted once.

    Args:
        y: int64 (n,) class codes, or float64 (n,) targets.
        outputs: float64 (n, classes) probabilities, or (n,) values in the target's unit.
        threshold: of two classes, above which the second is predicted.
    """
    ranked = cache(lambda: Ranked(y == 1, outputs[:, 1]))
    return [_statistic(name, y, outputs, threshold, ranked) for name in names]


def _statistic(
    name: MetricName, y: Labels, outputs: Array, threshold: float, ranked: Callable[[], Ranked]
) -> Statistic:
    match name:
        case "accuracy":
            return mean_of(predicted(outputs, threshold) == y)
        case "balanced_accuracy":
            return _mean_recall(y, predicted(outputs, threshold) == y)
        case "f1":
            return _f1(y == 1, predicted(outputs, threshold) == 1)
        case "roc_auc":
            return ranked().area
        case "average_precision":
            return ranked().average_precision
        case "log_loss":
            tiny = np.finfo(np.float64).eps
            return mean_of(-np.log(np.clip(outputs[np.arange(len(y)), y], tiny, 1 - tiny)))
        case "neg_brier_score":
            return mean_of(-((outputs[:, 1] - y) ** 2))
        case "mean_absolute_error":
            return mean_of(np.abs(y - outputs))
        case "root_mean_squared_error":
            mean = mean_of((y - outputs) ** 2)
            return lambda w: float(np.sqrt(mean(w)))
        case "r2":
            return _r2(y, outputs)
        case _:
            assert_never(name)


def predicted(probabilities: Array, threshold: float) -> npt.NDArray[np.int64]:
    """Class codes (n,): of two classes the second above the threshold, of more the most probable."""
    if probabilities.shape[1] == 2:
        return np.asarray(probabilities[:, 1] > threshold, dtype=np.int64)
    return np.asarray(probabilities.argmax(axis=1), dtype=np.int64)


def ratio(above: float, below: float) -> float:
    """nan where there is nothing to divide by."""
    return float(above / below) if below > 0 else float("nan")


def mean_of(rows: npt.NDArray[Any]) -> Statistic:
    """The mean of one number a row, (n,)."""
    values = rows.astype(np.float64)
    return lambda w: ratio(float(w @ values), float(w.sum()))


def _mean_recall(y: Labels, right: npt.NDArray[np.bool_]) -> Statistic:
    order = np.argsort(y, kind="stable")
    first, hit = np.unique(y[order], return_index=True)[1], right[order].astype(np.float64)

    def mean_recall(w: Array) -> float:
        by_class = w[order]
        there, found = np.add.reduceat(by_class, first), np.add.reduceat(by_class * hit, first)
        return float((found[there > 0] / there[there > 0]).mean()) if there.any() else float("nan")

    return mean_recall


def _f1(true: npt.NDArray[np.bool_], said: npt.NDArray[np.bool_]) -> Statistic:
    """2 TP / (2 TP + FP + FN): 0 where none is predicted, as scikit-learn has it."""
    hits, both = (true & said).astype(np.float64), true.astype(np.float64) + said
    return lambda w: ratio(2 * float(w @ hits), float(w @ both))


def _r2(y: Labels, outputs: Array) -> Statistic:
    centred, squares = y - y.mean(), (y - outputs) ** 2

    def r2(w: Array) -> float:
        spread = float(w @ centred**2) - float(w @ centred) ** 2 / max(float(w.sum()), 1e-300)
        return 1 - ratio(float(w @ squares), spread)

    return r2
