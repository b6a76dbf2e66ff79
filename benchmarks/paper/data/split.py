"""Who gets which rows and columns: an 80/20 split of the rows, and the paper's rule for the columns."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
Pick = Callable[[int], npt.NDArray[np.int64]]
"""Of so many rows, those that are taken."""
TEST_SHARE = 0.2


@dataclass(frozen=True, slots=True)
class Split:
    """One block a party, the sponsor's first, encoded on the training rows; and what Joint sees as one block."""

    blocks: list[Array]
    joint: Array
    y: Array
    test_blocks: list[Array]
    test_joint: Array
    test_y: Array


@dataclass(frozen=True, slots=True)
class Asked:
    """What a case asks of a data set.

    Attributes:
        parties: M, where columns or patches are dealt out; else the set itself says who has what.
        seed: of the rows' split and of the columns' order.
        even: columns by `numpy.array_split`, the first parties having one more, instead of the paper's rule.
        rows, test_rows: the most that are taken; 0: all.
        jpeg: how many times more images are compressed (`jpeg`).
    """

    parties: int
    seed: int
    even: bool = False
    rows: int = 0
    test_rows: int = 0
    jpeg: int = 0

    def train(self, rows: int) -> npt.NDArray[np.int64]:
        """Training rows of a set with a test part of its own, drawn with the seed; by default all, in a drawn order."""
        return np.random.default_rng(self.seed).permutation(rows)[: self.rows or None]

    def test(self, rows: int) -> npt.NDArray[np.int64]:
        """Its test rows, likewise: a file may have them class by class."""
        return np.random.default_rng([self.seed, 1]).permutation(rows)[: self.test_rows or None]


def eighty_twenty(rows: int, seed: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """(test rows, training rows) of a seeded 80/20 split."""
    order = np.random.default_rng(seed).permutation(rows)
    count = round(TEST_SHARE * rows)
    return order[:count], order[count:]


def stored(rows: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """(test rows, training rows) of the split that the paper's code stores: its `make_stats.py` sets numpy's seed to 0
    before each UCI set but the first, Blob, whose rows are drawn unseeded."""
    order = np.random.RandomState(0).permutation(rows)
    count = int(rows * (1 - TEST_SHARE))
    return order[count:], order[:count]


def deal(columns: int, parties: int, seed: int, even: bool = False) -> list[npt.NDArray[np.int64]]:
    """Columns by party, shuffled with the seed: floor(p / M) each and the rest to the last, as in the paper's code.

    Raises:
        ValueError: fewer columns than parties.
    """
    if columns < parties:
        raise ValueError(f"{columns} columns cannot be dealt out to {parties} parties")
    order, each = np.random.default_rng(seed).permutation(columns), columns // parties
    if even:
        return np.array_split(order, parties)
    return np.split(order, [each * m for m in range(1, parties)])
