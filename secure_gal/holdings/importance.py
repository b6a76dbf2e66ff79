"""How much a party's own part of predictions depends on each of its columns; computed there, for its own eyes.

A party has no labels, so no loss can be measured: importance here is how much the *part* changes, not how much better
predictions are. A column's values are permuted among the rows; the mean squared change of the part over twice the
part's variance is 0 for a column that changes nothing and 1 for one that decides alone. It is Jansen's estimate of
Sobol's total effect (Jansen 1999, Computer Physics Communications 117) where columns are independent; of columns that
go together each may show little, and rows that no person has come up.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import polars as pl

from secure_gal.gal.split import derive_seed

REPEATS = 5
"""Permutations a column."""


def importance(
    part: Callable[[pl.DataFrame], npt.NDArray[np.floating]], frame: pl.DataFrame, seed: int
) -> dict[str, float]:
    """By column, largest first; nan for all where the part is the same for every row.

    Args:
        part: of the rows of a frame like `frame` (n, q), float (n, K).
        seed: of the permutations.
    """
    before = part(frame).astype(np.float64)
    spread = 2.0 * float(before.var(axis=0).sum())
    found: dict[str, float] = {}
    for name in frame.columns:
        generator = np.random.default_rng(derive_seed("importance", seed, name))
        changed = [_change(part, frame, name, before, generator) for _ in range(REPEATS)]
        found[name] = float(np.mean(changed)) / spread if spread else float("nan")
    return dict(sorted(found.items(), key=lambda item: -item[1]))


def _change(
    part: Callable[[pl.DataFrame], npt.NDArray[np.floating]],
    frame: pl.DataFrame,
    name: str,
    before: npt.NDArray[np.float64],
    generator: np.random.Generator,
) -> float:
    order = generator.permutation(len(frame)).tolist()
    after = part(frame.with_columns(frame[name][order]))
    return float(((after - before) ** 2).sum(axis=1).mean())
