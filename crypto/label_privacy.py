"""Randomised response over K values, exact in integers, and public bins that turn a bounded number into one of them.

*Neighbours*: two label vectors that differ in the label of one row (label differential privacy: Chaudhuri and Hsu, COLT
2011; Ghazi et al., NeurIPS 2021). Everything else (rows, ids, features, the K values or the range) counts as public.
*Mechanism*: each row's value is released independently, as it is with probability `keep / 2**64`, as each of the K - 1
other values with probability `other / 2**64` (Warner 1965; Kairouz, Bonawitz and Ramage, ICML 2016). The largest odds
ratio of any output is `keep / other <= e**epsilon`, so one release is epsilon-DP for every row, and whatever is
computed from it later costs nothing more. **Releasing the same row again, at another time, adds the epsilons**:
the first release must be kept and given again.
*Rounding*, always towards privacy: epsilon is the decimal number that was given, e**epsilon is rounded down
(a truncated series in integers), `other` is rounded up. No floating point stands between a code and its release.
*Bins*: a number is clipped to a public range and replaced by one of equal bins (randomised response on bins: Ghazi et
al., ICLR 2023), how many depends on epsilon alone, so no bound is taken from the data.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from fractions import Fraction
from functools import cache

import numpy as np
import numpy.typing as npt

from crypto.errors import Misuse, Unsuitable
from crypto.uniform import Words, system_words

Codes = npt.NDArray[np.int64]
"""int64 (N,): values numbered 0..K-1."""

EPSILON_RANGE = (0.01, 20.0)
"""Below, 100,000 rows teach nothing; above, one label in 10**8 is changed and the word privacy misleads."""
MAX_VALUES = 1000
"""K at most; with epsilon 20 `other` then still has 35 bits, so rounding moves epsilon by less than 1e-7."""
MAX_BINS = 64
WORD = 1 << 64
SERIES_BITS = 192


def exp_lower_bound(x: Fraction) -> Fraction:
    """A number at most e**x and within 2**-100 of it, for 0 <= x <= 20: the series, every step rounded down."""
    scaled = math.floor(x * (1 << SERIES_BITS))
    term, total, n = 1 << SERIES_BITS, 0, 0
    while term:
        total, n = total + term, n + 1
        term = term * scaled // (n << SERIES_BITS)
    return Fraction(total, 1 << SERIES_BITS)


@dataclass(frozen=True, slots=True)
class RandomizedResponse:
    """K-ary randomised response.

    Args:
        values: K, 2 to `MAX_VALUES`, public.
        epsilon: the most that one release of one row may cost, within `EPSILON_RANGE`.

    Attributes:
        keep, other: chances of the true value and of each other one, out of 2**64; `keep + (K-1) * other == 2**64`.

    Raises:
        Unsuitable: epsilon or the number of values is outside its range.
    """

    values: int
    epsilon: float
    keep: int = field(init=False)
    other: int = field(init=False)

    def __post_init__(self) -> None:
        low, high = EPSILON_RANGE
        if not low <= self.epsilon <= high:  # refuses nan as well
            raise Unsuitable("epsilon", f"{self.epsilon!r}; accepted: {low} to {high}")
        if not 2 <= self.values <= MAX_VALUES:
            raise Unsuitable("values", f"{self.values} label values; accepted: 2 to {MAX_VALUES}")
        odds = exp_lower_bound(Fraction(repr(float(self.epsilon))))  # the decimal as written, not its binary neighbour
        other = math.ceil(WORD / (odds + self.values - 1))
        object.__setattr__(self, "other", other)
        object.__setattr__(self, "keep", WORD - (self.values - 1) * other)

    @property
    def retention(self) -> float:
        """keep - other as a probability: E[onehot(release)] = retention * onehot(true) + (1 - retention) / K."""
        return float(Fraction(self.keep - self.other, WORD))

    @property
    def flip(self) -> float:
        """Probability of each value other than the true one."""
        return float(Fraction(self.other, WORD))

    def privatise(self, codes: Codes) -> Codes:
        """One release of every row, with fresh randomness of the operating system.

        Raises:
            Misuse: a code is not in 0..K-1.
        """
        return self.respond(codes, system_words(len(codes)))

    def respond(self, codes: Codes, words: Words) -> Codes:
        """The release that these uniform words give: what `privatise` does, for tests and seeded experiments.

        2**64 divides into `keep` words that keep and K-1 stretches of `other` words, one for each other value.

        Raises:
            Misuse: a code is not in 0..K-1, or there is not one word a row.
        """
        if codes.ndim != 1 or words.shape != codes.shape or not ((codes >= 0) & (codes < self.values)).all():
            raise Misuse(f"labels to privatise must be codes 0..{self.values - 1}, with one word each")
        keep, other = np.uint64(self.keep), np.uint64(self.other)
        stretch = ((words - keep) // other).astype(np.int64)  # wraps, and is not used, where the value is kept
        return np.where(words < keep, codes, stretch + (stretch >= codes))


def check_range(low: float, high: float) -> None:
    """Unsuitable unless low < high, both finite and their distance too."""
    if not 0 < high - low < math.inf:  # refuses nan as well
        raise Unsuitable("range", f"[{low!r}, {high!r}]; accepted: two finite numbers, smaller first")


@dataclass(frozen=True, slots=True)
class LabelBins:
    """`count` equal bins over a public range [low, high]; values outside are clipped to it."""

    low: float
    high: float
    count: int

    def __post_init__(self) -> None:
        check_range(self.low, self.high)

    def codes(self, values: npt.NDArray[np.float64]) -> Codes:
        """The bin (N,) of every value (N,). Rounding here costs no privacy: it comes before the mechanism."""
        share = (np.clip(values, self.low, self.high) - self.low) / (self.high - self.low)
        return np.minimum((share * self.count).astype(np.int64), self.count - 1)

    @property
    def values(self) -> npt.NDArray[np.float64]:
        """The value (count,) that each bin stands for: its mean under `_triangular`."""
        return np.asarray(self.low + (self.high - self.low) * (0.5 + _triangular(self.count)[1]))


@cache
def bin_count(epsilon: float) -> int:
    """How many bins, by a public rule: least mean squared error of the unbiased release of a triangular label.

    Binning leaves the variance 1/24 - V of a range of width 1, V that of the bins' values. Randomised response of
    retention lambda, corrected to be unbiased, adds (lambda V + (1 - lambda) U - lambda^2 V) / lambda^2, U the mean
    square of the bins' values.
    """

    def error(bins: int) -> float:
        retention, (shares, values) = RandomizedResponse(bins, epsilon).retention, _triangular(bins)
        v, u = float(shares @ values**2), float(np.mean(values**2))
        return (retention * v + (1 - retention) * u - retention**2 * v) / retention**2 + 1 / 24 - v

    return min(range(2, MAX_BINS + 1), key=error)


def _triangular(bins: int) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """(share, mean) of every bin of [-1/2, 1/2] under the density 2 - 4 |u|.

    A range that holds every label is seldom filled evenly: a uniform label would put the values of two bins, and with
    them every prediction, too far out. The rule looks at no label, so a wrong guess costs accuracy and no privacy.
    """
    edges = np.arange(bins + 1) / bins - 0.5
    below = 0.5 + 2 * edges - 2 * edges * np.abs(edges)  # distribution function
    moment = edges**2 - 4 / 3 * np.abs(edges) ** 3  # antiderivative of u (2 - 4 |u|)
    shares = np.diff(below)
    return shares, np.diff(moment) / shares
