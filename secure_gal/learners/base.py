"""What a local model must do, and of which rows; users' own estimators are adapted to the same two protocols."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from secure_gal.data.arrays import ArrayRows

EncodedRows = npt.NDArray[np.float64] | npt.NDArray[np.float32] | ArrayRows
"""Rows x (n, ...) as learners and feature maps get them: float64 (n, p) of a table; of images and series
`ArrayRows`, which `np.asarray` reads, or float32 where they were read already."""


def as_table(x: EncodedRows) -> npt.NDArray[np.float64]:
    """x float64 (n, p); the same object where it is that already."""
    return np.asarray(x, dtype=np.float64)


class Model(Protocol):
    """A fitted local model."""

    def predict(self, x: EncodedRows) -> npt.NDArray[np.float64]:
        """x (n, ...) to values (n, K)."""
        ...


class Learner(Protocol):
    """Fits local models; one learner object serves all rounds of a party."""

    def fit(self, x: EncodedRows, residual: npt.NDArray[np.float32], seed: int) -> Model:
        """Fit x (n, ...) to the pseudo-residual (n, K); the same inputs and seed give the same model."""
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
