"""Estimators with scikit-learn's fit and predict, one a column of the residual: `gb`, `svm` and users' own."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, TypeGuard

import numpy as np
import numpy.typing as npt

from secure_gal.errors import SettingsError
from secure_gal.factories import own_code
from secure_gal.learners.base import NUMPY, EncodedRows, Placement
from secure_gal.learners.cross_fit import OUT_OF_BAG, CrossFit, Folds, by_folds
from secure_gal.learners.fold_workers import Fits, Piece, Timing, each_piece

Array = npt.NDArray[np.float64]
WHERE = "[learner] kind or options"


class Estimator(Protocol):
    """What scikit-learn's regressors are, and users' own."""

    def fit(self, x: EncodedRows, y: Array, /) -> object:
        """Fit x (n, ...) to a column of the residual (n,)."""
        ...

    def predict(self, x: EncodedRows, /) -> npt.ArrayLike:
        """x (n, ...) to one number a row."""
        ...


class Bagged(Estimator, Protocol):
    """One that may be fitted to bootstrap samples, and then can tell of rows outside them."""

    bootstrap: bool
    oob_score: bool


@dataclass(frozen=True, slots=True)
class ColumnModels:
    """One fitted estimator a column."""

    columns: tuple[Estimator, ...]

    def predict(self, x: EncodedRows) -> Array:
        """x (n, ...) to (n, K).

        Raises:
            SettingsError: an estimator fails, or returns something other than n finite numbers.
        """
        return np.stack([_predict(model, x) for model in self.columns], axis=1)


def _predict(model: Estimator, x: EncodedRows) -> Array:
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

    def __init__(self, factory: Callable[[int], Estimator], placement: Placement = NUMPY) -> None:
        self._factory, self.placement, self.timing = factory, placement, Timing()

    def fit(self, x: EncodedRows, residual: npt.NDArray[np.float32], seed: int) -> ColumnModels:
        """Fit x (n, ...) to the pseudo-residual (n, K).

        Raises:
            SettingsError: an estimator refuses its options, or fails.
        """
        return ColumnModels(tuple(self._fitted(x, column, seed) for column in residual.astype(np.float64).T))

    def cross_fit(self, x: EncodedRows, residual: npt.NDArray[np.float32], seed: int, folds: Folds) -> CrossFit:
        """Out-of-bag values of one fit where the estimator is a bagged one that has them; else by folds."""
        sample = self._factory(seed)
        if not (_is_bagged(sample) and sample.bootstrap):
            return by_folds(self, x, residual, seed, folds)
        model = each_piece(self.timing, self._bagged, Fits(x, residual, None, [seed]))[0]
        columns = [values for e in model.columns if (values := _out_of_bag(e, len(x))) is not None]
        if len(columns) == len(model.columns):
            return CrossFit(model, np.stack(columns, axis=1), OUT_OF_BAG)
        found = by_folds(self, x, residual, seed, folds)
        why = f"the out-of-bag values of {type(sample).__name__} leave out rows: use more trees, for one fit a round"
        return found._replace(how=f"{found.how} ({why})")

    def _bagged(self, piece: Piece) -> ColumnModels:
        bagged = EstimatorLearner(lambda seed: _with_oob(self._factory(seed)), self.placement)
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Some inputs do not have OOB scores", UserWarning)
            return bagged.fit(piece.kept, piece.residual, piece.seed)

    def _fitted(self, x: EncodedRows, target: Array, seed: int) -> Estimator:
        estimator = self._factory(seed)
        with own_code(WHERE, f"fit of {type(estimator).__name__} failed"):
            estimator.fit(x, target)
        return estimator


def _is_bagged(estimator: Estimator) -> TypeGuard[Bagged]:
    return hasattr(estimator, "bootstrap") and hasattr(estimator, "oob_score")


def _with_oob(estimator: Estimator) -> Estimator:
    if _is_bagged(estimator) and not estimator.oob_score and hasattr(estimator, "set_params"):
        estimator.set_params(oob_score=True)
    return estimator


def _out_of_bag(estimator: Estimator, rows: int) -> Array | None:
    """Values (n,) of rows that were each left out by some member; None where one was not, and for releases of
    scikit-learn that do not tell."""
    if not hasattr(estimator, "oob_prediction_") or not hasattr(estimator, "estimators_samples_"):
        return None
    out = np.zeros(rows, dtype=np.bool_)
    for drawn in estimator.estimators_samples_:
        out |= np.bincount(drawn, minlength=rows) == 0
    return np.asarray(estimator.oob_prediction_, dtype=np.float64).reshape(rows) if out.all() else None


class OwnKind(EstimatorLearner):
    """Of an estimator that every process of this installation can import."""

    def __init__(self, factory: Callable[[int], Estimator]) -> None:
        super().__init__(factory)
        self.timing = Timing(on_cores=True)


def tried(factory: Callable[[int], Estimator]) -> OwnKind:
    """The learner of `factory(seed)`, its options tried on eight rows: scikit-learn checks them in `fit` only, and a
    study's first fit comes after ids have been aligned."""
    learner = OwnKind(factory)
    learner.fit(np.linspace(0.0, 1.0, 8)[:, None], np.zeros((8, 1), dtype=np.float32), 0)
    return learner
