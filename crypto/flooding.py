"""Noise that drowns what a reply's own noise says about the data: exact integers from a stream cipher.

A draw is the sum of 12 independent uniform integers of `bits` bits each, centred, so its standard deviation is
sigma = 2**bits to one part in 2**(2 bits). No floating point is involved, so there is nothing to round wrongly, and no
value is larger than 6 sigma.

*Why it drowns a shift.* The sum of 12 uniforms has a location family of finite Fisher information, J = 1.002 / sigma**2
(a Gaussian of that sigma: 1), so noise and noise shifted by a small `d` have squared Hellinger distance d**2 J / 8.
Squared Hellinger distances of independent coordinates and replies add up (at most), and total variation is at most
sqrt(2) times the Hellinger distance: over any number of coordinates whose shifts have L2 norm D,

    TV <= sqrt(J) * D / 2 <= 1.002 * D / (2 sigma)

which is the bound for Gaussian noise, up to 0.2%. (Its ends, where one density is zero and the other not, have mass
(d / 2**bits)**12 / 12!, less than 2**-300 for the shifts here.)
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from crypto.uniform import stream_words

TERMS = 12
"""Uniform integers in a draw: with 12 the standard deviation is 2**bits."""
FISHER = 1.004
"""An upper bound of J * sigma**2 (numerically 1.002)."""


def draw(count: int, bits: int) -> npt.NDArray[np.int64]:
    """Noise int64 (count,), standard deviation 2**bits, from a fresh ChaCha20 key of the operating system's.

    Args:
        count: how many.
        bits: at most 32.
    """
    words = stream_words(TERMS * count).reshape(TERMS, count) >> np.uint32(32 - bits)
    # The mean of a term is (2**bits - 1) / 2, of the sum TERMS / 2 times (2**bits - 1): an integer.
    centred: npt.NDArray[np.int64] = words.sum(axis=0, dtype=np.int64) - (TERMS // 2) * ((1 << bits) - 1)
    return centred
