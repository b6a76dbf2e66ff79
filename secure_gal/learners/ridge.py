"""Ridge regression as two products, f = U (U_train' r): the same numbers in the clear and on ciphertexts.

With centred features Phi, A = (Phi'Phi + N lambda I)^-1 = B B' and U = Phi B, the fitted values of ridge regression are
U U' r; one more column 1/sqrt(N) adds the free intercept. Everything that depends on the features is in U, which is
computed once and never sees a residual.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from secure_gal.errors import DataError
from secure_gal.learners.base import EncodedRows, Model, as_table
from secure_gal.learners.cross_fit import LEAVE_ONE_OUT, CrossFit, Folds, Residual

Array = npt.NDArray[np.float64]
FREEDOM = 0.05
"""`auto` aims at FREEDOM * N_train^(2/3) effective degrees of freedom; chosen by experiment, docs/decisions/0004."""
MOST_OUTPUTS = 4
"""For K outputs, fits in the clear aim at min(K, MOST_OUTPUTS) times that: K classes differ in up to K - 1 directions.
Measured on 3 to 68 classes (docs/decisions/0004); 8 times helped some and harmed others. On ciphertexts, where width is
cost, K counts as 1."""
WIDEST = 8.0
"""`auto` keeps the directions of largest variance, U at most WIDEST * freedom wide, rounded down to a power of two:
the others are shrunk to next to nothing, and an encrypted fit costs as much as its padded width."""
MOST_FREEDOM = 0.9
"""Largest share of N_train that the effective degrees of freedom, intercept included, may have: a ridge that leaves
more is raised. With as many as rows every row explains itself, and 1 - h vanishes for all of them alike."""
MAX_LEVERAGE = 0.95
"""Leverage up to which leave-one-out values are exact; above it they are drawn towards 0 (`leave_one_out_scales`), so
that no value, and no error of an encrypted fit, grows by more than 1 / (1 - MAX_LEVERAGE)."""


class Moments:
    """Count, mean and centred Gram matrix of rows in blocks, without cancellation (Chan, Golub and LeVeque 1983)."""

    def __init__(self, width: int) -> None:
        self.rows = 0
        self.mean: Array = np.zeros(width)
        self.gram: Array = np.zeros((width, width))

    def add(self, block: Array) -> None:
        """Take in rows (n, p)."""
        n, mean = len(block), block.mean(axis=0)
        centred = block - mean
        step = mean - self.mean
        self.gram += centred.T @ centred
        self.gram += np.outer(step, step) * (self.rows * n / (self.rows + n))
        self.mean = self.mean + step * (n / (self.rows + n))
        self.rows += n


@dataclass(frozen=True, slots=True)
class RidgeBasis:
    """What turns features (n, p) into U (n, width).

    Attributes:
        mean: of the training rows, (p,).
        factor: B (p, width - 1), its columns in order of falling variance.
        rows: N_train.
        ridge: lambda.
        freedom: effective degrees of freedom, the intercept not counted: sum of squared row norms of U less one.
    """

    mean: Array = field(repr=False)
    factor: Array = field(repr=False)
    rows: int
    ridge: float
    freedom: float

    @classmethod
    def fit(cls, phi_train: Array | Iterable[Array], ridge: float | str, outputs: int = 1) -> RidgeBasis:
        """Learn mean and factor from the training rows' features.

        Args:
            phi_train: (N_train, p), or the same in blocks of rows, which are seen once.
            ridge: lambda >= 0 of the mean squared error, or `auto`.
            outputs: K, which `auto` goes by.

        Raises:
            DataError: there are no rows.
        """
        moments: Moments | None = None
        for block in [phi_train] if isinstance(phi_train, np.ndarray) else phi_train:
            if len(block):
                moments = moments or Moments(block.shape[1])
                moments.add(block)
        if moments is None:
            raise DataError("[data]", "there are no training rows to fit features to")
        return cls._solve(moments, ridge, outputs)

    @classmethod
    def _solve(cls, moments: Moments, ridge: float | str, outputs: int) -> RidgeBasis:
        n = moments.rows
        variances, directions = np.linalg.eigh(moments.gram / n)
        variances, directions = variances[::-1].clip(0.0), directions[:, ::-1]
        # Directions of no variance but rounding: without ridge they would be amplified without bound.
        rank = (
            int(np.sum(variances > variances[0] * len(variances) * np.finfo(np.float64).eps)) if len(variances) else 0
        )
        variances, directions = variances[:rank], directions[:, :rank]
        chosen = ridge_for(variances, n, outputs) if isinstance(ridge, str) else float(ridge)
        strength = max(chosen, least_ridge(variances, n))
        kept = variances / (variances + strength)
        if isinstance(ridge, str):
            used = most_columns(kept.sum()) - 1
            variances, directions, kept = variances[:used], directions[:, :used], kept[:used]
        factor = directions / np.sqrt(n * (variances + strength))
        return cls(moments.mean, np.ascontiguousarray(factor), n, strength, float(kept.sum()))

    @property
    def width(self) -> int:
        """Columns of U: the directions kept, and the intercept."""
        return int(self.factor.shape[1]) + 1

    def basis(self, phi: Array, clip: bool = False) -> Array:
        """Features (n, p) to U float64 (n, width); the last column is the intercept's.

        A training row's squared norm is its leverage, at most 1. A new row's may be larger; `clip` scales such rows
        down to norm 1, which the bound on an encrypted reply's noise needs, and clear fits do the same.
        """
        u = np.empty((len(phi), self.width))
        np.matmul(phi - self.mean, self.factor, out=u[:, :-1])
        u[:, -1] = 1 / np.sqrt(self.rows)
        if clip:
            norms = np.sqrt(np.einsum("ij,ij->i", u, u))
            u /= np.maximum(norms, 1.0)[:, None]
        return u


def most_columns(freedom: float) -> int:
    """Columns of U, the intercept's included, where `auto` leaves so many effective degrees of freedom."""
    return int(2 ** int(np.log2(max(2.0, WIDEST * (freedom + 1)))))


def freedom_for(rows: int, outputs: int = 1) -> float:
    """Effective degrees of freedom that `auto` aims at."""
    return float(FREEDOM * min(outputs, MOST_OUTPUTS) * rows ** (2 / 3))


def ridge_for(variances: Array, rows: int, outputs: int = 1) -> float:
    """The ridge at which sum v/(v + lambda) = FREEDOM min(K, MOST_OUTPUTS) N^(2/3), and 1e-4 of the mean variance where
    v has fewer.

    Only the features' spectrum and the numbers of rows and outputs enter, no residual. That degrees of freedom should
    grow as a power of N below 1 is kernel ridge theory (Caponnetto and De Vito 2007); power and constants are measured.
    """
    if not len(variances):
        return 0.0
    from scipy.optimize import brentq

    aim, floor = freedom_for(rows, outputs), 1e-4 * float(variances.mean())

    def excess(log_ridge: float) -> float:
        return float(np.sum(variances / (variances + np.exp(log_ridge)))) - aim

    low, high = np.log(floor), np.log(variances.sum() / aim)  # sum v/(v + lambda) < sum v/lambda
    return floor if excess(low) <= 0 else float(np.exp(brentq(excess, low, high, xtol=1e-9)))


def least_ridge(variances: Array, rows: int) -> float:
    """The ridge at which 1 + sum v/(v + lambda) = MOST_FREEDOM N; 0 where these variances leave fewer without one."""
    used = variances[variances > 0]
    aim = MOST_FREEDOM * rows - 1
    if len(used) <= aim or not len(used):
        return 0.0
    from scipy.optimize import brentq

    aim = max(aim, 0.5)  # of one or two rows
    low, high = np.log(1e-12 * used.min()), np.log(used.sum() / aim)
    return float(np.exp(brentq(lambda s: float(np.sum(used / (used + np.exp(s)))) - aim, low, high, xtol=1e-9)))


def leave_one_out_scales(leverage: Array) -> tuple[Array, Array]:
    """(a, b), (N,) each, with which a_i f_i - b_i r_i is the value of row i from a fit without it.

    For f = H r with h = diag H, the fit without row i gives (f_i - h_i r_i) / (1 - h_i): exact for ridge regression
    with a free intercept, where the penalty N lambda |b|^2 stays as it is (Cook and Weisberg 1982; Allen's PRESS).
    f_i - h_i r_i never depends on r_i. So where h_i is above MAX_LEVERAGE only the divisor is clipped: the value is
    drawn towards 0 and still has not seen its row.
    """
    a = 1.0 / np.maximum(1.0 - leverage, 1.0 - MAX_LEVERAGE)
    return a, leverage * a


def leave_one_out(model: Model, fitted: Array, residual: Residual, scales: tuple[Array, Array]) -> CrossFit:
    """A ridge fit's model with leave-one-out values (N, K), from its fitted values (N, K), which are overwritten, what
    they were fitted to, and `leave_one_out_scales`."""
    a, b = scales
    fitted *= a[:, None]
    fitted -= b[:, None] * residual
    return CrossFit(model, fitted, LEAVE_ONE_OUT, b)


def leverage_of(u: Array) -> Array:
    """h (N,) of the training rows, from their U (N, width)."""
    return np.asarray(np.einsum("ij,ij->i", u, u))


@dataclass(frozen=True, slots=True)
class Head:
    """A fitted last layer: coefficients (width, K) of the columns of U."""

    coefficients: Array = field(repr=False)

    def predict(self, u: EncodedRows) -> Array:
        """U (n, width) to fitted values (n, K)."""
        return np.asarray(as_table(u) @ self.coefficients)


class HeadLearner:
    """The ridge fit of a residual, given U: g = U'r. `crypto.ckks.encrypted_ridge` does the same on ciphertexts."""

    def __init__(self) -> None:
        self._of: EncodedRows | None = None
        self._scales = leave_one_out_scales(np.zeros(0))

    def fit(self, u: EncodedRows, residual: npt.NDArray[np.float32], seed: int) -> Head:
        """Fit U (n, width) to the pseudo-residual (n, K); `seed` is not needed."""
        return Head(np.asarray(as_table(u).T @ residual.astype(np.float64)))

    def cross_fit(self, u: EncodedRows, residual: npt.NDArray[np.float32], seed: int, folds: Folds) -> CrossFit:
        """The same fit, and exact leave-one-out values; neither `seed` nor `folds` is needed."""
        if self._of is not u:
            self._of, self._scales = u, leave_one_out_scales(leverage_of(as_table(u)))
        head = self.fit(u, residual, seed)
        return leave_one_out(head, head.predict(u), residual, self._scales)
