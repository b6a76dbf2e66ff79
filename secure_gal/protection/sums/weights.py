"""Gradient assistance weights where the sponsor sees sums only: at least two assistors must take part (decision 0010).

The best point of the simplex often has a single active assistor, whose "sum" would be its own fitted values. So w is
minimised under the constraint that two assistors at least have weight W_MIN or more, whatever the sponsor's own is.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import combinations

import numpy as np
import numpy.typing as npt

from crypto.ckks.fits import WEIGHT_BITS
from secure_gal.events import RoundRecord
from secure_gal.gal.coefficients import min_norm_point
from secure_gal.gal.ensemble import Ensemble
from secure_gal.gal.losses import Array

W_MIN = 0.05
"""Least weight of two of the assistors: one that weighs less is drowned by the other, and cannot hide it."""
STEP = 2.0**-WEIGHT_BITS
"""Weights are multiples of this, so that both sides and the clear reference use the same numbers."""


def constrained_weights(gram: Array, assistors: list[int]) -> Array:
    """argmin w'Hw over the simplex with w >= W_MIN for at least two of `assistors`; exact up to STEP.

    For a pair (i, j) the feasible set is W_MIN (e_i + e_j) + (1 - 2 W_MIN) v with v in the simplex. With
    C = (1 - 2 W_MIN) I + a 1', a = W_MIN (e_i + e_j), that is w = C v: a least-norm point again, and the best pair
    wins.

    Args:
        gram: H = D'D, D = [f_m - r], (M, M).
        assistors: which of the M parties are assistors; at least two.
    """
    free = min_norm_point(gram)
    if np.sum(free[assistors] >= W_MIN) >= 2:
        return to_grid(free)
    best, least = free, np.inf
    for i, j in combinations(assistors, 2):
        a = np.zeros(len(gram))
        a[[i, j]] = W_MIN
        c = (1 - 2 * W_MIN) * np.eye(len(gram)) + a[:, None]
        w = c @ min_norm_point(c.T @ gram @ c)
        value = float(w @ gram @ w)
        if value < least:
            best, least = w, value
    return to_grid(best)


def uniform_weights(parties: int) -> Array:
    """1/M each, on the grid."""
    return to_grid(np.full(parties, 1.0 / parties))


def to_grid(w: Array) -> Array:
    """The nearest multiples of STEP; their sum is 1 up to M steps, which the learning rate takes up."""
    return np.asarray(np.round(w / STEP) * STEP)


def weights_problem(weights: Array, uniform: bool) -> str:
    """The first rule that the assistors' weights break, '' where they break none; `uniform`: they must be equal."""
    steps = weights / STEP
    if not np.isfinite(weights).all() or (weights < 0).any() or (steps != np.round(steps)).any():
        return "weights must be multiples of the step and at least 0"
    if weights.sum() > 1 + len(weights) * STEP:
        return "weights must not add up to more than 1"
    if uniform:
        return "" if weights[0] > 0 and (weights == weights[0]).all() else "uniform weights must all be the same"
    if np.sum(weights >= W_MIN - STEP) < 2:
        return f"at least two assistors must have a weight of {W_MIN:g} or more: a sum of one is the value itself"
    return ""


def commit_in_the_clear(
    ensemble: Ensemble,
    fitted: Mapping[str, npt.NDArray[np.float32]],
    train: npt.NDArray[np.bool_],
    assistors: tuple[str, ...],
    *,
    uniform: bool = False,
) -> RoundRecord:
    """One round as a study with `predictions = "sum"` does it, from all fitted values: the oracle of tests."""
    residual = ensemble.residual().astype(np.float64)
    columns = [fitted[p].astype(np.float64) for p in ensemble.parties]
    if uniform:
        w = uniform_weights(len(columns))
    else:
        difference = np.stack([(f[train] - residual).ravel() for f in columns], axis=1)
        where = [i for i, p in enumerate(ensemble.parties) if p in assistors]
        w = constrained_weights(difference.T @ difference, where)
    return ensemble.advance(w, {p: v * f for p, v, f in zip(ensemble.parties, w, columns, strict=True)})
