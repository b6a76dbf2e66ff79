"""Encoding U without telling more of it than the fit does: random dither before a plaintext's coefficients are rounded.

A plaintext's coefficients are integers. Rounded to the nearest, they make the fit that of a slightly other U, and which
other one is a function of the data: whoever decrypts the fit would see it wherever flooding does not drown
it. So the sum of two uniform numbers of -1/2..1/2 is added to every coefficient before it is rounded. Then mean and
variance of the whole error, rounding and dither, are 0 and 1/4 whatever the coefficient is (triangular dither, not
subtracted: Lipshitz, Wannamaker, Vanderkooy, *Quantization and Dither*, J. Audio Eng. Soc. 40(5), 1992). Without it,
the error was 1/12 in mean square and told. The dither is drawn anew for every plaintext, from a stream cipher keyed by
the operating system.

SEAL encodes slots, so the dither goes through the embedding first. That is exact to about 2^-50 of a slot's value; a
scale beyond that (`second_bits` of the set `sum`) leaves the rounding of SEAL's own transform, which is as small.
"""

from __future__ import annotations

import numpy as np

from crypto.ckks.embedding import slot_values
from crypto.ckks.slots import Slots
from crypto.uniform import stream_words

VARIANCE = 1 / 4
"""Of a coefficient's error: rounding (1/12) and two uniform numbers (2/12)."""


def dithered(slots: Slots, bits: int) -> Slots:
    """Slots (n / 2,) that round, at scale 2**bits, to a polynomial whose expectation is that of `slots`.

    Zero stays zero: which diagonals of U are padding is public.
    """
    if not slots.any():
        return slots
    half = len(slots)
    words = stream_words(4 * half).reshape(2, -1).sum(axis=0, dtype=np.int64)
    values = slot_values((words + 1) * 2.0**-32 - 1.0) * 2.0**-bits  # the middle of each number's cell
    return np.asarray(slots + values[:half] + 1j * values[half:])
