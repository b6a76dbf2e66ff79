"""`linear`: ridge in closed form; other local losses by proper convex solvers."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from secure_gal.learners.cross_fit import LEAVE_ONE_OUT, CrossFit, Folds, by_folds
from secure_gal.learners.declare import POWERS
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
    """argmin mean |r - x b - c|^power + ridge |b|^2, intercept free; features are taken as already scaled.

    For l2 the factorisation of the Gram matrix is kept over rounds: a round costs two products with x.
    """

    def __init__(self, loss: str = "l2", ridge: float = 1e-4) -> None:
        self._power, self._loss, self._ridge = POWERS[loss], loss, ridge
        self._for: Array | None = None
        self._mean: Array = np.zeros(0)
        self._solve: Array = np.zeros((0, 0))
        self._leverage: Array | None = None

    def fit(self, x: Array, residual: npt.NDArray[np.float32], seed: int) -> LinearModel:
        """Fit x (n, p) to the pseudo-residual (n, K); `seed` is not needed."""
        target = residual.astype(np.float64)
        if self._loss == "l2":
            return self._ridge_fit(x, target)
        fit_one = self._least_absolute if self._loss == "l1" else self._smooth
        columns = [fit_one(x, target[:, k]) for k in range(target.shape[1])]
        return LinearModel(np.stack([b for b, _ in columns], axis=1), np.array([c for _, c in columns]))

    def cross_fit(self, x: Array, residual: npt.NDArray[np.float32], seed: int, folds: Folds) -> CrossFit:
        """The same fit and, for l2, exact leave-one-out values; other losses go by folds."""
        if self._loss != "l2":
            return by_folds(self, x, residual, seed, folds)
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

    def _least_absolute(self, x: Array, target: Array) -> tuple[Array, float]:
        from sklearn.linear_model import QuantileRegressor

        fitted = QuantileRegressor(quantile=0.5, alpha=self._ridge, solver="highs").fit(x, target)
        return np.asarray(fitted.coef_), float(fitted.intercept_)

    def _smooth(self, x: Array, target: Array) -> tuple[Array, float]:
        from scipy.optimize import minimize

        power, scale = self._power, float(np.abs(target).max()) or 1.0
        r = target / scale

        def objective(theta: Array) -> tuple[float, Array]:
            left = r - x @ theta[:-1] - theta[-1]
            slope = -power * np.sign(left) * np.abs(left) ** (power - 1) / len(r)
            gradient = np.append(x.T @ slope + 2 * self._ridge * theta[:-1], slope.sum())
            return float(np.mean(np.abs(left) ** power) + self._ridge * theta[:-1] @ theta[:-1]), gradient

        found = minimize(
            objective,
            np.zeros(x.shape[1] + 1),
            jac=True,
            method="L-BFGS-B",
            options={"maxiter": 2000, "ftol": 1e-14, "gtol": 1e-9},
        )
        return np.asarray(found.x[:-1] * scale), float(found.x[-1] * scale)
