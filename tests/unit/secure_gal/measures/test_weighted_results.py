"""Weights of rows in what a sponsor is told: twice the weight is the row twice, in metrics, curves and shares."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from secure_gal.gal.contributions import contributions, row_values
from secure_gal.gal.ensemble import Ensemble
from secure_gal.gal.losses import get_loss, metric
from secure_gal.holdings.own_model import own_outputs
from secure_gal.measures.evaluation import Evaluation, Judging, evaluate
from secure_gal.measures.ranked import Ranked
from secure_gal.settings.report import LeastCost
from secure_gal.settings.study import Task

N = 90
RNG = np.random.default_rng(2)
COUNTS = RNG.integers(1, 4, N)
TWICE = np.repeat(np.arange(N), COUNTS)
V = COUNTS / COUNTS.mean()
Y = RNG.integers(0, 2, N)
GAL, ALONE = (np.clip(0.5 + k * (Y - 0.5) + 0.3 * RNG.standard_normal(N), 0.01, 0.99).round(2) for k in (0.6, 0.2))


def evaluated(rows: Any, weights: Any) -> Evaluation:
    gal, alone = (np.stack([1 - p[rows], p[rows]], axis=1) for p in (GAL, ALONE))
    groups = {"sex": ["f" if i % 3 else "m" for i in rows]}
    judging = Judging(Y[rows], gal, alone, None, "out-of-fold", weights)
    names: Any = ("roc_auc", "average_precision", "accuracy", "balanced_accuracy", "log_loss", "f1", "neg_brier_score")
    return evaluate(judging, names, 0.4, "", "none", groups, 0)


def test_an_evaluation_counts_rows_by_their_weights() -> None:
    weighted, repeated, plain = evaluated(range(N), V), evaluated(TWICE, None), evaluated(range(N), None)
    assert weighted.weighted and not plain.weighted and "by their weights" in weighted.worth
    for ours, theirs, without in zip(weighted.metrics, repeated.metrics, plain.metrics, strict=True):
        assert ours.gal.value == pytest.approx(theirs.gal.value, abs=1e-12), ours.name
        assert ours.difference.value == pytest.approx(theirs.difference.value, abs=1e-12)
        assert ours.gal.value != without.gal.value
        assert ours.gal.low is not None and ours.gal.low < (ours.gal.value or 0.0)
    assert weighted.calibration_error is not None and repeated.calibration_error is not None
    assert weighted.calibration_error.value == pytest.approx(repeated.calibration_error.value)
    for ours, theirs in zip(weighted.groups, repeated.groups, strict=True):
        assert ours.auc is not None and theirs.auc is not None and ours.gap is not None and theirs.gap is not None
        assert (ours.auc.value, ours.gap.value) == pytest.approx((theirs.auc.value, theirs.gap.value))
    assert sum(weighted.confusion.values()) == N, "people are counted as people"
    np.testing.assert_allclose(weighted.lift[0].y, repeated.lift[0].y, atol=1e-5)


@pytest.mark.parametrize("rule", ["f1", LeastCost(5.0, 1.0)])
def test_a_threshold_is_chosen_by_weighted_rows(rule: Any) -> None:
    ours = Ranked(Y == 1, GAL, V).threshold(rule)
    assert ours == Ranked(Y[TWICE] == 1, GAL[TWICE]).threshold(rule)


CASES: list[tuple[Task, int]] = [("classification", 1), ("classification", 3), ("regression", 1)]


@pytest.mark.parametrize(("task", "outputs"), CASES, ids=["auc", "accuracy", "mad"])
def test_the_weighted_metric_is_the_mean_of_weighted_row_values(task: Task, outputs: int) -> None:
    f = RNG.standard_normal((N, outputs)).round(1)  # with ties
    y = RNG.standard_normal((N, 1)) if task == "regression" else RNG.integers(0, max(2, outputs), N)
    assert row_values(task, y, f, V).mean() == pytest.approx(metric(task, y, f, V), abs=1e-12)
    assert row_values(task, y, f, V).mean() == pytest.approx(row_values(task, y[TWICE], f[TWICE]).mean(), abs=1e-12)


@pytest.mark.parametrize("name", ["cross_entropy", "poisson"])
def test_contributions_add_up_to_the_weighted_metric_in_the_labels_unit(name: Any) -> None:
    task: Task = "regression" if name == "poisson" else "classification"
    y = RNG.poisson(2.0, (N, 1)).astype(np.float64) if task == "regression" else Y
    every, parties = np.ones(N, dtype=np.bool_), ("a", "b")
    made = Ensemble(get_loss(name, 1), y, every, task, parties, "uniform", 0.2, 9, 2, "l2", True, row_weights=V)
    while not made.finished:
        r = made.loss.residual(y, made.F)
        made.commit({p: (r + RNG.standard_normal(r.shape)).astype(np.float32) for p in made.parties})
    found = contributions(made, 0)
    assert found is not None and found.all == pytest.approx(made.kept_metric(), abs=1e-5)
    sign = -1 if task == "regression" else 1
    total = sum(each.shapley.value for each in found.parties)
    assert total == pytest.approx(sign * (found.all - found.none), abs=1e-12)


def test_the_best_own_model_is_fitted_to_weighted_rows() -> None:
    x, every = RNG.standard_normal((N, 2)), np.ones(N, dtype=np.bool_)
    heavy = np.where(Y == 1, 20.0, 1.0)
    plain, weighted = (own_outputs(x, Y, every, v, "cross_entropy", 2, 3, 0)[:, 1].mean() for v in (None, heavy))
    assert weighted > plain + 0.2
