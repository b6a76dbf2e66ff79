"""What a local model must do; users' own estimators are adapted to the same two protocols."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt


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


@dataclass(frozen=True, slots=True)
class Placement:
    """Where and how exactly a learner computes, in words, for its own party's summary."""

    device: str
    precision: str

    def __str__(self) -> str:
        return f"{self.device}, {self.precision}"


NUMPY = Placement("CPU", "float64")
"""NumPy, SciPy and scikit-learn."""


def foreign(name: str) -> Placement:
    """Of a user's own code that says nothing about itself."""
    return Placement(f"as {name} chooses", f"as {name} chooses")


def placement_of(computes: object) -> Placement:
    """Of a learner or a feature map; what names none computes in NumPy."""
    found: Placement = getattr(computes, "placement", NUMPY)
    return found
