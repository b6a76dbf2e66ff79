"""`fourier`: random Fourier features (Rahimi and Recht, NIPS 2007) of standardised ranks.

Each feature cos(w'z + b) looks at a few columns only, the first of them one with more than two values; w is Gaussian on
them with deviation s/sqrt(columns), s drawn from SCALES. So the features approximate a mean of Gaussian kernels over
small sets of columns and several widths. A kernel on all columns at once sees little but noise where most columns do
not matter; boosted trees of low depth look at few columns for the same reason.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from secure_gal.features.base import Array
from secure_gal.features.ranks import Ranks
from secure_gal.learners.base import EncodedRows, as_table

WIDTH = 512
SIZES = (1, 2, 3, 6)
"""Columns that a feature looks at, each as often."""
SCALES = (1.0, 2.0, 4.0, 8.0)
"""Deviations of w in radians per standard deviation of a rank (whose range is about 3.5)."""
SHARE = 1.0
"""Total variance of the features over that of the encoded columns: in a union, neither crowds out the other."""


@dataclass(frozen=True, slots=True)
class Fourier:
    """w (q, p), b (p,), and the features' common scale."""

    ranks: Ranks
    w: Array = field(repr=False)
    b: Array = field(repr=False)
    scale: float

    @property
    def width(self) -> int:
        """p."""
        return len(self.b)

    @property
    def description(self) -> str:
        """In words."""
        return f"{self.width} random Fourier features of 1 to {min(max(SIZES), len(self.w))} columns' ranks"

    def transform(self, x: EncodedRows) -> Array:
        """x (n, q) to Phi (n, p)."""
        return np.asarray(self.scale * np.cos(self.ranks(as_table(x)) @ self.w + self.b))


def fit(x: Array, seed: int | np.random.Generator) -> Fourier:
    """Draw WIDTH features for training rows x (N, q)."""
    ranks, rng, q = Ranks.fit(x), np.random.default_rng(seed), x.shape[1]
    leads = np.flatnonzero(ranks.many) if ranks.many.any() else np.arange(q)
    w = np.zeros((q, WIDTH))
    for j in range(WIDTH):
        count = min(int(rng.choice(SIZES)), q)
        lead = int(rng.choice(leads))
        others = np.delete(np.arange(q), lead)
        columns = [lead, *rng.choice(others, count - 1, replace=False)]
        w[columns, j] = rng.normal(size=count) * rng.choice(SCALES) / np.sqrt(count)
    scale = float(np.sqrt(2 * SHARE * x.var(axis=0).sum() / WIDTH))  # a cosine at a random phase has variance 1/2
    return Fourier(ranks, w, rng.uniform(0, 2 * np.pi, WIDTH), scale)
