"""`binned`: one-hot bins of equal width in rank; columns with two values are passed through as ranks."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from secure_gal.features.base import Array, check_width
from secure_gal.features.ranks import Ranks
from secure_gal.learners.base import EncodedRows, as_table

BINS = 32


@dataclass(frozen=True, slots=True)
class Binned:
    """edges: inner edges of a column's bins, in standardised rank; columns: which are binned."""

    ranks: Ranks
    columns: npt.NDArray[np.int64] = field(repr=False)
    edges: tuple[Array, ...] = field(repr=False)

    @property
    def width(self) -> int:
        """p."""
        return sum(len(edges) + 1 for edges in self.edges) + len(self.ranks.many) - len(self.columns)

    @property
    def description(self) -> str:
        """In words."""
        flags = len(self.ranks.many) - len(self.columns)
        most = max((len(edges) + 1 for edges in self.edges), default=0)
        return f"up to {most} quantile bins of each of {len(self.columns)} columns, {flags} levels as they are"

    def transform(self, x: EncodedRows) -> Array:
        """x (n, q) to Phi (n, p)."""
        z = self.ranks(as_table(x))
        phi = np.zeros((len(x), self.width))
        phi[:, : len(self.ranks.many) - len(self.columns)] = z[:, ~self.ranks.many]
        start, rows = len(self.ranks.many) - len(self.columns), np.arange(len(x))
        for j, edges in zip(self.columns, self.edges, strict=True):
            phi[rows, start + np.searchsorted(edges, z[:, j], side="right")] = 1.0
            start += len(edges) + 1
        return phi


def fit(x: Array) -> Binned:
    """BINS bins of equal width in rank for each column of training rows x (N, q)."""
    ranks = Ranks.fit(x)
    columns = np.flatnonzero(ranks.many)
    z, low, high = ranks(x), ranks.low, ranks.high
    edges = tuple(_used(np.linspace(low[j], high[j], BINS + 1)[1:-1], z[:, j]) for j in columns)
    binned = Binned(ranks, columns, edges)
    check_width(binned.width, "quantile bins")
    return binned


def _used(edges: Array, column: Array) -> Array:
    """Edges such that a training row lies in every bin: those with a row between them and the next."""
    found = np.unique(np.searchsorted(edges, column, side="right"))
    return edges[found[1:] - 1]
