"""Finding a CKKS key from decrypted values beside their ciphertexts (Li and Micciancio, EUROCRYPT 2021).

Whoever knows the message knows e = delta * s + noise for every reply, with delta, what was rounded off its second
polynomial, known to whoever made it, and s the key: learning with errors without a modulus, where least squares over
all replies is about as good as it gets (Bootle, Delaplace, Espitau, Fouque and Tibouchi, ASIACRYPT 2018).
"""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np

from crypto.ckks import embedding
from secure_gal.attacks.finding import Array


def in_ring(a: Array, b: Array) -> Array:
    """The product of two polynomials, coefficients (n,) each, by their values in the slots."""
    return _coefficients(_slots(a) * _slots(b))


def conjugate(a: Array) -> Array:
    """The polynomial (n,) whose slots are the conjugates of those of `a`."""
    return np.concatenate([a[:1], -a[:0:-1]])


def shown(a: Array, rows: int) -> Array:
    """What `rows` of n values show of a polynomial (n,): the others are 0."""
    slots = _slots(a)
    slots[rows // 2 :] = 0
    return _coefficients(slots)


def least_squares(pairs: Iterable[tuple[Array, Array]]) -> Array:
    """The s (n,) that explains errors = delta * s best, slot by slot, from pairs (delta, error) of coefficients
    (n,)."""
    first, error = next(given := iter(pairs))
    d = _slots(first)
    above, below = d.conj() * _slots(error), np.abs(d) ** 2
    for delta, error in given:
        d = _slots(delta)
        above += d.conj() * _slots(error)
        below += np.abs(d) ** 2
    return _coefficients(above / below)


def matched(pairs: Iterable[tuple[Array, Array]]) -> Array:
    """What every error has of its delta, added up (n,): for errors of which only a part is known."""
    return np.asarray(sum(in_ring(conjugate(delta), error) for delta, error in pairs))


def hits(found: Array, key: Array) -> float:
    """Share of a ternary key's coefficients that are right: rounded, or cut into three equal parts, whichever is
    better."""
    low, high = np.quantile(found, [1 / 3, 2 / 3])
    cut = np.where(found < low, -1, np.where(found > high, 1, 0))
    return max(float(np.mean(guess == key)) for guess in (cut, np.clip(np.rint(found), -1, 1)))


def chance(n: int) -> float:
    """The share of hits that guessing exceeds with probability 1e-9."""
    from scipy.stats import norm

    return 1 / 3 + float(norm.isf(1e-9)) * math.sqrt(2 / 9 / n)


def _slots(a: Array) -> Array:
    values = embedding.slot_values(np.asarray(a, dtype=np.float64))
    half = len(values) // 2
    return np.asarray(values[:half] + 1j * values[half:])


def _coefficients(slots: Array) -> Array:
    return embedding.coefficients(np.concatenate([slots.real, slots.imag]))
