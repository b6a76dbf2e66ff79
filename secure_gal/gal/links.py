"""The logistic function and softmax, in NumPy: scipy.special takes 0.2 s to import, which every party would await."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]


def logistic(f: Array) -> Array:
    """1 / (1 + exp(-f)), without overflow at either end."""
    small = np.abs(f)
    np.exp(np.negative(small, out=small), out=small)
    below = 1.0 + small
    np.copyto(small, 1.0, where=f >= 0)
    return np.divide(small, below, out=small)


def log_softmax(f: Array) -> Array:
    """log(exp f_k / sum_j exp f_j) of each row of f (n, K)."""
    shifted = f - f.max(axis=1, keepdims=True)
    return np.asarray(shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True)))


def softmax(f: Array) -> Array:
    """exp f_k / sum_j exp f_j of each row of f (n, K)."""
    powers = np.exp(f - f.max(axis=1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True))
