"""Which rows train and which are held out, and folds of the training rows: drawn from the seed, never from labels.

And what both sides of an encrypted study agree on about them: their order, and the scale of their values.
"""

from __future__ import annotations

import hashlib

import numpy as np
import numpy.typing as npt

SMALLEST_SPLIT = 100
"""Rows below which none are held out: a handful would only measure noise."""


def derive_seed(*parts: str | int) -> int:
    """A 32-bit seed for one purpose, from labelled parts; for experiments only, never for keys or masks."""
    digest = hashlib.sha256(b"secure-gal/1 seed\0")
    for part in parts:
        raw = str(part).encode()
        digest.update(len(raw).to_bytes(4, "little") + raw)
    return int.from_bytes(digest.digest()[:4], "little")


def split_rows(rows: int, validation: float, seed: int) -> npt.NDArray[np.bool_]:
    """Mask (N,): True for training rows; all True where none are held out."""
    train = np.ones(rows, dtype=np.bool_)
    if rows < SMALLEST_SPLIT or validation <= 0:
        return train
    count = max(1, round(rows * validation))
    chosen = np.random.default_rng(derive_seed("validation", seed)).permutation(rows)[:count]
    train[chosen] = False
    return train


def fold_numbers(rows: int, folds: int, seed: int) -> npt.NDArray[np.int64]:
    """The fold of each training row, int64 (rows,) from 0: as even as may be, and fewer folds where rows are fewer.

    The same for every party that holds the same training rows and has as many folds, and in every round.
    """
    order = np.random.default_rng(derive_seed("folds", seed)).permutation(rows)
    return np.asarray(order % max(1, min(folds, rows)), dtype=np.int64)


def study_order(train: npt.NDArray[np.bool_]) -> npt.NDArray[np.int64]:
    """Row numbers (N,) in the order of encrypted replies: training rows first, then validation rows."""
    return np.concatenate([np.flatnonzero(train), np.flatnonzero(~train)])


def to_unit(values: npt.NDArray[np.floating]) -> tuple[npt.NDArray[np.float64], float]:
    """(values / scale, scale) with max|values / scale| = 1; scale is 1 where all values are 0.

    The scale stays at the sponsor: ciphertexts hold values of at most 1, so that nothing wraps.
    """
    scale = float(np.abs(values).max(initial=0.0)) or 1.0
    return np.asarray(values, dtype=np.float64) / scale, scale
