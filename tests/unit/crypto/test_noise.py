"""Interval privacy, Gaussian noise and the paper's heuristics; false alarms once in a million runs (ALARM)."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.stats import chi2

from benchmarks.paper_noise import quantile_clipped_laplace, quantile_intervals
from crypto.errors import Misuse, Unsuitable
from crypto.gaussian_noise import clipped_with_noise
from crypto.interval_privacy import IntervalMechanism
from crypto.uniform import unit_interval

ALARM = 1e-6
DRAWS = 200_000
WORD = 1 << 64


def words(*values):
    return np.array(values, dtype=np.uint64)


# interval privacy


def test_intervals_hold_the_value_and_estimates_are_unbiased():
    mechanism = IntervalMechanism(-1.0, 3.0)
    for value in (-0.9, 0.5, 2.8):
        reports = mechanism.report(np.full(DRAWS, value))
        low, high = reports.bounds
        assert ((low <= value) & (value <= high)).all()
        deviation = reports.estimates.std() / math.sqrt(DRAWS)
        assert abs(reports.estimates.mean() - value) < deviation * math.sqrt(chi2.isf(ALARM, 1))
        assert abs(reports.threshold.mean() - value) > 0.3  # the control: thresholds alone say nothing


def test_a_report_is_the_same_for_all_values_on_one_side():
    mechanism, some = IntervalMechanism(0.0, 1.0), words(2**63, 2**63)
    for values, estimate in (([0.6, 0.9], 1.0), ([0.4, -7.0], 0.0)):
        first, second = mechanism.respond(np.array(values), some).estimates
        assert first == second == pytest.approx(estimate, abs=1e-12)


def test_interval_reports_of_class_residuals_name_half_of_the_labels():
    """What the module says against using it for classes, measured: round 1, two equally frequent classes."""
    y = np.random.default_rng(0).integers(0, 2, DRAWS)
    low, high = IntervalMechanism(-1.0, 1.0).report(y - 0.5).bounds
    named = (low > -0.5) | (high <= 0.5)
    deviation = 0.5 / math.sqrt(DRAWS)
    assert abs(named.mean() - 0.5) < deviation * math.sqrt(chi2.isf(ALARM, 1))
    assert ((low > -0.5) == (y == 1))[named].all()


def test_values_that_are_not_finite_are_refused():
    with pytest.raises(Misuse):
        IntervalMechanism(0.0, 1.0).report(np.array([math.nan]))
    with pytest.raises(Misuse):
        clipped_with_noise(np.array([[math.inf]], dtype=np.float32), 1.0, 1.0)


# Gaussian noise


def test_noise_has_the_stated_scale_on_clipped_values():
    values = np.linspace(-3, 3, DRAWS, dtype=np.float32).reshape(-1, 2)
    noised = clipped_with_noise(values, 1.0, 0.3)
    assert noised.dtype == np.float32 and noised.shape == values.shape
    noise = (noised.astype(float) - np.clip(values, -1, 1)).ravel()
    statistic = np.sum((noise / 0.3) ** 2)
    low, high = chi2.ppf(ALARM / 2, DRAWS), chi2.isf(ALARM / 2, DRAWS)
    assert low < statistic < high < statistic * 1.05**2  # a scale 5% larger would be seen
    assert abs(noise.mean()) < 0.3 / math.sqrt(DRAWS) * math.sqrt(chi2.isf(ALARM, 1))
    assert (clipped_with_noise(values, 1.0, 0.3) != noised).any()


@pytest.mark.parametrize(("clip", "scale"), [(0.0, 1.0), (1.0, 0.0), (math.nan, 1.0), (1.0, math.inf)])
def test_a_clip_or_scale_that_is_none_is_refused(clip, scale):
    with pytest.raises(Unsuitable):
        clipped_with_noise(np.zeros((2, 1), dtype=np.float32), clip, scale)


def test_uniform_numbers_never_reach_the_ends():
    ends = unit_interval(words(0, WORD - 1))
    assert 0 < ends[0] < 1e-15 and 1 - 1e-15 < ends[1] < 1


# the paper's noise, for experiments


def test_the_papers_heuristics_take_their_range_from_the_data():
    rng = np.random.default_rng(0)
    values = rng.normal(size=DRAWS)
    low, high = np.quantile(values, (0.025, 0.975))
    noise = quantile_clipped_laplace(values, 2.0, rng) - np.clip(values, low, high)
    assert np.abs(noise).mean() == pytest.approx((high - low) / 2, rel=0.02)
    estimates = quantile_intervals(np.full(DRAWS, 0.3) + 0.001 * values, rng)
    assert estimates.mean() == pytest.approx(0.3, abs=1e-4)
