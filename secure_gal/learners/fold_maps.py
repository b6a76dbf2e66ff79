"""Maps that have seen labels, one for each fold, side by side: deep model sharing in cross-fitted rounds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
import numpy.typing as npt

from secure_gal.learners.base import EncodedRows, Placement, placement_of
from secure_gal.learners.cross_fit import CrossFit, Folds, each_fold
from secure_gal.learners.ridge import Head

Array = npt.NDArray[np.float64]


class Prepared(Protocol):
    """A fitted feature map, one with its ridge basis, or an extractor; `storage` must be able to keep it."""

    @property
    def width(self) -> int: ...
    @property
    def description(self) -> str: ...
    def transform(self, x: EncodedRows) -> Array:
        """x (n, ...) to what the model of a round takes, float64 (n, width)."""
        ...


class FoldMaps:
    """Map q has not seen fold q; x (n, ...) to U float64 (n, sum of the widths)."""

    def __init__(self, maps: Sequence[Prepared]) -> None:
        self._maps = tuple(maps)

    @property
    def width(self) -> int:
        """Columns of U."""
        return sum(each.width for each in self._maps)

    @property
    def columns(self) -> list[slice]:
        """Which columns of U are each map's."""
        ends = np.cumsum([each.width for each in self._maps]).tolist()
        return [slice(start, end) for start, end in zip([0, *ends], ends, strict=False)]

    @property
    def description(self) -> str:
        """In words."""
        return f"{len(self._maps)} folds with each {self._maps[0].description}"

    @property
    def placement(self) -> Placement:
        """Where they are computed, and how exactly: alike."""
        return placement_of(self._maps[0])

    def transform(self, x: EncodedRows) -> Array:
        """Every map's U, side by side."""
        return np.hstack([each.transform(x) for each in self._maps])


def fold_heads(u: Array, columns: Sequence[slice], residual: npt.NDArray[np.float32], folds: Folds) -> CrossFit:
    """A ridge head a fold on its own map's columns; new rows get the mean of the heads, which is linear in U too.

    Args:
        u: of `FoldMaps`; columns: each fold's.
    """
    target, values, heads = residual.astype(np.float64), np.empty(residual.shape), []
    for own, (held, kept) in zip(columns, each_fold(folds), strict=True):
        heads.append(u[kept, own].T @ target[kept])
        values[held] = u[held, own] @ heads[-1]
    how = f"out-of-fold values, {len(heads)} folds with an extractor each"
    return CrossFit(Head(np.concatenate(heads) / len(heads)), values, how)
