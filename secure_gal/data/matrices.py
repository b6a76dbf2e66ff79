"""Typed columns as numbers."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import polars as pl

Array = npt.NDArray[np.float64]


def one_hot(texts: pl.Series, levels: list[str]) -> Array:
    """(n, levels): 1 where the text is the level; nothing where it is missing or none of them."""
    codes = texts.replace_strict(dict(zip(levels, range(len(levels)), strict=True)), default=-1, return_dtype=pl.Int64)
    known = codes.to_numpy()
    matrix = np.zeros((len(known), len(levels)))
    rows = np.flatnonzero(known >= 0)
    matrix[rows, known[rows]] = 1.0
    return matrix


def numbers_of(frame: pl.DataFrame, names: list[str]) -> npt.NDArray[np.float64]:
    """(n, columns), nan where missing."""
    columns = [frame[name].cast(pl.Float64).fill_null(float("nan")).to_numpy() for name in names]
    return np.stack(columns, axis=1)
