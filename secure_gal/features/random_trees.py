"""`trees`: leaves of totally random trees, one-hot (scikit-learn's RandomTreesEmbedding; Geurts et al. 2006)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from secure_gal.features.base import Array, check_width
from secure_gal.features.ranks import Ranks

TREES = 64
DEPTH = 3


@dataclass(frozen=True, slots=True)
class RandomTrees:
    """Trees that cut a random column at a random rank; no label is involved."""

    ranks: Ranks
    forest: Any = field(repr=False)
    width: int

    @property
    def description(self) -> str:
        """In words."""
        return f"{self.width} leaves of {TREES} random trees of depth {DEPTH}"

    def transform(self, x: Array) -> Array:
        """x (n, q) to Phi (n, p): 1 where the row lies in the leaf."""
        return np.asarray(self.forest.transform(self.ranks(x)), dtype=np.float64)


def fit(x: Array, seed: int | np.random.RandomState) -> RandomTrees:
    """Grow the trees on the training rows (N, q)."""
    from sklearn.ensemble import RandomTreesEmbedding

    ranks = Ranks.fit(x)
    forest = RandomTreesEmbedding(TREES, max_depth=DEPTH, sparse_output=False, random_state=seed)
    width = forest.fit_transform(ranks(x)).shape[1]
    check_width(width, "random trees")
    return RandomTrees(ranks, forest, width)
