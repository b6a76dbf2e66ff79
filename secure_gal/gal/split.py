"""Which rows train and which validate: drawn from the seed, never from labels."""

from __future__ import annotations

import hashlib

import numpy as np
import numpy.typing as npt

SMALLEST_SPLIT = 100
"""Rows below which there are no validation rows: a handful would only measure noise."""


def derive_seed(*parts: str | int) -> int:
    """A 32-bit seed for one purpose, from labelled parts; for experiments only, never for keys or masks."""
    digest = hashlib.sha256(b"secure-gal/1 seed\0")
    for part in parts:
        raw = str(part).encode()
        digest.update(len(raw).to_bytes(4, "little") + raw)
    return int.from_bytes(digest.digest()[:4], "little")


def split_rows(rows: int, validation: float, seed: int) -> npt.NDArray[np.bool_]:
    """Mask (N,): True for training rows; all True when there is no validation."""
    train = np.ones(rows, dtype=np.bool_)
    if rows < SMALLEST_SPLIT or validation <= 0:
        return train
    count = max(1, round(rows * validation))
    chosen = np.random.default_rng(derive_seed("validation", seed)).permutation(rows)[:count]
    train[chosen] = False
    return train
