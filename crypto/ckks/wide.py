"""Coefficients modulo a product of primes as whole numbers, and their leading bytes: how replies travel.

SEAL keeps a coefficient as its residues by several primes of 60 bits. A reply is rounded in the number itself, which
the Chinese remainder theorem gives (Garner, *The Residue Number System*, 1959). A number of a polynomial's n
coefficients is a list of `limbs`, uint64 (n,) each, least significant first. Products by a constant modulo a prime are
Shoup's (see Harvey, *Faster arithmetic for number-theoretic transforms*, J. Symb. Comp. 2014): no division, no 128-bit
type.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

Words = npt.NDArray[np.uint64]
Bytes = npt.NDArray[np.uint8]
Limbs = list[Words]

_LOW, _HALF = np.uint64(2**32 - 1), np.uint64(32)


def whole_bytes(primes: Sequence[int]) -> int:
    """Bytes of a number below the product of the primes."""
    return (math.prod(primes).bit_length() + 7) // 8


def compose(residues: Words, primes: Sequence[int]) -> Limbs:
    """Numbers below the product of the primes from their residues uint64 (primes, n)."""
    digits = [residues[0]]  # of the mixed radix: x = d0 + q0 (d1 + q1 (d2 + ...))
    for prime, row in zip(primes[1:], residues[1:], strict=True):
        value = row
        for digit, earlier in zip(digits, primes, strict=False):
            value = _times(value + np.uint64(prime) - digit % np.uint64(prime), pow(earlier, -1, prime), prime)
        digits.append(value)
    limbs = [digits[-1]]
    for digit, prime in reversed([*zip(digits[:-1], primes, strict=False)]):
        limbs = _times_plus(limbs, prime, digit)
    return limbs[: -(-whole_bytes(primes) // 8)]


def residues(limbs: Limbs, primes: Sequence[int]) -> Words:
    """Residues uint64 (primes, n) of numbers of any size."""
    out = np.zeros((len(primes), len(limbs[0])), dtype=np.uint64)
    for row, prime in zip(out, primes, strict=True):
        for limb in reversed(limbs):
            row[:] = (_times(row, 2**64 % prime, prime) + limb % np.uint64(prime)) % np.uint64(prime)
    return out


def leading(limbs: Limbs, primes: Sequence[int], kept: int) -> Bytes:
    """The `kept` most significant bytes of each number below the product of the primes, uint8 (n * kept,)."""
    total = whole_bytes(primes)
    return np.stack(limbs, axis=1).astype("<u8").view(np.uint8)[:, total - kept : total].reshape(-1)


def extend(kept: Bytes, primes: Sequence[int], count: int) -> Limbs | None:
    """The inverse of `leading` for n = `count`: what was left out is taken to be the middle of what it can be.

    Returns:
        limbs; a number may exceed the product of the primes by less than what was left out. None if the leading bytes
        are not those of numbers below it.
    """
    total, each = whole_bytes(primes), len(kept) // count
    whole = np.zeros((count, 8 * -(-total // 8)), dtype=np.uint8)
    whole[:, total - each : total] = kept.reshape(count, each)
    if not _below([*whole.view("<u8").T], math.prod(primes)).all():
        return None
    if each < total:
        whole[:, total - each - 1] = 0x80
    return [np.ascontiguousarray(limb) for limb in whole.view("<u8").T]


def add(limbs: Limbs, other: Limbs, shift: int, primes: Sequence[int]) -> Limbs:
    """limbs + other + shift modulo the product Q of the primes; each term is less than Q, `shift` from -Q to Q."""
    product = math.prod(primes)
    total = _plus(_plus(limbs, other), _constant(shift % product, limbs))
    for _ in range(2):
        total = _minus_where(total, product)
    return total


def _constant(value: int, like: Limbs) -> Limbs:
    return [np.full_like(like[0], (value >> (64 * i)) & (2**64 - 1)) for i in range(len(like))]


def _plus(a: Limbs, b: Limbs) -> Limbs:
    out, carry = [], np.zeros_like(a[0])
    for x, y in zip(a, [*b, *[np.zeros_like(a[0])] * (len(a) - len(b))], strict=True):
        partial = x + y
        total = partial + carry
        carry = ((partial < x) | (total < partial)).astype(np.uint64)
        out.append(total)
    return out


def _below(limbs: Limbs, bound: int) -> npt.NDArray[np.bool_]:
    """Whether each number is less than `bound`, which its limbs can hold."""
    less = np.zeros(limbs[0].shape, dtype=np.bool_)
    for limb, due in zip(limbs, _constant(bound, limbs), strict=True):
        less = (limb < due) | ((limb == due) & less)
    return less


def _minus_where(limbs: Limbs, product: int) -> Limbs:
    """Take the product away from numbers that are not below it; there is room for its complement to wrap."""
    keep = _below(limbs, product)
    less = _plus(limbs, _constant(-product % 2 ** (64 * len(limbs)), limbs))
    return [np.where(keep, old, new) for old, new in zip(limbs, less, strict=True)]


def _times_plus(limbs: Limbs, constant: int, addend: Words) -> Limbs:
    out, carry = [], addend
    for limb in limbs:
        low = limb * np.uint64(constant)
        total = low + carry
        carry = _high(limb, constant) + (total < low)
        out.append(total)
    return [*out, carry]


def _times(a: Words, constant: int, prime: int) -> Words:
    """a * constant modulo the prime, for any a and a constant below the prime."""
    quotient = _high(a, (constant << 64) // prime)
    out = a * np.uint64(constant) - quotient * np.uint64(prime)
    return np.where(out >= np.uint64(prime), out - np.uint64(prime), out)


def _high(a: Words, constant: int) -> Words:
    """The upper 64 bits of a * constant."""
    a0, a1 = a & _LOW, a >> _HALF
    b0, b1 = np.uint64(constant & 0xFFFFFFFF), np.uint64(constant >> 32)
    crossed, across = a0 * b1, a1 * b0
    middle = (a0 * b0 >> _HALF) + (crossed & _LOW) + (across & _LOW)
    return np.asarray(a1 * b1 + (crossed >> _HALF) + (across >> _HALF) + (middle >> _HALF))
