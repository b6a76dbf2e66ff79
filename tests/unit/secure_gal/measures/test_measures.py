"""Metrics, curves, calibration, cuts and intervals, held against scikit-learn's numbers and against known truths."""

from __future__ import annotations

import math
from typing import Any, get_args

import numpy as np
import pytest
import sklearn.metrics as reference
from sklearn.calibration import calibration_curve

from secure_gal.measures.bootstrap import Drawn, draws_of
from secure_gal.measures.calibration import calibration_error, calibration_statistic, reliability
from secure_gal.measures.metrics import Statistic, predicted, statistics, usual_metrics
from secure_gal.measures.ranked import MOST_POINTS, Ranked, confusion
from secure_gal.settings.report import BinaryMetric, ClassMetric, LeastCost, MetricName, TargetMetric, cut_of

Array = np.ndarray[Any, np.dtype[Any]]
N = 400
RNG = np.random.default_rng(7)
Y = RNG.integers(0, 2, N)
P = np.round(1 / (1 + np.exp(-(1.5 * (Y - 0.5) + RNG.standard_normal(N)))), 2)  # rounded: many ties
TWO = np.stack([1 - P, P], axis=1)
W = np.bincount(RNG.integers(0, N, N), minlength=N).astype(float)
AT = 0.37
EXPECTED = {
    "roc_auc": lambda w: reference.roc_auc_score(Y, P, sample_weight=w),
    "average_precision": lambda w: reference.average_precision_score(Y, P, sample_weight=w),
    "f1": lambda w: reference.f1_score(Y, P > AT, sample_weight=w),
    "neg_brier_score": lambda w: -reference.brier_score_loss(Y, P, sample_weight=w),
    "accuracy": lambda w: reference.accuracy_score(Y, P > AT, sample_weight=w),
    "balanced_accuracy": lambda w: reference.balanced_accuracy_score(Y, P > AT, sample_weight=w),
    "log_loss": lambda w: reference.log_loss(Y, TWO, sample_weight=w),
}


def statistic(name: MetricName, y: Array, outputs: Array, threshold: float = 0.5) -> Statistic:
    return statistics([name], y, outputs, threshold)[0]


@pytest.mark.parametrize("weights", [np.ones(N), W], ids=["all rows", "a draw"])
@pytest.mark.parametrize("name", [*get_args(BinaryMetric), *get_args(ClassMetric)])
def test_metrics_of_two_classes_are_scikit_learns(name: MetricName, weights: Array) -> None:
    assert statistic(name, Y, TWO, AT)(weights) == pytest.approx(EXPECTED[name](weights), abs=1e-12)


@pytest.mark.parametrize("name", get_args(ClassMetric))
def test_metrics_of_three_classes_are_scikit_learns(name: MetricName) -> None:
    y = RNG.integers(0, 3, N)
    p = RNG.dirichlet([1, 2, 3], N)
    said = {"log_loss": p}.get(name, p.argmax(axis=1))
    expected = getattr(reference, {"log_loss": "log_loss"}.get(name, f"{name}_score"))
    assert statistic(name, y, p)(W) == pytest.approx(expected(y, said, sample_weight=W), abs=1e-12)


@pytest.mark.parametrize("name", get_args(TargetMetric))
def test_metrics_of_a_regression_are_scikit_learns(name: MetricName) -> None:
    y = 1000 + RNG.standard_normal(N)
    f = y + 0.3 * RNG.standard_normal(N)
    squared = reference.mean_squared_error(y, f, sample_weight=W)
    expected = {
        "mean_absolute_error": reference.mean_absolute_error(y, f, sample_weight=W),
        "root_mean_squared_error": math.sqrt(squared),
        "r2": reference.r2_score(y, f, sample_weight=W),
    }
    assert statistic(name, y, f)(W) == pytest.approx(expected[name], rel=1e-9)


def test_usual_metrics_fit_the_task() -> None:
    of_two = {*get_args(BinaryMetric), *get_args(ClassMetric)}
    assert set(usual_metrics("classification", 1)) == of_two
    assert set(usual_metrics("classification", 3)) == set(get_args(ClassMetric))
    assert set(usual_metrics("regression", 1)) == set(get_args(TargetMetric))


def test_metrics_of_the_same_rows_are_those_of_each_alone_on_every_draw() -> None:
    """They share what they sort and add up."""
    names = usual_metrics("classification", 1)
    together = statistics(names, Y, TWO, AT)
    for w in (np.ones(N), W, 2 * W, np.ones(N)):
        assert [of(w) for of in together] == [statistic(name, Y, TWO, AT)(w) for name in names]


@pytest.mark.parametrize("name", ["roc_auc", "average_precision"])
def test_a_metric_that_is_not_defined_is_nan_and_has_no_estimate(name: MetricName) -> None:
    none = statistic(name, np.zeros(N, dtype=int), TWO)
    assert math.isnan(none(np.ones(N)))
    assert Drawn([none], N, 0).estimate(0).value is None


# --- intervals -----------------------------------------------------------------------------------------------------


def test_intervals_cover_the_truth_as_often_as_they_say_and_a_difference_is_paired() -> None:
    """200 studies of 150 rows, 95%: fewer than 181 or more than 198 that hold the truth have a chance of 0.4%."""
    rng, held, held_difference = np.random.default_rng(3), 0, 0
    for study in range(200):
        hard = 5 * rng.random(150)
        both = [hard, hard + 0.1 + 0.1 * rng.standard_normal(150)]
        one, other = (Drawn([statistic("mean_absolute_error", v, np.zeros(150))], 150, study) for v in both)
        mean, gap = one.estimate(0), other.difference(0, one)
        assert None not in (mean.low, mean.high, gap.low, gap.high)
        held += mean.low <= 2.5 <= mean.high  # type: ignore[operator]
        held_difference += gap.low <= 0.1 <= gap.high  # type: ignore[operator]
        assert gap.high - gap.low < 0.06, "unpaired, it would be ten times as wide"  # type: ignore[operator]
    assert 181 <= held <= 198 and 181 <= held_difference <= 198


def test_draws_are_those_of_the_seed_and_fewer_for_many_rows() -> None:
    of = statistic("roc_auc", Y, TWO)
    first, same, other = (Drawn([of], N, seed).estimate(0) for seed in (1, 1, 2))
    assert first == same != other
    assert (draws_of(10), draws_of(40_000), draws_of(10**6)) == (1000, 500, 200)


def test_a_metric_that_few_draws_define_has_no_interval() -> None:
    y, p = np.array([1, *[0] * 30]), np.linspace(0.9, 0.1, 31)
    drawn = Drawn(
        [statistic("roc_auc", y, np.stack([1 - p, p], axis=1)), lambda w: 1.0 if w[0] > 1 else math.nan], 31, 0
    )
    assert drawn.estimate(0).low is not None, "two draws in three hold the one positive row"
    assert drawn.of_all[1] != drawn.of_all[1] and drawn.estimate(1).value is None
    rare = Drawn([lambda w: 1.0 if w[0] in (1.0, 5.0) and w.max() < 3 else math.nan], 31, 0).estimate(0)
    assert (rare.value, rare.low, rare.high) == (1.0, None, None)


# --- curves and cuts -------------------------------------------------------------------------------------------------


def test_curves_are_scikit_learns() -> None:
    ranked = Ranked(Y == 1, P)
    fpr, tpr, _ = reference.roc_curve(Y, P, drop_intermediate=False)
    np.testing.assert_allclose(ranked.roc(), (fpr, tpr), atol=1e-12)
    precision, recall, _ = reference.precision_recall_curve(Y, P)
    shown = ranked.precision_recall()
    np.testing.assert_allclose(shown, (recall[::-1][1:], precision[::-1][1:]), atol=1e-12)


def test_a_curve_of_many_cuts_is_thinned_and_keeps_its_ends() -> None:
    fpr, tpr = Ranked(Y == 1, RNG.random(N)).roc()
    assert len(fpr) == MOST_POINTS and (fpr[0], tpr[0], fpr[-1], tpr[-1]) == (0, 0, 1, 1)


def test_lift_is_the_share_found_over_the_share_looked_at() -> None:
    positive = np.arange(100) < 20
    best, none = Ranked(positive, np.linspace(1, 0, 100)), Ranked(positive, np.full(100, 0.5))
    np.testing.assert_allclose(best.lift(np.array([0.1, 0.2, 0.5, 1.0])), [5, 5, 2, 1])
    np.testing.assert_allclose(none.lift(np.array([0.1, 0.5, 1.0])), [1, 1, 1])


def test_confusion_is_scikit_learns() -> None:
    found = confusion(Y == 1, P > AT)
    (tn, fp), (fn, tp) = reference.confusion_matrix(Y, P > AT)
    assert found == {"TP": tp, "FP": fp, "FN": fn, "TN": tn}


def test_the_cut_by_f1_is_the_best_of_all() -> None:
    at = Ranked(Y == 1, P).threshold("f1")
    best = max(reference.f1_score(Y, cut < P) for cut in [*np.unique(P), 0.0])
    assert reference.f1_score(Y, at < P) == pytest.approx(best) and at not in P


@pytest.mark.parametrize(
    "cost", [LeastCost(5, 1), LeastCost(1, 5), LeastCost(1, 1), LeastCost(1e6, 1), LeastCost(1, 1e6)]
)
def test_the_cut_by_cost_is_the_cheapest_of_all(cost: LeastCost) -> None:
    def price(cut: float) -> float:
        found = confusion(Y == 1, cut < P)
        return cost.fn * found["FN"] + cost.fp * found["FP"]

    at = Ranked(Y == 1, P).threshold(cost)
    assert price(at) == min(price(cut) for cut in [*np.unique(P), -1.0])


def test_probabilities_that_say_the_truth_are_cut_where_the_costs_say() -> None:
    """Of true probabilities the cheapest cut is FP / (FN + FP)."""
    rng = np.random.default_rng(0)
    p = rng.random(200_000)
    assert Ranked(rng.random(200_000) < p, p).threshold(LeastCost(4, 1)) == pytest.approx(0.2, abs=0.02)


def test_cuts_at_the_ends_and_between_neighbours() -> None:
    next_to = np.array([0.5, np.nextafter(0.5, 1)])
    at = Ranked(np.array([False, True]), next_to).threshold("f1")
    assert list(next_to > at) == [False, True]
    certain = np.array([0.0, 1.0])
    assert (certain > Ranked(np.array([True, True]), certain).threshold("f1")).all()
    assert not (certain > Ranked(np.array([False, False]), certain).threshold(LeastCost(1, 1))).any()


def test_half_is_cut_as_the_more_probable_class_is_chosen() -> None:
    assert list(predicted(np.array([[0.5, 0.5], [0.4, 0.6]]), 0.5)) == [0, 1]


@pytest.mark.parametrize(
    ("said", "cut"),
    [
        ("0.5", 0.5),
        (0.3, 0.3),
        ("f1", "f1"),
        ("cost:FN=5,FP=1", LeastCost(5, 1)),
        ("cost:FP=1, FN=2.5", LeastCost(2.5, 1)),
    ],
)
def test_what_a_threshold_says(said: float | str, cut: object) -> None:
    assert cut_of(said) == cut


@pytest.mark.parametrize(
    "said", ["F1", "", 0.0, 1.0, 7, "nan", "cost:FN=5", "cost:FN=5,FN=1", "cost:FN=0,FP=1", "cost:FN=x,FP=1"]
)
def test_what_is_no_threshold(said: float | str) -> None:
    with pytest.raises(ValueError):
        cut_of(said)


# --- calibration -----------------------------------------------------------------------------------------------------


def test_reliability_is_scikit_learns() -> None:
    p = RNG.random(N)
    bins = reliability(Y == 1, p)
    seen, said = calibration_curve(Y, p, n_bins=10)
    np.testing.assert_allclose([(b.seen, b.said) for b in bins], np.stack([seen, said], axis=1))
    assert sum(b.rows for b in bins) == N and all(b.low < b.seen < b.high for b in bins)


def test_calibration_error_by_hand_and_as_a_statistic() -> None:
    positive, p = np.array([True, False, True, True]), np.array([0.25, 0.25, 0.95, 1.0])
    error = calibration_error(reliability(positive, p))
    assert error == pytest.approx((2 * abs(0.25 - 0.5) + 2 * abs(0.975 - 1)) / 4)
    of = calibration_statistic(Y == 1, P)
    assert of(np.ones(N)) == pytest.approx(calibration_error(reliability(Y == 1, P)))
    assert calibration_error(reliability(RNG.random(10**5) < np.full(10**5, 0.3), np.full(10**5, 0.3))) < 0.01
