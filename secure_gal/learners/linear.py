"""Ridge regression on columns as they are, in closed form."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from secure_gal.learners.base import EncodedRows
from secure_gal.learners.cross_fit import CrossFit, Folds
from secure_gal.learners.ridge import MOST_FREEDOM, least_ridge, leave_one_out, leave_one_out_scales

Array = npt.NDArray[np.float64]
ROWS = 2048
"""Rows whose leverages are computed at a time, so that they stay in the cache."""
BAND = 64
"""Rows of the triangle that are multiplied at a time, with its columns from the first of them on."""


@dataclass(frozen=True, slots=True)
class LinearModel:
    """coefficients (p, K), intercept (K,)."""

    coefficients: Array = field(repr=False)
    intercept: Array = field(repr=False)

    def predict(self, x: EncodedRows) -> Array:
        """x (n, p) to (n, K)."""
        return np.asarray(np.asarray(x, dtype=np.float64) @ self.coefficients + self.intercept)


class LinearLearner:
    """argmin mean |r - x b - c|^2 + ridge |b|^2, intercept free; features are taken as already scaled.

    What depends on x alone, the factorisation of its Gram matrix and the leverages, is kept over rounds: a round costs
    two products with x.
    """

    def __init__(self, ridge: float = 1e-4) -> None:
        self._ridge = ridge
        self._for: EncodedRows | None = None
        self._mean: Array = np.zeros(0)
        self._root: Array = np.zeros((0, 0))
        self._scales: tuple[Array, Array] | None = None

    def fit(self, x: EncodedRows, residual: npt.NDArray[np.float32], seed: int) -> LinearModel:
        """Fit x (n, p) to the pseudo-residual (n, K); `seed` is not needed."""
        table = np.asarray(x, dtype=np.float64)
        if self._for is not x:
            self._factorise(table)
            self._for, self._scales = x, None
        target = residual.astype(np.float64)
        moment = (table.T @ target - np.outer(self._mean, target.sum(axis=0))) / len(x)
        b = self._root @ (self._root.T @ moment)
        return LinearModel(b, target.mean(axis=0) - self._mean @ b)

    def cross_fit(self, x: EncodedRows, residual: npt.NDArray[np.float32], seed: int, folds: Folds) -> CrossFit:
        """The same fit and exact leave-one-out values; neither `seed` nor `folds` is needed."""
        model = self.fit(x, residual, seed)
        if self._scales is None:
            self._scales = leave_one_out_scales((1.0 + self._lengths(np.asarray(x, dtype=np.float64))) / len(x))
        return leave_one_out(model, model.predict(x), residual, self._scales)

    def _factorise(self, x: Array) -> None:
        """(x'x / n + ridge)^-1 of centred x, as a root times its transpose."""
        self._mean = np.asarray(x.mean(axis=0), dtype=np.float64)
        centred = x - self._mean
        variances, directions = np.linalg.eigh(centred.T @ centred / len(x))
        variances = variances.clip(0.0)
        crowded = x.shape[1] + 1 > MOST_FREEDOM * len(x)
        strengths = variances + max(self._ridge, least_ridge(variances, len(x)) if crowded else 0.0)
        # Directions of no variance but rounding: without ridge they would be amplified without bound.
        there = strengths > strengths.max(initial=0.0) * len(strengths) * np.finfo(np.float64).eps
        self._root = directions[:, there] / np.sqrt(strengths[there])

    def _lengths(self, x: Array) -> Array:
        """|x_i root|^2 of centred rows, (n,): of a triangle with the same lengths, at half the cost where it is large.

        BLAS has a product with a triangle; SciPy, which gives it, takes 0.15 s to import, and every first fit waits.
        """
        triangle = np.asarray(np.linalg.qr(self._root.T, mode="r"))
        found = np.zeros(len(x))
        for start in range(0, len(x), ROWS):
            rows = (x[start : start + ROWS] - self._mean).T
            for top in range(0, len(triangle), BAND):
                turned = triangle[top : top + BAND, top:] @ rows[top:]
                found[start : start + ROWS] += np.einsum("ji,ji->i", turned, turned)
        return found
