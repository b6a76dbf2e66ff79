"""Quantile transform: columns to standardised ranks, so that one set of frequencies, bins and cuts suits every column.

The rank of a value is the mean of its quantile among the rows and its quantile among the distinct values. Rows alone
squeeze everything but the commonest value of a column (a capital gain that is 0 for nine people in ten) into a corner;
distinct values alone ignore where the rows are. For a column without ties both are the same.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from secure_gal.features.base import Array

KNOTS = 1000
"""Points at which a column's rank curve is kept; between them it is linear."""


@dataclass(frozen=True, slots=True)
class Ranks:
    """A fitted rank curve a column; new values beyond the known ones get the rank of the nearest."""

    curves: tuple[tuple[Array, Array], ...] = field(repr=False)
    mean: Array = field(repr=False)
    scale: Array = field(repr=False)
    many: npt.NDArray[np.bool_] = field(repr=False)
    """(q,): columns with more than two values; the others are levels or flags, where ranks say nothing new."""

    @classmethod
    def fit(cls, x: Array) -> Ranks:
        """Learn the curves from training rows (N, q)."""
        curves = tuple(_curve(column) for column in x.T)
        mean, scale, many = np.zeros(len(curves)), np.ones(len(curves)), np.zeros(len(curves), dtype=np.bool_)
        for j, (values, ranks) in enumerate(curves):
            column = np.interp(x[:, j], values, ranks)
            mean[j], deviation = column.mean(), column.std()
            scale[j] = deviation if deviation > 0 else 1.0
            many[j] = len(values) > 2
        return cls(curves, mean, scale, many)

    @property
    def low(self) -> Array:
        """Smallest standardised rank a column, (q,)."""
        return (np.array([ranks[0] for _, ranks in self.curves]) - self.mean) / self.scale

    @property
    def high(self) -> Array:
        """Largest standardised rank a column, (q,)."""
        return (np.array([ranks[-1] for _, ranks in self.curves]) - self.mean) / self.scale

    def __call__(self, x: Array) -> Array:
        """x (n, q) to standardised ranks (n, q): mean 0 and deviation 1 on the training rows."""
        z = np.empty(x.shape)
        for j, (values, ranks) in enumerate(self.curves):
            z[:, j] = np.interp(x[:, j], values, ranks)
        return (z - self.mean) / self.scale


def _curve(column: Array) -> tuple[Array, Array]:
    values, counts = np.unique(column, return_counts=True)
    among_rows = (np.cumsum(counts) - counts / 2) / len(column)
    among_values = (np.arange(len(values)) + 0.5) / len(values)
    ranks = (among_rows + among_values) / 2
    if len(values) > KNOTS:
        at = np.unique(np.searchsorted(ranks, np.linspace(ranks[0], ranks[-1], KNOTS)))
        values, ranks = values[at], ranks[at]
    return values, ranks
