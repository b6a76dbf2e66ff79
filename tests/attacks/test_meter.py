"""The meter of a study's messages and the scores of attacks: gates, intervals, and how often they err."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest

from secure_gal.attacks import meter
from secure_gal.attacks.finding import (
    Estimate,
    Finding,
    balanced_accuracy,
    interval,
    r2,
    resampled,
    squared_correlation,
)
from secure_gal.attacks.known_rows import KNOWN_SHARE, draws
from secure_gal.errors import DataError, SettingsError
from tests.support.attacked import REPEATS, Array, permuted

# --- the meter --------------------------------------------------------------------------------------------------------


def test_the_gate_closes_on_clear_residuals_and_opens_on_others(breast: tuple[Array, ...]) -> None:
    _, y, residuals, _ = breast
    clear = meter.label_leakage(y, residuals, threshold=0.3, repeats=2)
    assert not clear.ok and clear.rows()[0]["leak"] == 1.0 and clear.rows()[0]["exceeds"] is True
    other = meter.label_leakage(y, permuted(residuals), threshold=0.3, repeats=REPEATS)
    assert other.ok and not any(row["exceeds"] for row in other.rows())
    assert meter.label_leakage(y, residuals, repeats=2).rows()[0]["exceeds"] is None
    json.dumps(clear.rows(), allow_nan=False)


def test_the_meter_at_an_assistor(breast: tuple[Array, ...]) -> None:
    x, _, _, fitted = breast
    table = np.column_stack([x[:, 26:], np.ones(len(x))])
    found = meter.column_leakage(table, fitted, ["a", "b", "c", "d", "constant"], threshold=0.5, repeats=2)
    assert {f.target for f in found.findings} == {"a", "b", "c", "d"}
    assert not found.ok


def test_bytes_are_searched_too(wine: tuple[Array, ...]) -> None:
    _, y, residuals, _ = wine
    noise = np.random.default_rng(0).integers(0, 256, (4, len(y), 8))
    assert meter.byte_leakage(y, noise, threshold=0.4, repeats=REPEATS).ok
    assert not meter.byte_leakage(y, residuals, threshold=0.4, repeats=REPEATS).ok


def test_the_meter_refuses_what_does_not_fit() -> None:
    y, sent = np.arange(40) % 2, np.zeros((2, 40, 1))
    with pytest.raises(DataError, match="shape"):
        meter.label_leakage(y[:30], sent)
    with pytest.raises(DataError, match="fewer than"):
        meter.label_leakage(y[:10], sent[:, :10])
    with pytest.raises(DataError, match="finite"):
        meter.label_leakage(y, np.full_like(sent, np.nan))
    with pytest.raises(SettingsError, match="0 to 1"):
        meter.label_leakage(y, sent, threshold=1.5)
    with pytest.raises(DataError, match="names"):
        meter.column_leakage(np.zeros((40, 2)), sent, ["one"])


def test_an_interval_that_is_not_known_does_not_pass_the_gate() -> None:
    unknown = Estimate(0.0, math.nan, math.nan)
    finding = Finding("attack", "labels", "all", "nothing", "R2", unknown, unknown, unknown)
    assert meter.Leakage((finding,), 1.0).exceeded == (finding,)


# --- scores -----------------------------------------------------------------------------------------------------------


def test_measures() -> None:
    truth = np.array([0, 0, 0, 1])
    assert balanced_accuracy(truth, np.zeros(4, dtype=int)) == 0.5
    values = np.array([1.0, 2.0, 3.0])
    assert squared_correlation(values, 5 * values + 1) == pytest.approx(1.0)
    assert squared_correlation(values, -values) == pytest.approx(-1.0)
    assert r2(values, -values) == 0.0 and r2(values, values) == 1.0
    assert squared_correlation(values, np.ones(3)) == 0.0


def test_student_interval_covers_as_often_as_it_says() -> None:
    """False alarm of this test: coverage of 2,000 intervals is 0.95 with deviation 0.005; 0.93 is four of them."""
    rng = np.random.default_rng(0)
    covers = [(e.low <= 1.0 <= e.high) for e in (interval(rng.normal(1.0, 2.0, 8)) for _ in range(2000))]
    assert 0.93 < np.mean(covers) < 0.97


def test_the_bootstrap_is_paired() -> None:
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 2, 200)
    guess = np.where(rng.random(200) < 0.8, truth, 1 - truth)
    same = resampled("balanced accuracy", truth, guess, guess, seed=0, attack="", target="", rounds="", knows="")
    assert same.gain == Estimate(0.0, 0.0, 0.0)
    assert same.score.low < same.score.value < same.score.high


def test_known_rows_are_few_stratified_and_never_scored() -> None:
    truth = np.array([0] * 180 + [1] * 20)
    first, second = draws(truth, 2, 0)
    assert len(first.known) == round(KNOWN_SHARE * 200) and truth[first.known].sum() == 2
    assert not np.intersect1d(first.known, first.unknown).size
    assert not np.array_equal(first.known, second.known)
