"""What an attack found: a score, the score without the messages, and how sure we are.

An interval says over what it was taken. *Resampled*: percentile bootstrap over rows (Efron and Tibshirani 1993, chapter
13), score and baseline on the same draws, for attacks without random choices; a score of exactly 0 or 1 on every row
has an interval of no width, because about these rows nothing is uncertain. *Repeated*: Student's t over repetitions of
an attack that draws which rows are known, given these rows.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]
Measure = Callable[[npt.NDArray[Any], npt.NDArray[Any]], float]
"""(truth (n,), guess (n,)) to a score; 1 is complete knowledge."""

CONFIDENCE = 0.95
DRAWS = 400
"""Bootstrap draws: the ends of a 95% interval then move by about a tenth of its width from seed to seed."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """A value and its 95% confidence interval; nan where a single repetition gives none."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:.3f} [{self.low:.3f}, {self.high:.3f}]"


@dataclass(frozen=True, slots=True)
class Finding:
    """One attack on one target.

    Attributes:
        attack: its name; target: `labels`, or the name of a column.
        rounds: the round whose messages were used, or `all`.
        knows: what the attacker is given beside the messages.
        measure: of score and baseline; 1 is complete knowledge.
        score: with the messages; baseline: without them.
        gain: score - baseline, paired.
    """

    attack: str
    target: str
    rounds: str
    knows: str
    measure: str
    score: Estimate
    baseline: Estimate
    gain: Estimate

    @property
    def leak(self) -> Estimate:
        """The gain as a share of what was left to learn, from 0 (nothing) to 1 (everything): comparable over measures.

        An end that is not known stays nan.
        """
        left = 1.0 - self.baseline.value
        if left <= 0.0:
            return Estimate(0.0, 0.0, 0.0)
        value, low, high = np.clip(np.array([self.gain.value, self.gain.low, self.gain.high]) / left, 0.0, 1.0)
        return Estimate(float(value), float(low), float(high))

    def row(self) -> dict[str, str | float | None]:
        """Flat, for a table and for JSON, which has no nan: None stands for it."""
        out: dict[str, str | float | None] = {
            "attack": self.attack,
            "target": self.target,
            "rounds": self.rounds,
            "knows": self.knows,
            "measure": self.measure,
        }
        for name in ("score", "baseline", "gain", "leak"):
            estimate: Estimate = getattr(self, name)
            for end, number in (("", estimate.value), ("_low", estimate.low), ("_high", estimate.high)):
                out[name + end] = number if math.isfinite(number) else None
        return out


def balanced_accuracy(truth: npt.NDArray[Any], guess: npt.NDArray[Any]) -> float:
    """Mean recall over the classes that occur: chance is 1/classes however rare a class is; 1 is 100% of the labels."""
    counts = np.bincount(truth)
    hits = np.bincount(truth, weights=guess == truth)
    return float((hits[counts > 0] / counts[counts > 0]).mean())


def r2(truth: npt.NDArray[Any], guess: npt.NDArray[Any]) -> float:
    """Share of variance explained, at least 0: an attacker who does worse would have answered the mean."""
    total = float(np.sum((truth - truth.mean()) ** 2))
    return max(0.0, 1.0 - float(np.sum((truth - guess) ** 2)) / total) if total > 0 else 0.0


def squared_correlation(truth: npt.NDArray[Any], guess: npt.NDArray[Any]) -> float:
    """R2 after the best offset and scale, which two known values would give, with the sign of the correlation.

    With its sign, a guess about nothing scores 0 on average; without, it would always score a little. 0 where either
    is constant.
    """
    a, b = truth - truth.mean(), guess - guess.mean()
    power = float(a @ a) * float(b @ b)
    return float(a @ b) * abs(float(a @ b)) / power if power > 0 else 0.0


MEASURES: dict[str, Measure] = {
    "balanced accuracy": balanced_accuracy,
    "R2": r2,
    "squared correlation": squared_correlation,
}


def resampled(
    measure: str,
    truth: npt.NDArray[Any],
    guess: npt.NDArray[Any],
    without: npt.NDArray[Any],
    *,
    seed: int,
    **about: str,
) -> Finding:
    """A finding about one set of guesses, with intervals by the bootstrap over rows.

    Args:
        truth, guess, without: (N,) each; `without` is the best guess without the messages.
        about: attack, target, rounds and knows of the finding.
    """
    score, rng = MEASURES[measure], np.random.default_rng(seed)
    pairs = np.empty((DRAWS, 2))
    for pair in pairs:
        rows = rng.integers(0, len(truth), len(truth))
        pair[:] = score(truth[rows], guess[rows]), score(truth[rows], without[rows])
    tail = 50 * (1 - CONFIDENCE)

    def estimate(value: float, draws: Array) -> Estimate:
        low, high = np.percentile(draws, [tail, 100 - tail])
        return Estimate(value, float(low), float(high))

    got, base = score(truth, guess), score(truth, without)
    gains = pairs[:, 0] - pairs[:, 1]
    return Finding(
        measure=measure,
        score=estimate(got, pairs[:, 0]),
        baseline=estimate(base, pairs[:, 1]),
        gain=estimate(got - base, gains),
        **about,
    )


def repeated(measure: str, pairs: Sequence[tuple[float, float]], **about: str) -> Finding:
    """A finding about repetitions, each a (score, baseline) of the same draw; `about` as for `resampled`."""
    scores, baselines = np.array(pairs, dtype=np.float64).T
    return Finding(
        measure=measure,
        score=interval(scores),
        baseline=interval(baselines),
        gain=interval(scores - baselines),
        **about,
    )


def interval(values: npt.NDArray[np.float64]) -> Estimate:
    """Mean of independent repetitions and Student's interval for it."""
    from scipy.stats import t

    mean = float(values.mean())
    if len(values) < 2:
        return Estimate(mean, math.nan, math.nan)
    half = float(t.ppf(0.5 + CONFIDENCE / 2, len(values) - 1) * values.std(ddof=1) / math.sqrt(len(values)))
    return Estimate(mean, mean - half, mean + half)
