"""Ridge regression on columns as they are, in closed form."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from secure_gal.learners.cross_fit import LEAVE_ONE_OUT, CrossFit, Folds
from secure_gal.learners.ridge import MOST_FREEDOM, least_ridge, leave_one_out

Array = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class LinearModel:
    """coefficients (p, K), intercept (K,)."""

    coefficients: Array
    intercept: Array

    def predict(self, x: Array) -> Array:
        """x (n, p) to (n, K)."""
        return np.asarray(x @ self.coefficients + self.intercept)


class LinearLearner:
    """argmin mean |r - x b - c|^2 + ridge |b|^2, intercept free; features are taken as already scaled.

    The factorisation of the Gram matrix is kept over rounds: a round costs two products with x.
    """

    def __init__(self, ridge: float = 1e-4) -> None:
        self._ridge = ridge
        self._for: Array | None = None
        self._mean: Array = np.zeros(0)
        self._solve: Array = np.zeros((0, 0))
        self._leverage: Array | None = None

    def fit(self, x: Array, residual: npt.NDArray[np.float32], seed: int) -> LinearModel:
        """Fit x (n, p) to the pseudo-residual (n, K); `seed` is not needed."""
        return self._ridge_fit(x, residual.astype(np.float64))

    def cross_fit(self, x: Array, residual: npt.NDArray[np.float32], seed: int, folds: Folds) -> CrossFit:
        """The same fit and exact leave-one-out values; neither `seed` nor `folds` is needed."""
        model, target = self.fit(x, residual, seed), residual.astype(np.float64)
        if self._leverage is None:
            centred = x - self._mean
            self._leverage = (1.0 + np.einsum("ij,ij->i", centred @ self._solve, centred)) / len(x)
        return CrossFit(model, leave_one_out(model.predict(x), target, self._leverage), LEAVE_ONE_OUT)

    def _ridge_fit(self, x: Array, target: Array) -> LinearModel:
        if self._for is not x:
            self._mean = np.asarray(x.mean(axis=0), dtype=np.float64)
            centred = x - self._mean
            gram = centred.T @ centred / len(x)
            crowded = x.shape[1] + 1 > MOST_FREEDOM * len(x)
            least = least_ridge(np.linalg.eigvalsh(gram).clip(0.0), len(x)) if crowded else 0.0
            gram[np.diag_indices_from(gram)] += max(self._ridge, least)
            self._solve = np.asarray(np.linalg.pinv(gram, hermitian=True), dtype=np.float64)
            self._for, self._leverage = x, None
        moment = (x.T @ target - np.outer(self._mean, target.sum(axis=0))) / len(x)
        b = self._solve @ moment
        return LinearModel(b, target.mean(axis=0) - self._mean @ b)
