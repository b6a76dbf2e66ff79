"""Who helped how much: the axioms of Shapley's value, the metric as a mean of row values, and the intervals."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from secure_gal.gal.contributions import (
    MAX_EXACT,
    TOGETHER,
    Contributions,
    by_coalitions,
    by_permutations,
    contributions,
    row_values,
)
from secure_gal.gal.ensemble import Ensemble
from secure_gal.gal.losses import get_loss, metric
from secure_gal.settings.study import Task

Array = np.ndarray[Any, np.dtype[Any]]
N = 300
NAMES = ("hospital", "lab", "insurer", "registry")


def made(
    task: Task = "classification", outputs: int = 1, names: tuple[str, ...] = NAMES, held_out: bool = False
) -> Ensemble:
    """Two rounds in which every party says something of the labels, and the last one nothing."""
    rng = np.random.default_rng(3)
    train = np.arange(N) >= (100 if held_out else 0)
    regression = task == "regression"
    y = rng.standard_normal((N, 1)) if regression else np.asarray(rng.integers(0, max(2, outputs), N))
    loss = get_loss("l2" if regression else "cross_entropy", outputs)
    ensemble = Ensemble(loss, y, train, task, names, "uniform", 1.0, 9, 2, "l2", True)
    for _ in range(2):
        r = loss.residual(y, ensemble.F)
        fits = {p: (r + rng.standard_normal(r.shape)).astype(np.float32) for p in names}
        ensemble.commit(fits | {names[-1]: np.zeros(r.shape, dtype=np.float32)})
    return ensemble


def found(ensemble: Ensemble) -> Contributions:
    shared = contributions(ensemble, 0)
    assert shared is not None
    return shared


CASES: list[tuple[Task, int]] = [("classification", 1), ("classification", 3), ("regression", 1)]


@pytest.mark.parametrize(("task", "outputs"), CASES, ids=["auc", "accuracy", "mad"])
@pytest.mark.parametrize("held_out", [False, True])
def test_shapleys_values_add_up_to_what_all_parties_are_worth(task: Task, outputs: int, held_out: bool) -> None:
    ensemble = made(task, outputs, held_out=held_out)
    shared = found(ensemble)
    sign = -1 if task == "regression" else 1
    total = sum(each.shapley.value for each in shared.parties)
    assert total == pytest.approx(sign * (shared.all - shared.none), abs=1e-12) and total > 0
    assert shared.all == pytest.approx(ensemble.kept_metric(), abs=1e-5)
    assert shared.rows == (100 if held_out else N) and shared.exact
    if outputs == 1 and task == "classification":
        assert shared.none == 0.5


@pytest.mark.parametrize(("task", "outputs"), CASES, ids=["auc", "accuracy", "mad"])
def test_a_party_that_changes_nothing_gets_nothing(task: Task, outputs: int) -> None:
    *others, last = found(made(task, outputs)).parties
    assert (last.party, last.leave_one_out.value) == ("registry", 0.0)
    assert last.shapley.value == pytest.approx(0, abs=1e-12) and last.shapley.low == pytest.approx(0, abs=1e-12)
    assert all(each.shapley.low > 0 for each in others)


def area(y: Array) -> Any:
    return lambda f: row_values("classification", y, f)


def test_parties_that_do_the_same_get_the_same() -> None:
    rng = np.random.default_rng(0)
    y = np.asarray(rng.integers(0, 2, N))
    one, other = y[:, None] + rng.standard_normal((2, N, 1))
    exact = by_coalitions(area(y), np.zeros((N, 1)), np.stack([one, other, one])).mean(axis=1)
    assert exact[0] == pytest.approx(exact[2], abs=1e-12) and abs(exact[0] - exact[1]) > 1e-6


def test_exact_values_are_shapleys_formula_over_all_orders() -> None:
    """Three players, six orders of joining, written out; and the sampled values come close, with the same sum."""
    from itertools import permutations

    rng = np.random.default_rng(1)
    y = np.asarray(rng.integers(0, 2, N))
    parts, start = y[:, None] * 0.5 + rng.standard_normal((3, N, 1)), np.zeros((N, 1))
    by_hand = np.zeros(3)
    for order in permutations(range(3)):
        f = start
        for m in order:
            by_hand[m] += (metric("classification", y, f + parts[m]) - metric("classification", y, f)) / 6
            f = f + parts[m]
    assert by_coalitions(area(y), start, parts).mean(axis=1) == pytest.approx(by_hand, abs=1e-12)
    sampled = by_permutations(area(y), start, parts, np.random.default_rng(2)).mean(axis=1)
    assert sampled == pytest.approx(by_hand, abs=0.01) and sampled.sum() == pytest.approx(by_hand.sum(), abs=1e-12)


def test_more_than_ten_parties_are_sampled_from_the_seed_and_add_up_exactly() -> None:
    ensemble = made(names=tuple(f"p{m}" for m in range(MAX_EXACT + 1)))
    shared = found(ensemble)
    assert not shared.exact and shared == found(ensemble)
    assert sum(each.shapley.value for each in shared.parties) == pytest.approx(shared.all - 0.5, abs=1e-12)


@pytest.mark.parametrize(("task", "outputs"), CASES, ids=["auc", "accuracy", "mad"])
def test_the_metric_is_the_mean_of_its_row_values(task: Task, outputs: int) -> None:
    ensemble = made(task, outputs)
    y, f = ensemble.labels(np.ones(N, dtype=np.bool_)), ensemble.F.round(1)  # with ties
    assert row_values(task, y, f).mean() == pytest.approx(metric(task, y, f), abs=1e-12)


def test_leave_one_out_and_its_interval_are_those_of_a_bootstrap_that_ranks_anew() -> None:
    """An oracle that redraws rows and measures the metric each time: ends agree to a tenth of the interval."""
    ensemble = made()
    y, rng, draws = ensemble.labels(np.ones(N, dtype=np.bool_)), np.random.default_rng(4), []
    without = ensemble.F_kept - ensemble.parts_kept["lab"]

    def gain(i: Array) -> float:
        return metric("classification", y[i], ensemble.F_kept[i]) - metric("classification", y[i], without[i])

    draws = [gain(rng.integers(0, N, N)) for _ in range(1000)]
    estimate = found(ensemble).parties[1].leave_one_out
    low, high = np.percentile(draws, [2.5, 97.5])
    assert estimate.value == pytest.approx(gain(np.arange(N)), abs=1e-6)
    assert (estimate.low, estimate.high) == pytest.approx((low, high), abs=0.1 * (high - low))


def test_a_resumed_ensemble_has_the_same_contributions() -> None:
    ensemble, other = made(), made()
    other.restore(ensemble.state())
    assert found(other) == found(ensemble)


def test_only_kept_rounds_count() -> None:
    ensemble = made("regression")
    ensemble._rounds = 3
    before = found(ensemble)
    ensemble.commit({p: np.full((N, 1), 5, dtype=np.float32) for p in NAMES})  # a constant rate: a step too far
    assert ensemble.kept == 2 and found(ensemble) == before


def test_where_assistors_are_known_as_a_sum_alone_they_are_one_player() -> None:
    rng = np.random.default_rng(5)
    y = np.asarray(rng.integers(0, 2, N))
    loss = get_loss("cross_entropy", 1)
    ensemble = Ensemble(loss, y, np.ones(N, bool), "classification", NAMES, "fitted", "search", 9, 2, "l2", True)
    r = ensemble.residual().astype(np.float64)
    ensemble.advance(np.full(4, 0.25), {TOGETHER: 0.5 * r + rng.standard_normal(r.shape), NAMES[0]: 0.2 * r})
    assert [each.party for each in found(ensemble).parties] == [NAMES[0], TOGETHER]


def test_nothing_is_said_where_nothing_is_kept_judged_or_defined() -> None:
    loss = get_loss("cross_entropy", 1)

    def plain(y: Array, cross_fitted: bool) -> Ensemble:
        return Ensemble(loss, y, np.ones(N, bool), "classification", NAMES, "uniform", 1.0, 9, 2, "l2", cross_fitted)

    labels = np.arange(N) % 2
    assert contributions(plain(labels, True), 0) is None, "no round"
    for y, cross_fitted in ((labels, False), (np.zeros(N, dtype=np.int64), True)):
        ensemble = plain(y, cross_fitted)
        ensemble.commit(dict.fromkeys(NAMES, ensemble.residual()))
        assert ensemble.kept == 1 and contributions(ensemble, 0) is None
