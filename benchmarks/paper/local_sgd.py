"""The paper's linear local model, by its published settings."""

from __future__ import annotations

import numpy as np

from secure_gal.learners.linear import LinearModel

RATE, MOMENTUM, DECAY, EPOCHS, BATCH = 0.1, 0.9, 5e-4, 100, 1024
LONGEST = 1.0
"""The gradient's norm is clipped to it."""
SLOWER_FROM, SLOWER = 50, 0.1
"""From this epoch on the rate is a tenth."""


class PaperLinear:
    """SGD on a linear layer from PyTorch's initial weights, decay on the bias too; mean of |r - f|, or of its square.

    Args:
        loss: `l1` or `l2`.
    """

    def __init__(self, loss: str) -> None:
        self._absolute = loss == "l1"

    def fit(self, x: np.ndarray, residual: np.ndarray, seed: int) -> LinearModel:
        """Fit x (n, p) to the pseudo-residual (n, K)."""
        rng, (n, p), k = np.random.default_rng(seed), x.shape, residual.shape[1]
        design = np.column_stack([x, np.ones(n)])
        theta = rng.uniform(-1, 1, (p + 1, k)) / np.sqrt(p)
        velocity = np.zeros_like(theta)
        for epoch in range(EPOCHS):
            rate, order = RATE * (SLOWER if epoch >= SLOWER_FROM else 1.0), rng.permutation(n)
            for rows in np.split(order, range(BATCH, n, BATCH)):
                velocity = MOMENTUM * velocity + self._gradient(design[rows], theta, residual[rows]) + DECAY * theta
                theta = theta - rate * velocity
        return LinearModel(theta[:-1], theta[-1])

    def _gradient(self, design: np.ndarray, theta: np.ndarray, residual: np.ndarray) -> np.ndarray:
        left = design @ theta - residual
        slope = np.sign(left) if self._absolute else 2 * left
        gradient = design.T @ slope / left.size
        return np.asarray(gradient / max(1.0, float(np.linalg.norm(gradient)) / LONGEST))
