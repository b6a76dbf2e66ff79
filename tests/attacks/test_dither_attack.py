"""Which of two U was encoded, told by what rounding did to its coefficients: the sponsor's attack on the dither.

Kappa covers the function of U *as encoded* (decision 0003). U times an orthogonal matrix makes the same fits, but other
coefficients, which lie otherwise between whole numbers. Here a sponsor that knows both candidates is given every error
of encoding by itself, from the product's own dither and rounding, under the noise that flooding leaves of it after all
rounds; and takes the candidate under which the errors are likelier, which no attack on these numbers betters.
"""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.interpolate import BSpline
from scipy.stats import norm

from crypto.ckks import dithering, embedding
from crypto.ckks.params import ParameterSet
from crypto.ckks.sets import PARAMETER_SETS

GAMES = 24
STANDARD = PARAMETER_SETS["standard"]
WITHIN = 0.75
"""A whole number in units of the noise, up to which the dither of fitted values is at chance."""


def likelihood(seen: np.ndarray, above: np.ndarray, terms: int, sigma: float) -> np.ndarray:
    """Of an error `seen` under noise of deviation `sigma`, where a coefficient lies `above` a whole number."""
    spline = BSpline.basis_element(np.arange(terms + 2) - (terms + 1) / 2, extrapolate=False)
    total = np.zeros_like(seen)
    for whole in range(-(terms + 1) // 2, (terms + 1) // 2 + 2):
        total += np.nan_to_num(spline(whole - above)) * norm.pdf(seen, whole - above, sigma)
    return total


def drawn_errors(exact: np.ndarray, terms: int) -> np.ndarray:
    """Of one encoding of coefficients `exact`, dithered as the product does and rounded as SEAL does."""
    both = embedding.slot_values(exact)
    slots = both[: len(exact) // 2] + 1j * both[len(exact) // 2 :]
    mixed = dithering.dithered(slots, 0, terms) if terms else slots
    found = embedding.coefficients(np.concatenate([mixed.real, mixed.imag]))
    return np.rint(found) - exact


def told(terms: int, whole: float) -> int:
    """Games won of GAMES, a whole number being `whole` deviations of the noise."""
    rng, won = np.random.default_rng(0), 0
    for _ in range(GAMES):
        truth, other = rng.uniform(-50, 50, (2, STANDARD.n))
        seen = drawn_errors(truth, terms) + rng.standard_normal(STANDARD.n) / whole
        both = [likelihood(seen, exact % 1, terms, 1 / whole) for exact in (truth, other)]
        won += int(np.sum(np.log(both[0]) - np.log(both[1])) > 0)
    return won


def test_six_uniform_numbers_leave_nothing_to_tell() -> None:
    assert 2 < told(dithering.SINGLE, WITHIN) < GAMES - 2


@pytest.mark.parametrize(("terms", "whole"), [(0, WITHIN), (2, 1.5), (6, 3.0)])
def test_fewer_or_coarser_ones_are_told(terms: int, whole: float) -> None:
    """Rounding to the nearest, the dither of two numbers, and whole numbers beyond the noise."""
    assert told(terms, whole) > GAMES - 2


def divergence(terms: int, whole: float, steps: int = 8) -> float:
    """Chi-squared of one error under two candidates, the mean over where their coefficients lie."""
    sigma = 1 / whole
    reach = 9 * math.hypot(math.sqrt(dithering.variance(terms)), sigma)
    seen = np.linspace(-reach, reach, 2001)
    every = [likelihood(seen, np.full_like(seen, (k + 0.5) / steps), terms, sigma) for k in range(steps)]
    step = seen[1] - seen[0]
    return float(np.mean([np.sum((a - b) ** 2 / np.maximum(b, 1e-300)) * step for a in every for b in every]))


def whole_number(params: ParameterSet, explained: float, columns: int) -> float:
    """A whole number of `columns` encodings a block, in deviations of flooding; `explained` is the sum over rounds of
    |U' r|^2, r at most 1."""
    bits = 1 + params.request_bits + params.first_bits
    dropped = math.prod(params.primes[params.reply_levels : params.levels])
    return math.sqrt(explained / columns) * 2.0**bits / (params.sigma * dropped)


@pytest.mark.parametrize("columns", [2, 4, 8])
@pytest.mark.parametrize(("rows", "share"), [(30_000, 1.0), (250_000, 1.0), (1_000_000, 0.25)])
def test_no_test_of_all_errors_of_a_study_does_much_better_than_chance(columns: int, rows: int, share: float) -> None:
    """A million rows, of whose residual a quarter is explained over all rounds; fewer, with all of it."""
    whole = whole_number(STANDARD, share * rows, columns)
    assert whole < WITHIN
    advantage = math.sqrt(rows * columns * divergence(dithering.SINGLE, whole) / 2)
    assert advantage < 0.15
    if rows > 30_000:
        assert rows * columns * divergence(dithering.SUMMED, whole) > 1, "two numbers would not do"
    assert whole_number(PARAMETER_SETS["strict"], 100 * 2.0**24, 2) < WITHIN
