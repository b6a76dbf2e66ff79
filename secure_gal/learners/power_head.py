"""Heads of the local losses other than l2: a convex problem in the coordinates of the ridge basis.

In these coordinates l2 would be solved by one product (`secure_gal.learners.ridge`): the basis is the preconditioner,
and the factorisation that it took is kept over all rounds, folds and outputs.
"""

from __future__ import annotations

import functools

import numpy as np
import numpy.typing as npt

from secure_gal.learners.base import EncodedRows, as_table
from secure_gal.learners.cross_fit import CrossFit, Folds, each_fold
from secure_gal.learners.fold_workers import Fits, Piece, Timing, each_piece
from secure_gal.learners.ridge import Head

Array = npt.NDArray[np.float64]
SMOOTHINGS = (0.3, 0.03, 3e-3, 3e-4)
"""|u|^p with p < 2 is solved as (u^2 + e^2)^(p/2), for one e after the other, in standard deviations of the residual.
Each is above |u|^p by e^p at most, and so is the value of what the last one finds above the minimum."""
MAX_STEPS = 200
"""L-BFGS steps for each of them."""


class PowerHeadLearner:
    """argmin mean |r - Phi b - c|^p + (p/2) s^(p-2) ridge |b|^2 for 1 <= p, c free, s the standard deviation of r.

    The factor makes `ridge` mean the same for every p: for p = 2 it is ridge regression, for others the penalty's
    curvature keeps its ratio to the loss's at |r| = s, and a residual of another size gives the same fit, resized.

    With f = U g and b = B g, as `RidgeBasis` makes them of the training rows, N ridge |b|^2 = |g|^2 - |U g|^2, and U'U
    is diagonal; so the penalty needs U alone.
    """

    def __init__(self, power: float) -> None:
        self._power, self.timing = power, Timing()

    def fit(self, u: EncodedRows, residual: npt.NDArray[np.float32], seed: int) -> Head:
        """Fit U (n, width) of the training rows to the pseudo-residual (n, K); `seed` is not needed."""
        columns = as_table(u)
        return Head(self._coefficients(columns, residual, _shrinkage(columns), len(u)))

    def cross_fit(self, u: EncodedRows, residual: npt.NDArray[np.float32], seed: int, folds: Folds) -> CrossFit:
        """One head a fold, fitted to all other rows under the same ridge; new rows get their mean, which is a head."""
        columns, rows, values = as_table(u), each_fold(folds), np.empty(residual.shape)
        fit = functools.partial(self._of_piece, _shrinkage(columns), len(u))
        heads = each_piece(self.timing, fit, Fits(u, residual, folds, range(len(rows))))
        for (held, _), head in zip(rows, heads, strict=True):
            values[held] = columns[held] @ head
        return CrossFit(Head(np.mean(heads, axis=0)), values, f"out-of-fold values, {len(heads)} folds")

    def _of_piece(self, shrinkage: Array, rows: int, piece: Piece) -> Array:
        return self._coefficients(as_table(piece.kept), piece.residual, shrinkage, rows)

    def _coefficients(self, u: Array, residual: npt.NDArray[np.float32], shrinkage: Array, rows: int) -> Array:
        """g (width, K); `rows`: of the basis, whose columns have squares that add up to 1 - shrinkage."""
        columns = np.sqrt(rows) * u
        solved = [power_fit(columns, r, shrinkage, self._power) for r in residual.astype(np.float64).T]
        return np.asarray(np.sqrt(rows) * np.stack(solved, axis=1))


def _shrinkage(u: Array) -> Array:
    """ridge / (variance + ridge) of each column of U (width,); 0 for the intercept."""
    return np.asarray(np.maximum(1.0 - np.einsum("ij,ij->j", u, u), 0.0))


def power_fit(columns: Array, r: Array, penalty: Array, power: float) -> Array:
    """argmin_v mean |r - columns v|^p + (p/2) s^(p-2) sum penalty v^2, (width,), to about 1e-3 s^p of its value.

    Args:
        columns: (n, width), the last one constant; r: (n,); penalty: (width,), 0 or more.
    """
    from scipy.optimize import minimize  # heavy; fitting alone needs it

    scale = float(r.std())
    start = np.zeros(columns.shape[1])
    start[-1] = r.mean() / columns[0, -1]
    if scale <= 1e-12 * float(np.abs(r).max(initial=1e-300)):
        return start
    scaled, v = r / scale, start / scale
    for smoothing in SMOOTHINGS if power < 2 else (0.0,):

        def objective(v: Array, e: float = smoothing) -> tuple[float, Array]:
            left = scaled - columns @ v
            size = left**2 + e**2
            slope = power * left * size ** (power / 2 - 1) if e else power * np.sign(left) * size ** ((power - 1) / 2)
            value = float(np.mean(size ** (power / 2)) + power / 2 * (penalty @ v**2))
            return value, power * penalty * v - columns.T @ slope / len(left)

        options = {"maxiter": MAX_STEPS, "maxcor": 20, "ftol": 1e-10, "gtol": 1e-7}
        v = minimize(objective, v, jac=True, method="L-BFGS-B", options=options).x
    return np.asarray(v * scale)
