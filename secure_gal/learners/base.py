"""What a local model must do; users' own estimators are adapted to the same two protocols."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

POWERS = {"l1": 1.0, "l1.5": 1.5, "l2": 2.0, "l4": 4.0}
"""Local losses mean |r - f|^power of the paper's experiments."""


class Model(Protocol):
    """A fitted local model."""

    def predict(self, x: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """x (n, p) to values (n, K)."""
        ...


class Learner(Protocol):
    """Fits local models; one learner object serves all rounds of a party."""

    def fit(self, x: npt.NDArray[np.float64], residual: npt.NDArray[np.float32], seed: int) -> Model:
        """Fit x (n, p) to the pseudo-residual (n, K); the same inputs and seed give the same model."""
        ...


@runtime_checkable
class SharesExtractor(Protocol):
    """A learner that keeps one extractor for all rounds, so that a party which died in between needs it from disk."""

    def save(self, path: Path) -> None:
        """Write round 1's extractor."""
        ...

    def resume(self, path: Path) -> None:
        """Read it, unless this process trained it."""
        ...


@runtime_checkable
class LinksExtractor(Protocol):
    """A saved model of such a learner: round 1's carries the extractor, the others are given it."""

    def link(self, first: Any) -> None:
        """Use the extractor of round 1's model."""
        ...
