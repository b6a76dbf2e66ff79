"""Messages of small studies to attack, and what an attack that finds nothing must say."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from secure_gal import GAL
from secure_gal.attacks.finding import Finding

Array = np.ndarray
REPEATS = 4


class Recorder:
    """Ridge that keeps what it received and answered."""

    def __init__(self) -> None:
        self.residuals: list[Array] = []
        self.fitted: list[Array] = []

    def fit(self, x: Array, residual: Array, seed: int) -> Recorder:
        self.residuals.append(residual)
        design = np.column_stack([x, np.ones(len(x))])
        self.head = np.linalg.solve(design.T @ design + 1e-4 * len(x) * np.eye(design.shape[1]), design.T @ residual)
        return self

    def predict(self, x: Array) -> Array:
        fitted = np.column_stack([x, np.ones(len(x))]) @ self.head
        self.fitted.append(fitted.astype(np.float32))
        return fitted


def transcript(x: Array, y: Array, cut: int, task: str = "classification") -> tuple[Array, Array]:
    """(residuals (T, N, K), fitted values (T, N, K)) of the assistor that holds the columns from `cut`."""
    seen = Recorder()
    GAL(task=task, rounds=5, weights="paper", learners=[Recorder(), seen]).fit([x[:, :cut], x[:, cut:]], y)
    return np.stack(seen.residuals), np.stack(seen.fitted)


def permuted(messages: Array, seed: int = 0) -> Array:
    """The same messages (T, N, K), about the wrong people."""
    return messages[:, np.random.default_rng(seed).permutation(messages.shape[1])]


def standardised(load: Callable[..., tuple[Array, Array]]) -> tuple[Array, Array]:
    """A data set of scikit-learn: columns of mean 0 and variance 1, and labels."""
    x, y = load(return_X_y=True)
    return (x - x.mean(axis=0)) / x.std(axis=0), y


def nothing(finding: Finding, slack: float = 0.0) -> None:
    """Fails where an attack found more than chance gives."""
    assert finding.gain.low <= slack, f"{finding.attack} found something where nothing is: {finding}"
    assert finding.gain.value < 0.15
