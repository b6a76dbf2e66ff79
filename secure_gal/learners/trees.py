"""Estimators with scikit-learn's fit and predict, one a column of the residual: `gb`, `svm` and users' own."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from secure_gal.errors import SettingsError
from secure_gal.factories import own_code
from secure_gal.learners.base import NUMPY, Placement
from secure_gal.learners.cross_fit import OUT_OF_BAG, CrossFit, Folds, by_folds
from secure_gal.learners.fold_workers import Fits, Piece, Timing, each_piece

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
        self._factory, self.placement, self.timing = factory, placement, Timing()

    def fit(self, x: npt.NDArray[np.float64], residual: npt.NDArray[np.float32], seed: int) -> ColumnModels:
        """Fit x (n, p) to the pseudo-residual (n, K).

        Raises:
            SettingsError: an estimator refuses its options, or fails.
        """
        return ColumnModels(tuple(self._fitted(x, column, seed) for column in residual.astype(np.float64).T))

    def cross_fit(self, x: Any, residual: npt.NDArray[np.float32], seed: int, folds: Folds) -> CrossFit:
        """Out-of-bag values of one fit where the estimator is a bagged one that has them; else by folds."""
        sample = self._factory(seed)
        if not (getattr(sample, "bootstrap", False) and hasattr(sample, "oob_score")):
            return by_folds(self, x, residual, seed, folds)
        model = each_piece(self.timing, self._bagged, Fits(x, residual, None, [seed]))[0]
        if all(_every_row_out_of_bag(estimator, len(x)) for estimator in model.columns):
            columns = [np.asarray(e.oob_prediction_, dtype=np.float64).reshape(len(x)) for e in model.columns]
            return CrossFit(model, np.stack(columns, axis=1), OUT_OF_BAG)
        found = by_folds(self, x, residual, seed, folds)
        why = f"the out-of-bag values of {type(sample).__name__} leave out rows: use more trees, for one fit a round"
        return found._replace(how=f"{found.how} ({why})")

    def _bagged(self, piece: Piece) -> ColumnModels:
        bagged = EstimatorLearner(lambda seed: _with_oob(self._factory(seed)), self.placement)
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Some inputs do not have OOB scores", UserWarning)
            return bagged.fit(piece.kept, piece.residual, piece.seed)

    def _fitted(self, x: npt.NDArray[np.float64], target: npt.NDArray[np.float64], seed: int) -> Any:
        estimator = self._factory(seed)
        with own_code(WHERE, f"fit of {type(estimator).__name__} failed"):
            estimator.fit(x, target)
        return estimator


def _with_oob(estimator: Any) -> Any:
    return estimator if estimator.oob_score else estimator.set_params(oob_score=True)


def _every_row_out_of_bag(estimator: Any, rows: int) -> bool:
    """Whether each row was left out by some member; False for releases of scikit-learn that do not tell."""
    if not hasattr(estimator, "oob_prediction_") or not hasattr(estimator, "estimators_samples_"):
        return False
    out = np.zeros(rows, dtype=np.bool_)
    for drawn in estimator.estimators_samples_:
        out |= np.bincount(drawn, minlength=rows) == 0
    return bool(out.all())


class OwnKind(EstimatorLearner):
    """Of an estimator that every process of this installation can import."""

    def __init__(self, factory: Callable[[int], Any]) -> None:
        super().__init__(factory)
        self.timing = Timing(on_cores=True)


def tried(factory: Callable[[int], Any]) -> OwnKind:
    """The learner of `factory(seed)`, its options tried on eight rows: scikit-learn checks them in `fit` only, and a
    study's first fit comes after ids have been aligned."""
    learner = OwnKind(factory)
    learner.fit(np.linspace(0.0, 1.0, 8)[:, None], np.zeros((8, 1), dtype=np.float32), 0)
    return learner
