"""`gb` and `svm`, and any other estimator with scikit-learn's fit and predict, one a column of the residual."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from secure_gal.errors import SettingsError
from secure_gal.factories import own_code
from secure_gal.learners.base import NUMPY, Placement

WHERE = "[learner] kind or options"


@dataclass(frozen=True, slots=True)
class ColumnModels:
    """One fitted estimator a column."""

    columns: tuple[Any, ...]

    def predict(self, x: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """x (n, p) to (n, K).

        Raises:
            SettingsError: an estimator fails, or returns something other than n finite numbers.
        """
        return np.stack([_predict(model, x) for model in self.columns], axis=1)


def _predict(model: Any, x: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    name = type(model).__name__
    with own_code(WHERE, f"predict of {name} failed"):
        values = np.asarray(model.predict(x), dtype=np.float64)
    if values.shape not in ((len(x),), (len(x), 1)):
        raise SettingsError(
            WHERE, f"predict of {name} returned shape {values.shape}; expected ({len(x)},), one number a row"
        )
    if not np.isfinite(values).all():
        raise SettingsError(WHERE, f"predict of {name} returned infinite values or nan; mend it in the module")
    return values.reshape(len(x))


class EstimatorLearner:
    """Fits a fresh estimator of `factory(seed)` to each column of the residual."""

    def __init__(self, factory: Callable[[int], Any], placement: Placement = NUMPY) -> None:
        self._factory, self.placement = factory, placement

    def fit(self, x: npt.NDArray[np.float64], residual: npt.NDArray[np.float32], seed: int) -> ColumnModels:
        """Fit x (n, p) to the pseudo-residual (n, K).

        Raises:
            SettingsError: an estimator refuses its options, or fails.
        """
        return ColumnModels(tuple(self._fitted(x, column, seed) for column in residual.astype(np.float64).T))

    def _fitted(self, x: npt.NDArray[np.float64], target: npt.NDArray[np.float64], seed: int) -> Any:
        estimator = self._factory(seed)
        with own_code(WHERE, f"fit of {type(estimator).__name__} failed"):
            estimator.fit(x, target)
        return estimator


def gradient_boosting(loss: str, options: dict[str, Any]) -> EstimatorLearner:
    """scikit-learn's histogram gradient boosting on the residual, with l1 or l2."""
    from sklearn.ensemble import HistGradientBoostingRegressor

    name = {"l2": "squared_error", "l1": "absolute_error"}[loss]
    defaults = {"max_iter": 50, "max_depth": 3, "learning_rate": 0.1}

    def factory(seed: int) -> Any:
        return HistGradientBoostingRegressor(loss=name, early_stopping=False, random_state=seed, **defaults | options)

    return _tried(EstimatorLearner(factory))


def support_vectors(options: dict[str, Any]) -> EstimatorLearner:
    """scikit-learn's support vector regression (its own epsilon-insensitive loss)."""
    from sklearn.svm import SVR

    return _tried(EstimatorLearner(lambda seed: SVR(**options)))


def _tried(learner: EstimatorLearner) -> EstimatorLearner:
    """The learner, its options tried on eight rows: scikit-learn checks them in `fit` only, and a study's first fit
    comes after ids have been aligned."""
    learner.fit(np.linspace(0.0, 1.0, 8)[:, None], np.zeros((8, 1), dtype=np.float32), 0)
    return learner
