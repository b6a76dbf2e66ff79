"""Gaussian noise on clipped values. No epsilon is claimed: floating-point Gaussian noise is not differential privacy.

The noise must come from the operating system all the same. Where the receiver knows a value (a clipped one, a repeated
row) it sees the noise itself, and the state of a statistical generator can be computed from a few of its outputs.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from crypto.errors import Misuse, Unsuitable
from crypto.uniform import system_words, unit_interval


def clipped_with_noise(values: npt.NDArray[np.float32], clip: float, scale: float) -> npt.NDArray[np.float32]:
    """min(max(value, -clip), clip) + Normal(0, scale^2), float32 of the same shape; fresh noise at every call.

    A receiver who gets n noisy versions of the same value averages them down to scale / sqrt(n): send a stored answer
    again, do not call this again for the same values.

    Args:
        clip, scale: public, above 0, in the unit of the values; the inverse normal distribution of 52 random bits
            gives at most 8.2 deviations.

    Raises:
        Unsuitable: clip or scale is not a finite number above 0.
        Misuse: a value is not finite.
    """
    from scipy.special import ndtri

    for name, number in (("clip", clip), ("noise", scale)):
        if not (math.isfinite(number) and number > 0):
            raise Unsuitable(name, f"{number!r}; accepted: a number above 0")
    if not np.isfinite(values).all():
        raise Misuse("noise was asked for on a value that is not finite")
    noise = ndtri(unit_interval(system_words(values.size))).reshape(values.shape)
    return np.asarray(np.clip(values.astype(np.float64), -clip, clip) + scale * noise, dtype=np.float32)
