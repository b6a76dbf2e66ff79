"""The mathematics of the paper's experiments, on small made-up data."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.paper import fusion, methods, pooled, rounds
from benchmarks.paper.case import Case
from benchmarks.paper.data.split import Split
from benchmarks.paper.disturbed import NoisedResidual, Noisy
from benchmarks.paper.learners import LEARNERS, learners_of, objects_of, of_shape
from benchmarks.paper.local_sgd import PaperLinear
from secure_gal.holdings import local, rings
from secure_gal.learners import check_shape, encryptable, make_learner
from secure_gal.learners.linear import LinearLearner

ROWS, NEW = 160, 80


def split_of(y: Any, x: np.ndarray, parties: int = 4) -> Split:
    blocks = np.split(x, parties, axis=1)
    old, new = slice(ROWS), slice(ROWS, None)
    return Split([b[old] for b in blocks], x[old], y[old], [b[new] for b in blocks], x[new], y[new])


@pytest.fixture(scope="module")
def numbers() -> Split:
    """A target linear in eight columns, two a party."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((ROWS + NEW, 8))
    return split_of(x @ np.arange(8, 0, -1) + 0.1 * rng.standard_normal(len(x)), x)


@pytest.fixture(scope="module")
def classes() -> Split:
    """Three classes of which every party knows something."""
    rng = np.random.default_rng(1)
    y = rng.integers(0, 3, ROWS + NEW)
    centres = rng.standard_normal((3, 8))
    return split_of(y, centres[y] + rng.standard_normal((len(y), 8)))


def case(data: str, **settings: Any) -> Case:
    base: dict[str, Any] = {"group": "test", "row": "line", "data": data, "method": "gal", "rounds": 5}
    return Case(**base | settings)


def test_each_turn_of_assisted_learning_fits_what_the_last_one_left(numbers: Split) -> None:
    al = case("Diabetes", method="al", loss="l2", local_loss="l2", rounds=3)
    found = methods.play(al, numbers, 0)
    f = np.full((ROWS, 1), 0.0)
    y = ((numbers.y - numbers.y.mean()) / numbers.y.std())[:, None]
    for turn in range(12):
        x = numbers.blocks[turn % 4]
        fitted = LinearLearner().fit(x, (y - f).astype(np.float32), 0).predict(x)
        eta = float(np.sum((y - f) * fitted) / np.sum(fitted**2))
        assert found.eta[turn] == pytest.approx(eta, rel=1e-4)
        f = f + eta * fitted
    assert len(found.trail) == 1 + 3  # the start, and each round of four turns
    assert found.train_loss[-1] == pytest.approx(float(0.5 * np.mean((y - f) ** 2)), rel=1e-4)


def test_a_turn_that_learns_nothing_does_not_end_assisted_learning() -> None:
    x = np.random.default_rng(2).standard_normal((ROWS + NEW, 2))
    nothing = split_of(x[:, 1] * 3.0, np.column_stack([np.zeros(len(x)), x[:, 1]]), parties=2)
    found = methods.play(case("Diabetes", method="al", loss="l2", local_loss="l2", mode="product"), nothing, 0)
    assert found.eta[0] == 0.0
    assert found.value < 0.05


def test_uniform_weights_by_the_papers_rule_are_the_mean_of_fits(numbers: Split) -> None:
    found = methods.play(case("Diabetes", weights="uniform", loss="l2", local_loss="l2", rounds=1), numbers, 0)
    y = ((numbers.y - numbers.y.mean()) / numbers.y.std())[:, None]
    fits = [LinearLearner().fit(x, y.astype(np.float32), 0).predict(x) for x in numbers.blocks]
    mean = np.mean(fits, axis=0)
    assert found.eta[0] == pytest.approx(float(np.sum(y * mean) / np.sum(mean**2)), rel=1e-4)
    assert found.weights == [[0.25] * 4]


def test_fitted_weights_leave_noisy_parties_out_and_uniform_ones_do_not(numbers: Split) -> None:
    noisy = case("Diabetes", noise=5.0, loss="l2", local_loss="l2")
    fitted, uniform = (methods.play(replace(noisy, weights=w), numbers, 0) for w in ("fitted", "uniform"))
    assert np.mean(fitted.weights, axis=0)[2:].max() < 0.1
    assert uniform.value > fitted.value


@pytest.mark.parametrize("mode", ["paper", "product"])
def test_gal_is_better_than_the_sponsor_alone(classes: Split, mode: Any) -> None:
    alone, everyone = (methods.play(case("Wine", mode=mode, method=m), classes, 0) for m in ("alone", "gal"))
    assert everyone.value > alone.value + 10


def test_late_fusion_is_the_mean_of_models_that_each_know_one_block(numbers: Split) -> None:
    found = fusion.late(case("Diabetes", method="late", loss="l2"), numbers, 0)
    y, mean = numbers.y, 0.0
    for x, new in zip(numbers.blocks, numbers.test_blocks, strict=True):
        theta, *_ = np.linalg.lstsq(np.column_stack([x, np.ones(ROWS)]), y, rcond=None)
        mean = mean + np.column_stack([new, np.ones(NEW)]) @ theta / 4
    assert found.value == pytest.approx(float(np.mean(np.abs(mean - numbers.test_y))), rel=0.02)


def test_intermediate_fusion_of_linear_layers_is_the_joint_linear_model(numbers: Split) -> None:
    found = fusion.interm(case("Diabetes", method="interm", loss="l2"), numbers, 0)
    joint = pooled.optimum(case("Diabetes", method="optimum", loss="l2"), numbers, 0)
    assert found.value == pytest.approx(joint.value, rel=0.1)
    assert found.value < 0.1 * fusion.late(case("Diabetes", method="late", loss="l2"), numbers, 0).value


def test_training_loss_tends_to_the_joint_optimum_and_never_below(numbers: Split) -> None:
    least = pooled.optimum(case("Diabetes", method="optimum", loss="l2"), numbers, 0).train_loss[0]
    long = case("Diabetes", loss="l2", local_loss="l2", rounds=100, options={"ridge": 0.0})
    losses = np.array(methods.play(long, numbers, 0).train_loss)
    assert (losses >= least - 1e-9).all()
    assert losses[-1] - least < 1e-3 * (losses[0] - least)


def test_one_organisation_with_trees_is_gradient_boosting_round_by_round(numbers: Split) -> None:
    one = case("Diabetes", method="joint", learner="tree", loss="l2", local_loss="l2")
    ours, theirs = methods.play(one, numbers, 0), pooled.boosting(one, numbers, 0)
    assert ours.trail == pytest.approx(theirs.trail, rel=1e-5)
    assert ours.eta == pytest.approx([1.0] * 5, rel=1e-5)


def test_every_party_gets_the_same_noised_residual_and_none_the_true_one() -> None:
    class Seen:
        def fit(self, x: Any, residual: np.ndarray, seed: int) -> Any:
            return residual

    residual = np.random.default_rng(0).standard_normal((50, 1)).astype(np.float32)
    for kind in ("dp", "ip"):
        one, two = (NoisedResidual(Seen(), kind).fit(None, residual, seed) for seed in (1, 2))  # type: ignore[arg-type]
        assert np.array_equal(one, two)
        assert np.abs(one - residual).mean() > 0.1


def test_a_noisy_party_is_noisy_on_new_rows_and_on_values_out_of_fold() -> None:
    x = np.random.default_rng(0).standard_normal((200, 3))
    residual = x[:, :1].astype(np.float32)
    noisy, clean = Noisy(LinearLearner(), 2.0), LinearLearner()
    folds = np.arange(200) % 5
    for a, b in (
        (noisy.fit(x, residual, 7).predict(x), clean.fit(x, residual, 7).predict(x)),
        (noisy.cross_fit(x, residual, 7, folds).values, clean.cross_fit(x, residual, 7, folds).values),
    ):
        assert float(np.std(a - b)) == pytest.approx(2.0, rel=0.2)  # 200 draws: 4 standard errors


def test_the_papers_linear_model_is_near_least_squares_and_repeats_itself() -> None:
    x = np.random.default_rng(0).standard_normal((300, 4))
    residual = (0.3 * x @ np.array([[1.0], [-1.0], [0.5], [0.0]]) + 0.1).astype(np.float32)
    one, two = (PaperLinear("l2").fit(x, residual, 3) for _ in range(2))
    assert np.array_equal(one.coefficients, two.coefficients)
    assert np.allclose(one.coefficients[:, 0], [0.3, -0.3, 0.15, 0.0], atol=0.02)


def test_the_first_half_of_mixed_parties_has_trees() -> None:
    blocks = [np.zeros((4, 2))] * 5
    kinds = [one.kind for one in learners_of(case("Wine", learner="gb-svm"), blocks, 0)]
    assert kinds == ["gb", "gb", "svm", "svm", "svm"]


@pytest.mark.parametrize("learner", ["network", "dms", "heads"])
@pytest.mark.parametrize("shape", [(5, 3), (1, 6, 6), (2, 1, 6, 6), (3,)])
def test_rows_of_every_shape_get_a_learner_that_takes_them(learner: str, shape: tuple[int, ...]) -> None:
    asked = case("MNIST", learner=learner)
    settings = of_shape(asked, np.zeros((4, *shape)))
    check_shape(settings, 1 + len(shape))
    make_learner(settings, Path.cwd())
    assert (encryptable(settings) == "") == (learner == "heads")


def test_an_unknown_learner_is_refused_by_name() -> None:
    with pytest.raises(ValueError, match=f"'forest'; accepted: {LEARNERS[0]}"):
        objects_of(case("Wine", learner="forest"), [np.zeros((4, 2))], 0)


def test_networks_are_fused_early_and_late() -> None:
    rng = np.random.default_rng(0)
    y = rng.integers(0, 2, ROWS + NEW)
    x = rng.normal(size=(len(y), 1, 6, 12)) + 2 * y[:, None, None, None]
    old, new = slice(ROWS), slice(ROWS, None)
    blocks = np.split(x, 2, axis=3)
    split = Split([b[old] for b in blocks], x[old], y[old], [b[new] for b in blocks], x[new], y[new])
    options = {"width": 4, "blocks": 2, "epochs": 5, "batch": 64}
    images = case("MNIST", learner="network", rounds=2, options=options)
    for play in (fusion.late, fusion.interm):
        assert play(images, split, 0).value > 90


def test_a_table_and_a_series_are_fused_with_the_batches_that_their_learners_choose() -> None:
    rng = np.random.default_rng(0)
    y = rng.integers(0, 2, ROWS + NEW)
    table = rng.normal(size=(len(y), 3)) + 2 * y[:, None]
    series = rng.normal(size=(len(y), 4, 2)) + 2 * y[:, None, None]
    old, new = slice(ROWS), slice(ROWS, None)
    blocks = [series, table]
    split = Split([b[old] for b in blocks], table[old], y[old], [b[new] for b in blocks], table[new], y[new])
    patients = case("PhysioNet-death", learner="network", rounds=2, options={"hidden": 8, "epochs": 5})
    for play in (fusion.late, fusion.interm):
        assert play(patients, split, 0).value > 0.9


@pytest.mark.parametrize("mode", ["ckks", pytest.param("sum", marks=pytest.mark.slow)])
def test_ciphertexts_give_the_clear_study_of_the_same_heads(
    numbers: Split, mode: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where both leave out all of a row's own residual, as the clear study does in its first round."""
    for module in (local, rings):
        monkeypatch.setattr(module, "fixed", lambda outputs, leverage: np.ones(np.shape(leverage)))
    small = Split(
        [b[:, :1] for b in numbers.blocks[:3]],
        numbers.joint,
        numbers.y,
        [b[:, :1] for b in numbers.test_blocks[:3]],
        numbers.test_joint,
        numbers.test_y,
    )
    clear = case("Diabetes", mode="product", loss="l2", local_loss="l2", rounds=2)
    expected, found = (methods.play(replace(clear, mode=m), small, 0) for m in ("product", mode))
    assert found.train_loss[:2] == pytest.approx(expected.train_loss[:2], rel=1e-2)
    assert found.value == pytest.approx(expected.value, rel=1e-2)


def test_turns_go_on_where_the_last_round_ended() -> None:
    assert [int(np.argmax(w)) for w in rounds.turns(3, 2, 2)] == [0, 1, 2, 0]
