"""Ridge problems, and their leave-one-out values in the clear, by formula and by brute force."""

from __future__ import annotations

import math

import numpy as np

from crypto.ckks import leave_one_out
from crypto.ckks.leave_one_out import factors, longest_row
from crypto.ckks.params import ParameterSet
from tests.support.ckks_keys import Array, error_bound

PENALTY = 2.0


def basis(phi: Array, train: int) -> Array:
    """U (rows, p + 1) of a ridge fit with a free intercept to the first `train` rows of phi."""
    centred = phi - phi[:train].mean(axis=0)
    gram = centred[:train].T @ centred[:train] + PENALTY * np.eye(phi.shape[1])
    u = np.linalg.solve(np.linalg.cholesky(gram), centred.T).T
    return np.column_stack([u, np.full(len(u), 1 / np.sqrt(train))])


def far_out(rows: int) -> list[int]:
    """Rows that lie so far out that they have some leverage, in every half of every block."""
    return [*range(9, rows, 3000)]


def problem(rows: int, p: int, outputs: int, seed: int = 0) -> tuple[Array, Array]:
    """phi (rows, p) and r (rows, outputs) in [-1, 1] that correlates with it."""
    rng = np.random.default_rng(seed)
    phi = rng.standard_normal((rows, p))
    phi[far_out(rows)] *= max(1.0, np.sqrt(0.1 * rows / p))
    signal = phi @ rng.standard_normal((p, outputs)) / np.sqrt(p)
    return phi, np.clip(0.4 * signal + 0.3 * rng.standard_normal((rows, outputs)), -1, 1)


def refitted(phi: Array, r: Array, rows: list[int]) -> Array:
    """The value of each of these rows by a ridge with a free intercept that was fitted to all others."""
    out = np.empty((len(rows), r.shape[1]))
    for place, i in enumerate(rows):
        design = np.column_stack([np.delete(phi, i, axis=0), np.ones(len(phi) - 1)])
        penalty = PENALTY * np.diag([*np.ones(phi.shape[1]), 0.0])
        weights = np.linalg.solve(design.T @ design + penalty, design.T @ np.delete(r, i, axis=0))
        out[place] = [*phi[i], 1.0] @ weights
    return out


def left_out(u: Array, r: Array, longest: float, train: int | None = None, share: float = 1.0) -> Array:
    """The formula in the clear, for all rows of u; the first `train` are left out, the others are fitted."""
    train = len(u) if train is None else train
    scales, own = factors(u[:train], longest, share)
    f = u @ (u[:train].T @ r)
    f[:train] = scales[:, None] * f[:train] - own[:, None] * r
    return f


def bound(params: ParameterSet, u: Array, r: Array) -> float:
    """Six deviations: those of a fit with D U, and of D h r (its dither and its scale in float64)."""
    scales, own = factors(u, longest_row(params, len(r), len(u)))
    grid = math.sqrt(params.n / 4) * 2.0**-leave_one_out.GRID_BITS
    return math.hypot(error_bound(params, scales[:, None] * u, u, r), 6 * own.max() * 2.0**-24, 6 * grid)
