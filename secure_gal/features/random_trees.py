"""`trees`: leaves of totally random trees, one-hot (scikit-learn's RandomTreesEmbedding; Geurts et al. 2006)."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from secure_gal.features.base import Array, check_width
from secure_gal.features.ranks import Ranks
from secure_gal.learners.base import EncodedRows, as_table

TREES = 64
DEPTH = 3
Places = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class RandomTrees:
    """Trees that cut a random column at a random rank; no label is involved.

    Attributes:
        column, threshold: of each node of each tree (TREES, nodes): a row goes left where its rank is at most this.
        left, right: the node that follows; a leaf is followed by itself.
        place: of a leaf's column in Phi; -1 elsewhere.
    """

    ranks: Ranks
    column: Places = field(repr=False)
    threshold: Array = field(repr=False)
    left: Places = field(repr=False)
    right: Places = field(repr=False)
    place: Places = field(repr=False)
    width: int

    @property
    def description(self) -> str:
        """In words."""
        return f"{self.width} leaves of {TREES} random trees of depth {DEPTH}"

    def transform(self, x: EncodedRows) -> Array:
        """x (n, q) to Phi (n, p): 1 where the row lies in the leaf."""
        ranks = self.ranks(as_table(x)).astype(np.float32)  # as scikit-learn compares them
        rows, trees = np.arange(len(x))[:, None], np.arange(TREES)[None, :]
        node = np.zeros((len(x), TREES), dtype=np.int64)
        for _ in range(DEPTH):
            goes_left = ranks[rows, self.column[trees, node]] <= self.threshold[trees, node]
            node = np.where(goes_left, self.left[trees, node], self.right[trees, node])
        phi = np.zeros((len(x), self.width))
        phi[rows, self.place[trees, node]] = 1.0
        return phi


def fit(x: Array, seed: int | np.random.RandomState) -> RandomTrees:
    """Grow the trees on the training rows (N, q)."""
    from sklearn.ensemble import RandomTreesEmbedding

    ranks = Ranks.fit(x)
    forest = RandomTreesEmbedding(TREES, max_depth=DEPTH, sparse_output=False, random_state=seed)
    forest.fit(ranks(x))
    trees = [estimator.tree_ for estimator in forest.estimators_]
    nodes = max(tree.node_count for tree in trees)
    column, left, right, place = (np.zeros((TREES, nodes), dtype=np.int64) for _ in range(4))
    threshold, width = np.zeros((TREES, nodes)), 0
    for t, tree in enumerate(trees):
        here = np.arange(tree.node_count)
        leaf = tree.children_left < 0
        column[t, here], threshold[t, here] = np.where(leaf, 0, tree.feature), tree.threshold
        left[t, here], right[t, here] = (np.where(leaf, here, c) for c in (tree.children_left, tree.children_right))
        place[t, here] = np.where(leaf, width + np.cumsum(leaf) - 1, -1)
        width += int(leaf.sum())
    check_width(width, "random trees")
    return RandomTrees(ranks, column, threshold, left, right, place, width)
