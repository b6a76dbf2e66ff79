"""Numbers of many words against Python's own."""

from __future__ import annotations

import math
import secrets

import numpy as np
import pytest

from crypto.ckks import wide
from crypto.ckks.sets import SUM_SETS

PRIMES = SUM_SETS["sum"].primes
LEVELS = pytest.mark.parametrize("levels", [1, 2, 3, 4])


def whole(limbs: wide.Limbs) -> list[int]:
    return [sum(int(limb[i]) << (64 * j) for j, limb in enumerate(limbs)) for i in range(len(limbs[0]))]


def some(levels: int) -> tuple[tuple[int, ...], int, list[int], np.ndarray]:
    """Primes, their product, numbers below it with the ends among them, and their residues."""
    primes = PRIMES[:levels]
    product = math.prod(primes)
    numbers = [0, 1, product - 1, product // 2, *(2**k - 1 for k in range(8, 60 * levels - 1, 7))]
    numbers += [secrets.randbelow(product) for _ in range(500)]
    return primes, product, numbers, np.array([[x % p for x in numbers] for p in primes], dtype=np.uint64)


@LEVELS
def test_residues_and_numbers_are_each_other(levels: int) -> None:
    primes, _, numbers, residues = some(levels)
    limbs = wide.compose(residues, primes)
    assert whole(limbs) == numbers
    assert (wide.residues(limbs, primes) == residues).all()


@LEVELS
def test_leading_bytes_and_back(levels: int) -> None:
    primes, _, numbers, residues = some(levels)
    total = wide.whole_bytes(primes)
    for kept in range(1, total + 1):
        dropped = 8 * (total - kept)
        raw = wide.leading(wide.compose(residues, primes), primes, kept)
        assert raw.dtype == np.uint8 and raw.shape == (kept * len(numbers),)
        found = wide.extend(raw, primes, len(numbers))
        assert found is not None
        assert whole(found) == [(x >> dropped << dropped) + (1 << dropped >> 1) for x in numbers]


@LEVELS
def test_what_is_not_below_the_product_is_refused(levels: int) -> None:
    primes, product, *_ = some(levels)
    total = wide.whole_bytes(primes)
    for value, fits in ((product - 1, True), (product, False), (2 ** (8 * total) - 1, False)):
        raw = np.frombuffer(value.to_bytes(total, "little"), dtype=np.uint8)
        assert (wide.extend(raw, primes, 1) is not None) == fits


@pytest.mark.parametrize("levels", [2, 3])
def test_noise_is_added_modulo_the_product(levels: int) -> None:
    primes, product, numbers, residues = some(levels)
    other = [secrets.randbelow(2**94) for _ in numbers]
    limbs = [np.array([x >> (64 * i) & (2**64 - 1) for x in other], dtype=np.uint64) for i in range(2)]
    shift = -6 * (2**90 - 1)
    found = whole(wide.add(wide.compose(residues, primes), limbs, shift, primes))
    assert found == [(x + y + shift) % product for x, y in zip(numbers, other, strict=True)]
