"""Rows to draw features of, and residuals to fit on them."""

from __future__ import annotations

from pathlib import Path

import numpy as np

HERE = Path(".")


def rows(n: int = 400, seed: int = 0) -> np.ndarray:
    """Four numbers, one of them with most rows at one value, and a flag."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, 5))
    x[:, 3] = np.where(rng.random(n) < 0.8, 0.0, rng.exponential(size=n))
    x[:, 4] = rng.random(n) < 0.3
    return x


def residual(n: int = 400, k: int = 2, seed: int = 1) -> np.ndarray:
    """float32 (n, k), of unit variance."""
    return np.random.default_rng(seed).normal(size=(n, k)).astype(np.float32)
