"""Learners whose predictions, or whose residuals, are noised: the paper's noisy organisations, and its privacy."""

from __future__ import annotations

import zlib
from dataclasses import dataclass

import numpy as np

from benchmarks.paper_noise import quantile_clipped_laplace, quantile_intervals
from secure_gal.learners.base import EncodedRows, Learner, Model
from secure_gal.learners.cross_fit import CrossFit, cross_fit

ALPHA = 1.0
"""Of the paper's Laplace noise."""


@dataclass(frozen=True, slots=True)
class NoisyModel:
    """A model that adds Gaussian noise to every prediction."""

    model: Model
    sigma: float
    seed: int

    def predict(self, x: EncodedRows) -> np.ndarray:
        """x (n, ...) to (n, K)."""
        values = self.model.predict(x)
        return values + np.random.default_rng([self.seed, len(values)]).normal(scale=self.sigma, size=values.shape)


@dataclass(frozen=True, slots=True)
class Noisy:
    """A learner of a noisy party: sigma is in the unit of the pseudo-residual."""

    learner: Learner
    sigma: float

    def fit(self, x: EncodedRows, residual: np.ndarray, seed: int) -> NoisyModel:
        """Fit x (n, ...) to the pseudo-residual (n, K)."""
        return NoisyModel(self.learner.fit(x, residual, seed), self.sigma, seed)

    def cross_fit(self, x: EncodedRows, residual: np.ndarray, seed: int, folds: np.ndarray) -> CrossFit:
        """The same, in the learner's own way."""
        found = cross_fit(self.learner, x, residual, seed, folds)
        noise = np.random.default_rng([seed, 0]).normal(scale=self.sigma, size=found.values.shape)
        return CrossFit(NoisyModel(found.model, self.sigma, seed), found.values + noise, found.how)


@dataclass(frozen=True, slots=True)
class NoisedResidual:
    """A learner that gets the residual as the paper's code noises it: one broadcast, so the same for every party."""

    learner: Learner
    kind: str

    def fit(self, x: EncodedRows, residual: np.ndarray, seed: int) -> Model:
        """Fit x (n, ...) to the noised pseudo-residual (n, K)."""
        rng = np.random.default_rng(zlib.crc32(residual.tobytes()))
        noised = (
            quantile_clipped_laplace(residual, ALPHA, rng) if self.kind == "dp" else quantile_intervals(residual, rng)
        )
        return self.learner.fit(x, noised.astype(np.float32), seed)
