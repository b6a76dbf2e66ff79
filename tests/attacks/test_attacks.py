"""Attacks find what is there, and find nothing where nothing is: every attack has a control on which it must fail.

Controls are messages with their rows permuted: as many numbers, distributed alike, about the wrong people. A 95%
interval of a control misses 0 with one seed in twenty; seeds are fixed, and gains are held to 0 by their lower end.
"""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.datasets import load_breast_cancer

from secure_gal import GAL
from secure_gal.attacks import aggregator, columns, labels, sums
from secure_gal.attacks.finding import Estimate
from secure_gal.gal.losses import get_loss
from tests.support.attacked import REPEATS, Array, nothing, permuted, standardised, transcript

# --- labels -----------------------------------------------------------------------------------------------------------


def test_cross_entropy_residuals_give_every_label_of_two_classes(breast: tuple[Array, ...]) -> None:
    _, y, residuals, _ = breast
    found = labels.direct(y, residuals, seed=0)
    assert all(f.score.value == 1.0 and f.baseline.value == 0.5 for f in found)


def test_cross_entropy_residuals_give_every_label_of_three_classes(wine: tuple[Array, ...]) -> None:
    x, y, residuals, _ = wine
    found = labels.label_attacks(y, residuals, x[:, 6:], seed=0, repeats=REPEATS)
    by_sign = [f for f in found if f.attack == "sign of the residual"]
    assert [f.rounds for f in by_sign] == ["1", "2", "3", "4", "5", "all"]
    assert all(f.score == Estimate(1.0, 1.0, 1.0) and f.leak.value == 1.0 for f in by_sign)
    assert all(f.baseline.value == pytest.approx(1 / 3) for f in by_sign)
    assert next(f for f in found if f.attack.startswith("clusters") and f.rounds == "1").score.value == 1.0
    model = found[-1]
    assert model.score.value > 0.97 and model.gain.low > 0


def test_residuals_of_the_wrong_people_give_the_baseline(wine: tuple[Array, ...]) -> None:
    x, y, residuals, _ = wine
    for finding in labels.label_attacks(y, permuted(residuals), x[:, 6:], seed=1, repeats=REPEATS):
        nothing(finding)


def test_flipped_labels_leave_what_randomised_response_leaves(breast: tuple[Array, ...]) -> None:
    x, y, _, _ = breast
    flipped = np.where(np.random.default_rng(0).random(len(y)) < 0.25, 1 - y, y)
    residuals, _ = transcript(x, flipped, 26)
    first = labels.direct(y, residuals, seed=0)[0]
    assert first.score.low < 0.75 < first.score.high


def test_regression_residuals_are_the_targets() -> None:
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((200, 4)), rng.standard_normal(200)
    residuals, _ = transcript(x, y, 2, "regression")
    found = labels.label_attacks(y, residuals, x[:, 2:], seed=0, repeats=REPEATS)
    assert found[0].score.value > 0.9999 and found[-1].score.value > 0.99
    for finding in labels.label_attacks(y, permuted(residuals), x[:, 2:], seed=0, repeats=REPEATS):
        nothing(finding)


def test_an_attacker_without_columns_may_have_messages_only(wine: tuple[Array, ...]) -> None:
    _, y, residuals, _ = wine
    assert labels.with_known_labels(y, residuals[0], None, seed=0, repeats=2).score.value > 0.97
    nothing(labels.with_known_labels(y, permuted(residuals)[0], None, seed=0, repeats=REPEATS))


# --- columns ----------------------------------------------------------------------------------------------------------


def test_one_column_is_received_in_round_one() -> None:
    rng = np.random.default_rng(0)
    x, y = standardised(load_breast_cancer)
    _, fitted = transcript(x[:, :21], y, 20)
    for finding in columns.column_attacks(x[:, 20:21], fitted[:1], x[:, :5], ["radius"], seed=0, repeats=REPEATS):
        assert finding.score.value > 0.999 and finding.gain.low > 0
    noise = rng.standard_normal(fitted.shape)
    for finding in columns.column_attacks(x[:, 20:21], noise, x[:, :5], ["radius"], seed=0, repeats=REPEATS):
        nothing(finding)


def test_four_columns_after_four_rounds_and_not_before(breast: tuple[Array, ...]) -> None:
    x, _, _, fitted = breast
    names, truth = ["a", "b", "c", "d"], x[:, 26:]
    assert columns.column_space(columns.stacked(fitted[:4])).shape[1] == 4
    assert columns.column_space(columns.stacked(fitted)).shape[1] == 4
    late = columns.with_known_rows(truth, columns.column_space(columns.stacked(fitted)), None, names, seed=0, repeats=2)
    early = columns.with_known_rows(
        truth, columns.column_space(columns.stacked(fitted[:1])), None, names, seed=0, repeats=2
    )
    assert min(f.score.value for f in late) > 0.999
    assert min(f.score.value for f in early) < 0.9


def test_independent_columns_are_told_apart_blindly() -> None:
    rng = np.random.default_rng(3)
    x = np.column_stack([rng.exponential(size=600), rng.integers(0, 2, 600), rng.uniform(size=600)])
    y = (x.sum(axis=1) + rng.standard_normal(600) > 2).astype(int)
    _, fitted = transcript(np.hstack([rng.standard_normal((600, 2)), x]), y, 2)
    space = columns.column_space(columns.stacked(fitted))
    found = columns.blind(x, space, None, ["wait", "sex", "share"], seed=0)
    assert min(f.score.value for f in found) > 0.9
    for finding in columns.blind(x, space[rng.permutation(600)], None, ["wait", "sex", "share"], seed=0):
        assert finding.score.value < 0.03


# --- sums over rounds -------------------------------------------------------------------------------------------------


def weighted_sums(widths: tuple[int, ...], rounds: int, rows: int = 300) -> tuple[list[Array], Array, Array, Array]:
    """(columns by assistor, sums, residuals, weights) of boosting towards random targets with random weights."""
    rng = np.random.default_rng(5)
    blocks = [rng.standard_normal((rows, p)) for p in widths]
    fits = [b @ np.linalg.solve(b.T @ b + 0.01 * rows * np.eye(b.shape[1]), b.T) for b in blocks]
    residual, seen, asked = rng.standard_normal((rows, 1)) + sum(b.sum(axis=1, keepdims=True) for b in blocks), [], []
    weights = rng.dirichlet(np.ones(len(widths)), rounds)
    for w in weights:
        seen.append(sum(share * (fit @ residual) for share, fit in zip(w, fits, strict=True)).astype(np.float32))
        asked.append(residual.astype(np.float32))
        residual = residual - seen[-1]
    return blocks, np.stack(seen), np.stack(asked), weights


def sum_scores(widths: tuple[int, ...], rounds: int, prefix: str) -> list[float]:
    blocks, seen, asked, weights = weighted_sums(widths, rounds)
    names = [[f"{m}.{j}" for j in range(p)] for m, p in enumerate(widths)]
    found = sums.sum_attacks(blocks, seen, asked, weights, widths, None, names, seed=0, repeats=2)
    return [f.score.value for f in found if f.attack.startswith(prefix)]


def test_one_column_assistors_are_told_apart_after_a_few_sums() -> None:
    assert min(sum_scores((1, 1), 5, "spaces")) > 0.999
    assert max(sum_scores((1, 1), 1, "spaces")) < 0.95  # one sum of two columns is neither


def test_wide_assistors_are_known_in_part_only_while_rounds_are_few() -> None:
    assert sums.exposure(10, 1, (10, 10)) == 0.5
    assert np.mean(sum_scores((4, 4), 2, "regression")) < 0.7
    assert min(sum_scores((2, 2), 8, "regression")) > 0.99


def test_sums_of_the_wrong_people_say_nothing() -> None:
    blocks, seen, asked, weights = weighted_sums((1, 2), 6)
    names = [["a"], ["b", "c"]]
    for finding in sums.sum_attacks(
        blocks, permuted(seen), asked, weights, (1, 2), None, names, seed=0, repeats=REPEATS
    ):
        assert finding.score.value < 0.05


# --- small numbers ----------------------------------------------------------------------------------------------------


def test_enough_inner_products_are_the_residual() -> None:
    rng = np.random.default_rng(0)
    y = rng.integers(0, 2, 60)
    residual = get_loss("cross_entropy", 1).residual(y, np.zeros((60, 1)))
    vectors = rng.standard_normal((60, 60))
    all_of_it = aggregator.labels_from_products(y, vectors, vectors @ residual / 60, seed=0)
    assert all_of_it.score.value == 1.0
    few = aggregator.labels_from_products(y, vectors[:3], vectors[:3] @ residual / 60, seed=0)
    assert few.score.value < 0.8
    noise = aggregator.labels_from_products(y, vectors[:3], rng.standard_normal((3, 1)), seed=0)
    nothing(noise)


def test_weights_and_rates_tell_a_single_unknown_label() -> None:
    x, y = standardised(load_breast_cancer)
    x, y = x[:60], y[:60]

    def numbers(labels_: Array) -> Array:
        gal = GAL(rounds=3, weights="paper").fit([x[:, :4], x[:, 4:8]], labels_)
        rates = np.array([r.eta * r.weights["party-1"] for r in gal.history_[: gal.n_rounds_]])
        return np.append(rates, np.full(3 - len(rates), np.nan))

    targets = np.concatenate([np.flatnonzero(y == c)[:4] for c in (0, 1)])
    simulated = np.array([[numbers(np.where(np.arange(60) == i, c, y)) for c in (0, 1)] for i in targets])
    observed = np.stack([numbers(y)] * len(targets))
    assert aggregator.labels_by_simulation(y[targets], observed, simulated, seed=0).score.value == 1.0
    blinded = np.repeat(simulated[:, :1], 2, axis=1)
    assert aggregator.labels_by_simulation(y[targets], observed, blinded, seed=0).gain.value == 0.0
