"""Blocks of three parties for the researcher's API, and a small model learnt from them."""

from __future__ import annotations

from typing import Any

import numpy as np

from secure_gal.reference import GAL

Blocks = list[np.ndarray]


def data(n: int = 120) -> tuple[Blocks, np.ndarray]:
    """Three blocks of two columns, float64 (n, 2), and a target (n,) that is linear in all six."""
    x = np.random.default_rng(0).normal(size=(n, 6))
    return [x[:, :2], x[:, 2:4], x[:, 4:]], x @ np.arange(1.0, 7.0)


def fitted(**settings: Any) -> tuple[GAL, Blocks, np.ndarray]:
    """A model of two rounds over `data()`, with what it was fitted to."""
    blocks, y = data()
    return GAL(**{"task": "regression", "rounds": 2} | settings).fit(blocks, y), blocks, y
