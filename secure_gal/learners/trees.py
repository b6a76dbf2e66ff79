"""`gb` and `svm`, and any other estimator with scikit-learn's fit and predict, one a column of the residual."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from secure_gal.learners.base import NUMPY, Placement


@dataclass(frozen=True, slots=True)
class ColumnModels:
    """One fitted estimator a column."""

    columns: tuple[Any, ...]

    def predict(self, x: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """x (n, p) to (n, K)."""
        return np.stack([np.asarray(m.predict(x), dtype=np.float64).reshape(len(x)) for m in self.columns], axis=1)


class EstimatorLearner:
    """Fits a fresh estimator of `factory(seed)` to each column of the residual."""

    def __init__(self, factory: Callable[[int], Any], placement: Placement = NUMPY) -> None:
        self._factory, self.placement = factory, placement

    def fit(self, x: npt.NDArray[np.float64], residual: npt.NDArray[np.float32], seed: int) -> ColumnModels:
        """Fit x (n, p) to the pseudo-residual (n, K)."""
        target = residual.astype(np.float64)
        return ColumnModels(tuple(self._factory(seed).fit(x, target[:, k]) for k in range(target.shape[1])))


def gradient_boosting(loss: str, options: dict[str, Any]) -> EstimatorLearner:
    """scikit-learn's histogram gradient boosting on the residual, with l1 or l2."""
    from sklearn.ensemble import HistGradientBoostingRegressor

    name = {"l2": "squared_error", "l1": "absolute_error"}[loss]
    defaults = {"max_iter": 50, "max_depth": 3, "learning_rate": 0.1}

    def factory(seed: int) -> Any:
        return HistGradientBoostingRegressor(loss=name, early_stopping=False, random_state=seed, **defaults | options)

    return EstimatorLearner(factory)


def support_vectors(options: dict[str, Any]) -> EstimatorLearner:
    """scikit-learn's support vector regression (its own epsilon-insensitive loss)."""
    from sklearn.svm import SVR

    return EstimatorLearner(lambda seed: SVR(**options))
