"""Labels released once: exact odds, sampled frequencies, the corrected loss, the memory, and the noises without epsilon.

Statistical tests draw from the operating system and state their false-alarm rate: ALARM, once in a million runs each.
"""

from __future__ import annotations

import json
import math
import stat
from decimal import Decimal, localcontext
from fractions import Fraction

import numpy as np
import pytest
from scipy.optimize import approx_fprime
from scipy.stats import chi2, chisquare

from benchmarks.paper_noise import quantile_clipped_laplace, quantile_intervals
from crypto.gaussian_noise import clipped_with_noise
from crypto.interval_privacy import IntervalMechanism
from crypto.label_privacy import EPSILON_RANGE, MAX_BINS, LabelBins, RandomizedResponse, bin_count, exp_lower_bound
from crypto.uniform import unit_interval
from secure_gal.assistance import Ensemble
from secure_gal.corrected_loss import CorrectedCrossEntropy
from secure_gal.errors import DataError, EnvironmentFailure, SettingsError, StateError
from secure_gal.label_privacy import ClassResponse, RangeInterval, RangeResponse
from secure_gal.label_release import release_once
from secure_gal.losses import Loss, get_loss

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
    return lambda other: chisquare(counts, [DRAWS * float(Fraction(other.keep if c == true else other.other, WORD))
                                            for c in range(rr.values)]).pvalue  # fmt: skip


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
    with pytest.raises(SettingsError, match="epsilon"):
        RandomizedResponse(2, epsilon)


@pytest.mark.parametrize("k", [0, 1, 1001])
def test_too_few_or_too_many_values_are_refused(k):
    with pytest.raises(SettingsError):
        RandomizedResponse(k, 1.0)


@pytest.mark.parametrize("codes", [[0, 3], [-1, 0], [[0, 1]]])
def test_codes_out_of_range_are_never_released(codes):
    with pytest.raises(StateError):
        RandomizedResponse(3, 1.0).privatise(np.array(codes))


# bins


def test_bins_clip_and_cover_the_range():
    bins = LabelBins(-1.0, 3.0, 4)
    values = np.array([-99.0, -1.0, -0.001, 0.0, 0.999, 2.0, 3.0, 99.0])
    assert bins.codes(values).tolist() == [0, 0, 0, 1, 1, 3, 3, 3]
    assert bins.midpoints.tolist() == [-0.5, 0.5, 1.5, 2.5]


@pytest.mark.parametrize(("low", "high"), [(1.0, 1.0), (2.0, 1.0), (0.0, math.inf), (math.nan, 1.0), (-1e308, 1e308)])
def test_what_is_no_range_is_refused(low, high):
    for make in (lambda: LabelBins(low, high, 2), lambda: IntervalMechanism(low, high)):
        with pytest.raises(SettingsError, match="label_range"):
            make()


def test_more_epsilon_more_bins():
    counts = [bin_count(e) for e in (0.1, 1.0, 2.0, 3.0, 4.0, 6.0, 8.0, 20.0)]
    assert counts == sorted(counts)
    assert (counts[0], counts[-1]) == (2, MAX_BINS)


@pytest.mark.parametrize("epsilon", [0.5, 3.0])
def test_targets_have_exactly_the_true_midpoint_as_expectation(epsilon):
    scheme = RangeResponse(epsilon, 10.0, 30.0)
    k, rr = scheme.bins.count, scheme.mechanism
    chances = np.full((k, k), rr.flip) + np.eye(k) * rr.retention
    targets = scheme.targets(np.arange(k, dtype=float))
    np.testing.assert_allclose(chances @ targets, scheme.bins.midpoints, rtol=1e-12)
    assert np.abs(chances @ scheme.bins.midpoints - scheme.bins.midpoints).max() > 0.5  # uncorrected: drawn inwards


# the corrected loss


def corrected(k, epsilon=1.0):
    classes = max(2, k)
    return CorrectedCrossEntropy("cross_entropy", k, RandomizedResponse(classes, epsilon).flip)


@pytest.mark.parametrize("k", [1, 3])
def test_the_residual_is_the_negative_gradient(k):
    rng, loss = np.random.default_rng(0), corrected(k)
    y, f = rng.integers(0, max(2, k), 20), rng.normal(size=(20, k))
    numeric = -approx_fprime(f.ravel(), lambda v: 20 * loss.value(y, v.reshape(f.shape)), 1e-7).reshape(f.shape)
    np.testing.assert_allclose(loss.residual(y, f), numeric, atol=1e-5)
    assert np.abs(loss.residual(y, 1e3 * f)).max() <= 1


@pytest.mark.parametrize("k", [1, 3])
def test_with_next_to_no_changes_it_is_plain_cross_entropy(k):
    rng, plain = np.random.default_rng(0), get_loss("cross_entropy", k)
    loss = CorrectedCrossEntropy("cross_entropy", k, 1e-12)
    y, f = rng.integers(0, max(2, k), 50), rng.normal(size=(50, k))
    np.testing.assert_allclose(loss.value(y, f), plain.value(y, f), rtol=1e-9)
    np.testing.assert_allclose(loss.residual(y, f), plain.residual(y, f), atol=1e-9)
    np.testing.assert_allclose(loss.initial(y), plain.initial(y), atol=1e-9)


@pytest.mark.parametrize("shares", [[0.7, 0.3], [0.5, 0.3, 0.2]])
def test_f0_gives_the_true_shares_and_expected_releases_are_stationary_there(shares):
    """Expected counts of releases, so there is no chance in it. Plain cross-entropy is the control."""
    k = 1 if len(shares) == 2 else len(shares)
    loss = corrected(k)
    expected = loss.flip + loss.retention * np.array(shares)
    y = np.repeat(np.arange(len(shares)), np.round(1e5 * expected).astype(int))
    f0 = loss.initial(y)
    logs = np.log(shares)
    truth = logs[1:] - logs[:1] if k == 1 else logs
    np.testing.assert_allclose(f0, truth, atol=1e-3)
    assert np.abs(loss.residual(y, np.tile(f0, (len(y), 1))).mean(axis=0)).max() < 1e-6
    assert np.abs(get_loss("cross_entropy", k).initial(y) - truth).max() > 0.1


def test_a_class_released_less_often_than_by_chance_gets_a_small_finite_prior():
    loss = corrected(3)
    f0 = loss.initial(np.repeat([0, 1], [60, 40]))
    assert np.isfinite(f0).all() and f0[2] == f0.min() < math.log(0.01)
    assert f0[0] > f0[1]


class Stump:
    """Least squares on a column, as a local model."""

    def fit(self, x, r, seed):
        b = np.linalg.lstsq(np.column_stack([np.ones(len(x)), x]), r.astype(float), rcond=None)[0]
        return lambda new: np.column_stack([np.ones(len(new)), new]) @ b


def run(loss: Loss, y, columns, rounds=8):
    ensemble = Ensemble(
        loss, y, np.arange(len(y)) % 5 > 0, "classification", tuple(columns), "fitted", "search", rounds, rounds, "l2"
    )
    sent = []
    while not ensemble.finished:
        sent.append(ensemble.residual())
        train = np.arange(len(y)) % 5 > 0
        fitted = {n: Stump().fit(x[train], sent[-1], 0)(x).astype(np.float32) for n, x in columns.items()}
        ensemble.commit(fitted)
    return ensemble, sent


def noisy_problem(epsilon, n=20_000, seed=0):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, 2))
    truth = 1.5 * x[:, 0] - x[:, 1] - 1
    y = (rng.random(n) < 1 / (1 + np.exp(-truth))).astype(np.int64)
    scheme = ClassResponse(epsilon, (0, 1))
    released = scheme.mechanism.respond(y, rng.integers(0, 2**64, n, dtype=np.uint64))
    return {"a": x[:, :1], "b": x[:, 1:]}, truth, y, released, scheme


def test_learning_from_releases_finds_the_true_log_odds_and_without_correction_it_does_not():
    columns, truth, _, released, scheme = noisy_problem(1.0)
    training = scheme.training(released.astype(float), np.ones(len(released), dtype=bool), "cross_entropy")
    good, _ = run(training.loss, training.y, columns)
    plain, _ = run(get_loss("cross_entropy", 1), training.y, columns)
    slope = [np.polyfit(truth, e.F[:, 0], 1)[0] for e in (good, plain)]
    assert abs(slope[0] - 1) < 0.15
    assert slope[1] < 0.5
    assert all(np.diff([r.train_loss for r in good.history]) <= 1e-12)


def test_everything_sent_depends_on_releases_alone(tmp_path):
    """Two label vectors, one kept release: equal residuals, weights and learning rates, byte for byte."""
    columns, _, y, _, scheme = noisy_problem(1.0, 2_000)
    ids, train = [str(i) for i in range(len(y))], np.ones(len(y), dtype=bool)
    runs = []
    for labels in (y, 1 - y):
        released = release_once(tmp_path / "r", scheme, ids, labels.tolist())
        training = scheme.training(released, train, "cross_entropy")
        runs.append(run(training.loss, training.y, columns, 3))
    (one, sent), (two, again) = runs
    assert [r.tobytes() for r in sent] == [r.tobytes() for r in again]
    assert one.history == two.history and len(one.history) == 3
    control, _ = run(get_loss("cross_entropy", 1), 1 - y, columns, 3)
    assert control.history != one.history


# schemes


def test_classes_are_public_and_sorted_and_a_strange_label_is_refused():
    scheme = ClassResponse(20.0, ("no", "yes", "maybe"))
    assert scheme.codec.classes == ("maybe", "no", "yes")
    assert scheme.release(["yes", "no", "maybe"]).tolist() == [2, 1, 0]  # a change: 1 in 10**8
    training = scheme.training(np.array([2.0, 1.0]), np.array([True, True]), "cross_entropy")
    assert training.loss.n_outputs == 3 and training.y.dtype == np.int64
    with pytest.raises(DataError, match="other"):
        scheme.release(["yes", "other"])
    with pytest.raises(DataError):
        ClassResponse(1.0, ("only",)).release(["only"])


def test_regression_codes_are_standardised_from_releases():
    scheme, train = RangeResponse(8.0, 0.0, 10.0), np.array([True] * 500 + [False] * 500)
    labels = np.random.default_rng(0).uniform(0, 10, 1000)
    training = scheme.training(scheme.release(labels.tolist()), train, "l2")
    assert abs(training.y[train].mean()) < 1e-9 and abs(training.y[train].std() - 1) < 1e-9
    assert np.corrcoef(training.y[:, 0], labels)[0, 1] > 0.9
    midpoints = scheme.training(np.arange(4.0), np.ones(4, dtype=bool), "l1")
    assert np.ptp(midpoints.y) * midpoints.codec.scale == pytest.approx(np.ptp(scheme.bins.midpoints[:4]))


def test_statements_name_everything_that_a_release_depends_on():
    statements = {s.statement for s in (ClassResponse(1.0, (0, 1)), ClassResponse(2.0, (0, 1)), ClassResponse(1.0, (0, 2)),
                                        RangeResponse(1.0, 0, 1), RangeResponse(1.0, 0, 2), RangeInterval(0, 1))}  # fmt: skip
    assert len(statements) == 6
    assert ClassResponse(1, (1, 0)).statement == ClassResponse(1.0, ("0", "1")).statement


# the memory


IDS = [f"id{i}" for i in range(200)]
COINS = ClassResponse(EPSILON_RANGE[0], (0, 1))


def test_a_row_is_released_once_whatever_is_asked_later(tmp_path):
    file = tmp_path / "home" / "labels.json"
    first = release_once(file, COINS, IDS, [0] * 200)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    again = release_once(file, COINS, [*IDS[::-1], "new"], [1] * 201)  # other labels, other order, one row more
    assert (again[:200] == first[::-1]).all()
    assert (release_once(file, COINS, ["new"], [0]) == again[200:]).all()
    other = release_once(tmp_path / "other.json", COINS, IDS, [0] * 200)
    assert (first != other).any()  # the control: without the file, new noise (false alarm 2**-200)


def test_releases_of_another_scheme_are_not_added_silently(tmp_path):
    release_once(tmp_path / "r", COINS, IDS, [0] * 200)
    with pytest.raises(SettingsError, match="sum of both epsilons"):
        release_once(tmp_path / "r", ClassResponse(1.0, (0, 1)), IDS, [0] * 200)


@pytest.mark.parametrize("change", [
    lambda raw: b"", lambda raw: raw[:-3], lambda raw: raw + b"x", lambda raw: b"\xff" * 50,
    lambda raw: json.dumps(json.loads(raw) | {"more": 1}).encode(),
    lambda raw: json.dumps(json.loads(raw) | {"format": 2}).encode(),
    lambda raw: json.dumps(json.loads(raw) | {"releases": {"id0": "1"}}).encode(),
])  # fmt: skip
def test_a_damaged_memory_is_refused_and_not_drawn_anew(tmp_path, change):
    file = tmp_path / "r"
    release_once(file, COINS, IDS, [0] * 200)
    raw = change(file.read_bytes())
    file.write_bytes(raw)
    with pytest.raises(SettingsError):
        release_once(file, COINS, IDS, [0] * 200)
    assert file.read_bytes() == raw


def test_nothing_is_released_that_could_not_be_kept(tmp_path):
    (tmp_path / "r.part").mkdir()
    with pytest.raises(EnvironmentFailure, match="nothing was released"):
        release_once(tmp_path / "r", COINS, IDS, [0] * 200)


# interval privacy


def test_intervals_hold_the_value_and_estimates_are_unbiased():
    mechanism = IntervalMechanism(-1.0, 3.0)
    for value in (-0.9, 0.5, 2.8):
        reports = mechanism.report(np.full(DRAWS, value))
        low, high = reports.bounds
        assert ((low <= value) & (value <= high)).all()
        deviation = reports.estimates.std() / math.sqrt(DRAWS)
        assert abs(reports.estimates.mean() - value) < deviation * math.sqrt(chi2.isf(ALARM, 1))
        assert abs(reports.threshold.mean() - value) > 0.05 or value == 0.5  # a threshold alone says nothing


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
    with pytest.raises(StateError):
        IntervalMechanism(0.0, 1.0).report(np.array([math.nan]))
    with pytest.raises(StateError):
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
    with pytest.raises(SettingsError):
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
