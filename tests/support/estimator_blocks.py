"""Three parties' blocks of the same rows, and an estimator that has learnt from them."""

from __future__ import annotations

from typing import Any

import numpy as np

from secure_gal import GAL

Blocks = list[np.ndarray]


def data(n: int = 120) -> tuple[Blocks, np.ndarray]:
    x = np.random.default_rng(0).normal(size=(n, 6))
    return [x[:, :2], x[:, 2:4], x[:, 4:]], x @ np.arange(1.0, 7.0)


def fitted(**settings: Any) -> tuple[GAL, Blocks, np.ndarray]:
    blocks, y = data()
    return GAL(**{"task": "regression", "rounds": 2} | settings).fit(blocks, y), blocks, y
