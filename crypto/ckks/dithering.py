"""Encoding U without telling more of it than the fit does: random dither before a plaintext's coefficients are rounded.

A plaintext's coefficients are integers. Rounded to the nearest, they make the fit that of a slightly other U, and which
other one is a function of the data: whoever decrypts the fit would see it wherever flooding does not drown
it. So a sum of m uniform numbers of -1/2..1/2 is added to every coefficient before it is rounded. Then the first m
moments of the whole error, rounding and dither, are the same whatever the coefficient is, its mean 0 and its variance
(m + 1) / 12 (not subtracted dither; Lipshitz, Wannamaker and Vanderkooy, J. Audio Eng. Soc. 40(5), 1992).
The dither is drawn anew for every plaintext, from a stream cipher keyed by the operating system.

SEAL encodes slots, so the dither goes through the embedding first. That is exact to about 2^-50 of a slot's value; a
scale beyond that (`second_bits` of the set `sum`) leaves the rounding of SEAL's own transform, which is as small.
"""

from __future__ import annotations

import numpy as np

from crypto.ckks.embedding import slot_values
from crypto.ckks.slots import Slots
from crypto.uniform import stream_words

SUMMED = 2
"""m where the encoding's errors are summed over all rows, U of the inner products: what is left of higher moments is
averaged away."""
SINGLE = 6
"""m where whoever decrypts may see errors one by one, U of the fitted values."""


def variance(terms: int) -> float:
    """Of a coefficient's error: rounding, and `terms` uniform numbers."""
    return (terms + 1) / 12


def dithered(slots: Slots, bits: int, terms: int) -> Slots:
    """Slots (n / 2,) that round, at scale 2**bits, to a polynomial whose expectation is that of `slots`; m = `terms`.

    Zero stays zero: which diagonals of U are padding is public.
    """
    if not slots.any():
        return slots
    half = len(slots)
    words = stream_words(terms * 2 * half).reshape(terms, -1).sum(axis=0, dtype=np.int64)
    drawn = (words + terms / 2) * 2.0**-32 - terms / 2  # the middle of each number's cell
    values = slot_values(drawn) * 2.0**-bits
    return np.asarray(slots + values[:half] + 1j * values[half:])
