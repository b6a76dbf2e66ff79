"""Uniform random words of the operating system, and uniform numbers made of them; nothing here takes a seed."""

from __future__ import annotations

import secrets

import numpy as np
import numpy.typing as npt

Words = npt.NDArray[np.uint64]
"""uint64, uniform over 0..2**64-1."""


def system_words(count: int) -> Words:
    """`count` fresh words (count,) of the operating system's generator."""
    return np.frombuffer(secrets.token_bytes(8 * count), dtype="<u8").astype(np.uint64)


def unit_interval(words: Words) -> npt.NDArray[np.float64]:
    """The high 52 bits of each word as the middle of one of 2**52 equal cells: never 0 and never 1."""
    cells = (words >> np.uint64(12)).astype(np.float64)
    return np.asarray((cells + 0.5) * 2.0**-52)
