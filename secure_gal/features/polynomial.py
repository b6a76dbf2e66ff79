"""`polynomial`: the columns, their pairwise products, and squares of the columns with more than two values."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from secure_gal.features.base import Array, check_width
from secure_gal.learners.base import EncodedRows, as_table

LIMIT = 5.0
"""Standard deviations to which a column is clipped first: the product of two outliers would outweigh every row."""


@dataclass(frozen=True, slots=True)
class Pairs:
    """first, second: column indices of the products, in order of the features after the q columns."""

    columns: int
    first: npt.NDArray[np.int64] = field(repr=False)
    second: npt.NDArray[np.int64] = field(repr=False)

    @classmethod
    def fit(cls, x: Array) -> Pairs:
        """All pairs of columns; SettingsError where they are too many."""
        q = x.shape[1]
        check_width(q + q * (q - 1) // 2, "columns and their pairwise products")  # before arrays of that size
        first, second = np.triu_indices(q)
        flags = np.array([len(np.unique(column)) <= 2 for column in x.T])  # a flag's square says what the flag says
        kept = (first != second) | ~flags[first]
        pairs = cls(q, first[kept].astype(np.int64), second[kept].astype(np.int64))
        check_width(pairs.width, "columns, their pairwise products and squares")
        return pairs

    @property
    def width(self) -> int:
        """p."""
        return self.columns + len(self.first)

    @property
    def description(self) -> str:
        """In words."""
        return f"{self.columns} standardised columns with {len(self.first)} products of pairs"

    def transform(self, x: EncodedRows) -> Array:
        """x (n, q) to Phi (n, p)."""
        z = np.clip(as_table(x), -LIMIT, LIMIT)
        return np.hstack([z, z[:, self.first] * z[:, self.second]])
