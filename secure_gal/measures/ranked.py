"""Rows of two classes in the order of their score: what every cut of them finds and what it misses."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from secure_gal.settings.report import Cut, LeastCost

Array = npt.NDArray[np.float64]
MOST_POINTS = 200
"""Of a curve that is drawn."""


class _Cuts(NamedTuple):
    """Weight of positive and of negative rows at each distinct score, and above or at it, (cuts,)."""

    positive: Array
    negative: Array
    true: Array
    false: Array


class Ranked:
    """Scores of two classes; rows of equal score are cut together.

    Args:
        positive: (n,), the rows of the second class.
        score: float64 (n,), higher where that class is more likely.
        rows: what each counts in curves and thresholds, (n,); None: 1.
    """

    def __init__(self, positive: npt.NDArray[np.bool_], score: Array, rows: Array | None = None) -> None:
        self._rows = np.ones(len(positive)) if rows is None else rows
        self._positive = positive.astype(np.float64)
        descending, self._cut = np.unique(-score, return_inverse=True)
        self.scores: Array = -descending
        """Distinct, descending."""
        self._weighed: tuple[Array, _Cuts] | None = None

    def _counts(self, w: Array) -> tuple[Array, Array]:
        """Weight of positive and of negative rows at each distinct score."""
        count = len(self.scores)
        positive = np.bincount(self._cut, weights=w * self._positive, minlength=count).astype(np.float64)
        return positive, np.bincount(self._cut, weights=w, minlength=count).astype(np.float64) - positive

    def _cut_at(self, w: Array) -> _Cuts:
        """What each cut finds; kept for the next who asks with the same weights."""
        if self._weighed is None or self._weighed[0] is not w:
            positive, negative = self._counts(w)
            self._weighed = w, _Cuts(positive, negative, np.cumsum(positive), np.cumsum(negative))
        return self._weighed[1]

    def area(self, w: Array) -> float:
        """Under the ROC curve (Mann-Whitney U, ties half); nan without rows of both classes."""
        positive, negative, true, false = self._cut_at(w)
        pairs = true[-1] * false[-1]
        return float(positive @ (false[-1] - false + negative / 2) / pairs) if pairs > 0 else float("nan")

    def average_precision(self, w: Array) -> float:
        """Precision at each cut, weighed by the recall that it adds; nan without positive rows."""
        positive, _, true, false = self._cut_at(w)
        said, total = true + false, float(true[-1])
        precision = np.divide(true, said, out=np.zeros_like(true), where=said > 0)
        return float(positive @ precision) / total if total > 0 else float("nan")

    def cuts(self) -> tuple[Array, Array]:
        """(true, false) positives (cuts + 1,) when the rows of the 0, 1, 2... highest scores are called positive."""
        _, _, true, false = self._cut_at(self._rows)
        return np.concatenate([[0.0], true]), np.concatenate([[0.0], false])

    def roc(self) -> tuple[Array, Array]:
        """(false positive rate, true positive rate), ascending, of at most about MOST_POINTS cuts."""
        true, false = self.cuts()
        keep = _thinned(len(true))
        return (false / (false[-1] or 1.0))[keep], (true / (true[-1] or 1.0))[keep]

    def precision_recall(self) -> tuple[Array, Array]:
        """(recall, precision) by descending cut, beginning with the highest score, of at most MOST_POINTS or so."""
        true, false = (values[1:] for values in self.cuts())
        keep = _thinned(len(true))
        return (true / (true[-1] or 1.0))[keep], (true / (true + false))[keep]

    def lift(self, shares: Array) -> Array:
        """How many times more positives the rows of highest score hold than as many rows drawn at random.

        Args:
            shares: of all rows, (m,) above 0. Rows of equal score count in part.
        """
        true, false = self.cuts()
        rows = (true + false) / self._rows.sum()
        return np.asarray(np.interp(shares, rows, true / (true[-1] or 1.0)) / shares)

    def threshold(self, rule: Cut) -> float:
        """The number above which a score is called positive, by this rule on these rows.

        It lies midway between two scores, so that no row of these is on it. Of equally good ones the highest.
        """
        if isinstance(rule, float):
            return rule
        true, false = self.cuts()
        if isinstance(rule, LeastCost):
            best = int(np.argmin(rule.fn * (true[-1] - true) + rule.fp * false))
        else:
            best = int(np.argmax(2 * true / (true[-1] + true + false))) if true[-1] else 0
        upper = self.scores[best - 1] if best else 1.0
        lower = self.scores[best] if best < len(self.scores) else math.nextafter(self.scores[-1], -1.0)
        middle = float(lower + (upper - lower) / 2)
        return middle if middle < upper or not best else float(lower)


def confusion(positive: npt.NDArray[np.bool_], said: npt.NDArray[np.bool_]) -> dict[str, int]:
    """Rows by truth and by what is said of them: TP, FP, FN, TN."""
    return {
        "TP": int((positive & said).sum()),
        "FP": int((~positive & said).sum()),
        "FN": int((positive & ~said).sum()),
        "TN": int((~positive & ~said).sum()),
    }


def _thinned(points: int) -> npt.NDArray[np.int64]:
    """Numbers of at most MOST_POINTS points, evenly spread, both ends among them."""
    return np.unique(np.linspace(0, points - 1, min(points, MOST_POINTS)).round().astype(np.int64))
