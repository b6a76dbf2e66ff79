"""Noise that drowns what a number's own noise says: exact integers from a stream cipher.

An evaluator floods its replies with it, and the key owner what it decrypts.

A draw is the sum of 12 independent uniform integers of `bits` bits each, centred, so its standard deviation is
sigma = 2**bits to one part in 2**(2 bits). No floating point is involved, so there is nothing to round wrongly, and no
value is larger than 6 sigma.

*Why it drowns a shift.* The sum of 12 uniforms has a location family of finite Fisher information, J = 1.002 / sigma**2
(a Gaussian of that sigma: 1), so noise and noise shifted by a small `d` have squared Hellinger distance d**2 J / 8.
Squared Hellinger distances of independent coordinates and replies add up (at most), and total variation is at most
sqrt(2) times the Hellinger distance: over any number of coordinates whose shifts have L2 norm D,

    TV <= sqrt(J) * D / 2 <= 1.002 * D / (2 sigma)

which is the bound for Gaussian noise, up to 0.2%. (Its ends, where one density is zero and the other not, have mass
(d / 2**bits)**12 / 12!, less than 2**-300 for the shifts here.) Numbers and shifts are whole, and
H**2 of a shift by d is at most d**2 times that of a shift by 1 (Cauchy-Schwarz), so nothing is rounded.
"""

from __future__ import annotations

import numpy as np

from crypto.ckks.wide import Limbs
from crypto.uniform import stream_words

TERMS = 12
"""Uniform integers in a draw: with 12 the standard deviation is 2**bits."""
FISHER = 1.004
"""An upper bound of J * sigma**2 (numerically 1.002)."""


def draw(count: int, bits: int, key: bytes | None = None) -> Limbs:
    """Noise of standard deviation 2**bits, as whole numbers that are `centre(bits)` too large.

    Args:
        count: how many.
        bits: at most 96.
        key: 32 secret bytes that this draw alone uses, where it must be found again; a fresh ChaCha20 key of the
            operating system's without.

    Returns:
        two limbs, uint64 (count,) each, least significant first; less than 12 * 2**bits.
    """
    each = -(-bits // 32)
    words = stream_words(each * TERMS * count, key).reshape(each, TERMS, count)
    sums = [words[i].sum(axis=0, dtype=np.uint64) for i in range(each - 1)]
    sums.append((words[-1] >> np.uint32(32 * each - bits)).sum(axis=0, dtype=np.uint64))
    sums += [np.zeros(count, dtype=np.uint64)] * (3 - each)
    low, middle, high = sums[0], sums[1], sums[2]
    half = np.uint64(32)
    total = low + (middle << half)
    return [total, high + (middle >> half) + (total < low)]


def centre(bits: int) -> int:
    """The mean of what `draw` gives: that of a term is (2**bits - 1) / 2, so of their sum an integer."""
    return TERMS // 2 * ((1 << bits) - 1)


def one(bits: int, key: bytes | None = None) -> int:
    """A single centred number; arguments as for `draw`."""
    low, high = draw(1, bits, key)
    return int(low[0]) + (int(high[0]) << 64) - centre(bits)
