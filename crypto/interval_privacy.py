"""Interval privacy: a value is reported only as lying below or above one random threshold of a public range.

Ding and Ding, *Interval Privacy: A Framework for Privacy-Preserving Data Collection*, IEEE Transactions on Signal
Processing 70 (2022), arXiv 2106.09565; GAL (NeurIPS 2022) applies it to the pseudo-residuals. Given the report, the
value is distributed as before over the interval: that, and not differential privacy, is promised. There is no epsilon.

**What it is worth.** A second report of the same value with a fresh threshold cuts the interval again; after n reports
nothing is left but a gap of about 2/(n + 2) of the range, so report *once*. A value that can only take two places, such
as the first cross-entropy residual of a row, is either named exactly (the threshold falls between them) or not told at
all: over [-1, 1] the first reports name half of the labels of two classes. Use randomised response for classes.
Unlike the paper's code, the range is public and never the data's own quantiles.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from crypto.errors import Misuse
from crypto.label_privacy import check_range
from crypto.uniform import Words, system_words, unit_interval

Array = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Intervals:
    """Reports: `above` says on which side of its `threshold` a value lies; both have the shape of the values."""

    low: float
    high: float
    threshold: Array = field(repr=False)
    above: npt.NDArray[np.bool_] = field(repr=False)

    @property
    def bounds(self) -> tuple[Array, Array]:
        """The least and largest value that each report leaves possible."""
        return np.where(self.above, self.threshold, self.low), np.where(self.above, self.high, self.threshold)

    @property
    def estimates(self) -> Array:
        """An unbiased estimate of each clipped value: 2t - low when above, else 2t - high (GAL's code, `ip`).

        It tells at most what the report tells. With t uniform on [low, high], its mean is
        ((v^2 - low v) + (high v - v^2)) / (high - low) = v.
        """
        return 2 * self.threshold - np.where(self.above, self.low, self.high)


@dataclass(frozen=True, slots=True)
class IntervalMechanism:
    """One uniform threshold a value over the public range [low, high]; values outside are clipped to it."""

    low: float
    high: float

    def __post_init__(self) -> None:
        check_range(self.low, self.high)

    def report(self, values: Array) -> Intervals:
        """One report a value, of any shape, with fresh randomness of the operating system.

        Raises:
            Misuse: a value is not finite.
        """
        return self.respond(values, system_words(values.size))

    def respond(self, values: Array, words: Words) -> Intervals:
        """The reports that these uniform words (one a value) give, for tests and seeded experiments."""
        if not np.isfinite(values).all():
            raise Misuse("interval privacy was asked to report a value that is not finite")
        threshold = self.low + (self.high - self.low) * unit_interval(words).reshape(values.shape)
        return Intervals(self.low, self.high, threshold, np.clip(values, self.low, self.high) >= threshold)
