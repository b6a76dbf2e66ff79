"""Estimators with scikit-learn's fit and predict, one a column of the residual: `gb`, `svm` and users' own."""

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


def tried(factory: Callable[[int], Any]) -> EstimatorLearner:
    """The learner of `factory(seed)`, its options tried on eight rows: scikit-learn checks them in `fit` only, and a
    study's first fit comes after ids have been aligned."""
    learner = EstimatorLearner(factory)
    learner.fit(np.linspace(0.0, 1.0, 8)[:, None], np.zeros((8, 1), dtype=np.float32), 0)
    return learner
