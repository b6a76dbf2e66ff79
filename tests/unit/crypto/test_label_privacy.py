"""Randomised response: exact odds, sampled frequencies, public bins; false alarms once in a million runs (ALARM)."""

from __future__ import annotations

import math
from decimal import Decimal, localcontext
from fractions import Fraction

import numpy as np
import pytest
from scipy.stats import chi2, chisquare

from crypto.errors import Misuse, Unsuitable
from crypto.interval_privacy import IntervalMechanism
from crypto.label_privacy import MAX_BINS, LabelBins, RandomizedResponse, bin_count, exp_lower_bound

ALARM = 1e-6
DRAWS = 200_000
MECHANISMS = [(k, e) for k in (2, 3, 10, 1000) for e in (0.01, 0.1, 0.5, 1.0, math.log(3), 4.0, 20.0)]
WORD = 1 << 64


def exact_exp(epsilon: float) -> Fraction:
    """e**epsilon to 120 digits by another implementation."""
    with localcontext() as context:
        context.prec = 120
        return Fraction(Decimal(repr(epsilon)).exp())


def words(*values):
    return np.array(values, dtype=np.uint64)


# exact probabilities


@pytest.mark.parametrize(("k", "epsilon"), MECHANISMS)
def test_the_odds_of_every_release_are_at_most_e_to_epsilon_and_no_smaller_than_needed(k, epsilon):
    rr = RandomizedResponse(k, epsilon)
    assert rr.keep + (k - 1) * rr.other == WORD
    assert rr.keep > rr.other > 0
    bound = exact_exp(epsilon)
    assert Fraction(rr.keep, rr.other) <= bound
    one_less = Fraction(WORD - (k - 1) * (rr.other - 1), rr.other - 1)
    assert one_less > bound  # the next smaller `other` would break the promise, so nothing is wasted
    assert epsilon - math.log(Fraction(rr.keep, rr.other)) < 1e-7


def test_probabilities_rounded_to_nearest_would_break_the_promise_somewhere():
    broken = 0
    for k, epsilon in MECHANISMS:
        other = round(WORD / (exact_exp(epsilon) + k - 1))
        broken += Fraction(WORD - (k - 1) * other, other) > exact_exp(epsilon)
    assert broken > 0


def test_epsilon_is_the_decimal_that_was_written():
    assert Fraction(0.1) > Fraction("0.1")  # the float is larger: taking it as it is would exceed what was stated
    assert exp_lower_bound(Fraction("0.1")) <= exact_exp(0.1) < exp_lower_bound(Fraction("0.1")) + Fraction(1, 2**100)


@pytest.mark.parametrize(("k", "epsilon"), [(2, 0.5), (3, 1.0), (7, 4.0)])
def test_words_divide_into_keep_and_equal_stretches(k, epsilon):
    """The release is constant on stretches, so their ends prove the distribution for all 2**64 words."""
    rr = RandomizedResponse(k, epsilon)
    for true in range(k):
        others = [c for c in range(k) if c != true]
        expected = {0: true, rr.keep - 1: true}
        for i, other in enumerate(others):
            expected |= {rr.keep + i * rr.other: other, rr.keep + (i + 1) * rr.other - 1: other}
        assert max(expected) == WORD - 1
        given = rr.respond(np.full(len(expected), true), words(*expected))
        assert given.tolist() == list(expected.values())


# sampled


def p_value(rr, true):
    counts = np.bincount(rr.privatise(np.full(DRAWS, true)), minlength=rr.values)
    return lambda other: (
        chisquare(
            counts, [DRAWS * float(Fraction(other.keep if c == true else other.other, WORD)) for c in range(rr.values)]
        ).pvalue
    )


@pytest.mark.parametrize(("k", "epsilon"), [(2, 1.0), (5, 2.0)])
def test_releases_have_the_stated_frequencies_and_not_those_of_another_epsilon(k, epsilon):
    test = p_value(RandomizedResponse(k, epsilon), k - 1)
    assert test(RandomizedResponse(k, epsilon)) > ALARM
    assert test(RandomizedResponse(k, epsilon * 1.1)) < ALARM  # the control; its own alarm rate is far below ALARM


def test_rows_are_independent_and_draws_fresh():
    rr, zeros = RandomizedResponse(2, 0.5), np.zeros(DRAWS, dtype=np.int64)
    first, second = rr.privatise(zeros), rr.privatise(zeros)
    limit = math.sqrt(chi2.isf(ALARM, 1))  # correlations of independent bits are Normal(0, 1/n)
    for a, b in ((first, second), (first[1:], first[:-1])):
        assert abs(np.corrcoef(a, b)[0, 1]) * math.sqrt(len(a)) < limit
    assert abs(np.corrcoef(first, first)[0, 1]) * math.sqrt(DRAWS) > limit  # the control


@pytest.mark.parametrize("epsilon", [0.0, -1.0, 0.009, 20.1, math.inf, math.nan])
def test_an_epsilon_outside_the_range_is_refused(epsilon):
    with pytest.raises(Unsuitable, match="epsilon"):
        RandomizedResponse(2, epsilon)


@pytest.mark.parametrize("k", [0, 1, 1001])
def test_too_few_or_too_many_values_are_refused(k):
    with pytest.raises(Unsuitable):
        RandomizedResponse(k, 1.0)


@pytest.mark.parametrize("codes", [[0, 3], [-1, 0], [[0, 1]]])
def test_codes_out_of_range_are_never_released(codes):
    with pytest.raises(Misuse):
        RandomizedResponse(3, 1.0).privatise(np.array(codes))


# bins


def test_bins_clip_and_cover_the_range():
    bins = LabelBins(-1.0, 3.0, 4)
    values = np.array([-99.0, -1.0, -0.001, 0.0, 0.999, 2.0, 3.0, 99.0])
    assert bins.codes(values).tolist() == [0, 0, 0, 1, 1, 3, 3, 3]
    assert np.allclose(bins.values, [1 - 4 / 3, 1 - 4 / 9, 1 + 4 / 9, 1 + 4 / 3])


@pytest.mark.parametrize(("low", "high"), [(1.0, 1.0), (2.0, 1.0), (0.0, math.inf), (math.nan, 1.0), (-1e308, 1e308)])
def test_what_is_no_range_is_refused(low, high):
    for make in (lambda: LabelBins(low, high, 2), lambda: IntervalMechanism(low, high)):
        with pytest.raises(Unsuitable, match="range"):
            make()


def test_the_value_of_a_bin_is_the_mean_of_a_triangular_label_in_it():
    u = (np.arange(2_000_000) + 0.5) / 2_000_000
    for bins in (LabelBins(0.0, 1.0, 3), LabelBins(0.0, 1.0, 4)):
        codes, weight = bins.codes(u), np.minimum(u, 1 - u)
        means = np.bincount(codes, weight * u) / np.bincount(codes, weight)
        np.testing.assert_allclose(bins.values, means, atol=1e-6)


def test_more_epsilon_more_bins():
    counts = [bin_count(e) for e in (0.1, 1.0, 2.0, 3.0, 4.0, 6.0, 8.0, 20.0)]
    assert counts == sorted(counts)
    assert (counts[0], counts[-1]) == (2, MAX_BINS)
