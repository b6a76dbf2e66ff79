"""That the mathematics is right: losses, weights, learning rate, boosting with M = 1, Theorem 1."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from scipy.optimize import minimize_scalar
from sklearn.ensemble import GradientBoostingRegressor

from secure_gal import GAL
from secure_gal.gal.coefficients import kkt_residual, line_search, min_norm_point, simplex_weights
from secure_gal.gal.losses import get_loss, metric
from secure_gal.learners import storage
from secure_gal.learners.trees import EstimatorLearner
from secure_gal.settings.party import LearnerSettings

CASES = [("l1", 1), ("l2", 1), ("huber", 1), ("cross_entropy", 1), ("cross_entropy", 4)]


def labels(name: str, k: int, rng: np.random.Generator, n: int = 40) -> np.ndarray:
    return rng.integers(0, max(2, k), n) if name == "cross_entropy" else rng.standard_normal((n, 1)) * 2


@pytest.mark.parametrize(("name", "k"), CASES)
def test_residual_is_minus_the_gradient(name: str, k: int) -> None:
    rng = np.random.default_rng(0)
    loss, y, f = get_loss(name, k), labels(name, k, rng), rng.standard_normal((40, k))
    r, step = loss.residual(y, f), 1e-6
    for i, j in [(0, 0), (5, k - 1), (39, 0)]:
        up, down = f.copy(), f.copy()
        up[i, j] += step
        down[i, j] -= step
        assert -40 * (loss.value(y, up) - loss.value(y, down)) / (2 * step) == pytest.approx(r[i, j], abs=1e-6)


@pytest.mark.parametrize(("name", "k"), CASES)
def test_initial_value_is_the_best_constant(name: str, k: int) -> None:
    rng = np.random.default_rng(1)
    loss, y = get_loss(name, k), labels(name, k, rng, 41)
    best = loss.initial(y)
    at_best = loss.value(y, np.tile(best, (41, 1)))
    for _ in range(50):
        assert at_best <= loss.value(y, np.tile(best + rng.standard_normal(k) * 0.1, (41, 1))) + 1e-12


@pytest.mark.parametrize(("name", "k"), CASES)
@pytest.mark.parametrize("sign", [1, -1])
def test_line_search_is_exact(name: str, k: int, sign: int) -> None:
    rng = np.random.default_rng(2)
    loss, y, f = get_loss(name, k), labels(name, k, rng), rng.standard_normal((40, k))
    g = sign * (loss.residual(y, f) + 0.5 * rng.standard_normal((40, k)))
    found = line_search(loss, y, f, g)
    best = minimize_scalar(lambda e: loss.value(y, f + e * g), bracket=(-1, 1), tol=1e-12)
    assert found.attained and np.sign(found.eta) == sign
    assert loss.value(y, f + found.eta * g) <= best.fun + 1e-9


def test_separable_data_stop_at_a_finite_rate() -> None:
    loss, y = get_loss("cross_entropy", 1), np.array([0, 0, 1, 1])
    f, g = np.zeros((4, 1)), np.array([[-1.0], [-2.0], [1.0], [2.0]])
    found = line_search(loss, y, f, g)
    assert not found.attained
    assert abs(loss.slope(y, f + found.eta * g, g)) == pytest.approx(1e-6 * abs(loss.slope(y, f, g)), rel=1e-3)


@pytest.mark.parametrize("seed", range(20))
def test_l2_weights_meet_the_kkt_conditions(seed: int) -> None:
    rng = np.random.default_rng(seed)
    m = int(rng.integers(2, 12))
    r = rng.standard_normal((60, 2)).astype(np.float32)
    fitted = [(rng.random() * r + rng.standard_normal((60, 2))).astype(np.float32) for _ in range(m)]
    w = simplex_weights(r, fitted, "l2")
    d = np.stack([f.ravel().astype(float) - r.ravel() for f in fitted], axis=1)
    assert w.min() >= 0 and w.sum() == pytest.approx(1)
    assert kkt_residual(d.T @ d, w) < 1e-6
    assert kkt_residual(d.T @ d, np.full(m, 1 / m)) > 1e-6  # the check can fail


@pytest.mark.parametrize("loss", ["l1", "l1.5", "l4"])
def test_other_weights_beat_every_neighbour(loss: str) -> None:
    rng = np.random.default_rng(3)
    r = rng.standard_normal((80, 1)).astype(np.float32)
    fitted = [(a * r + rng.standard_normal((80, 1))).astype(np.float32) for a in (0.9, 0.5, 0.1)]
    power = float(loss[1:])

    def value(w: np.ndarray) -> float:
        total = sum(c * f.astype(float) for c, f in zip(w, fitted, strict=True))
        return float(np.mean(np.abs(r - total) ** power))

    w = simplex_weights(r, fitted, loss)
    best = value(w)
    assert all(best <= value(rng.dirichlet(np.ones(3))) + 1e-9 for _ in range(300))
    assert all(best <= value(0.99 * w + 0.01 * np.eye(3)[i]) + 1e-9 for i in range(3))


def test_a_perfect_party_gets_all_the_weight() -> None:
    assert min_norm_point(np.diag([0.0, 1.0, 2.0])) == pytest.approx([1, 0, 0])


def test_one_organisation_is_gradient_boosting() -> None:
    from sklearn.tree import DecisionTreeRegressor

    rng = np.random.default_rng(4)
    x, y = rng.standard_normal((200, 5)).astype(np.float32).astype(float), rng.standard_normal(200)
    theirs = GradientBoostingRegressor(n_estimators=8, max_depth=3, learning_rate=0.3).fit(x, y)
    tree = EstimatorLearner(lambda seed: DecisionTreeRegressor(max_depth=3, random_state=0))
    ours = GAL("regression", weights="paper", learners=tree, learning_rate=0.3, rounds=8, patience=99).fit([x], y)
    assert np.allclose(ours.predict([x]), theirs.predict(x), atol=1e-4)  # residuals travel as float32


@pytest.mark.parametrize(
    ("task", "loss"), [("regression", "l2"), ("regression", "l1"), ("regression", "huber"), ("classification", "auto")]
)
@pytest.mark.parametrize("weights", ["paper", "fitted"])
def test_the_training_loss_never_rises(task: str, loss: str, weights: str) -> None:
    rng = np.random.default_rng(5)
    blocks = [rng.standard_normal((150, 3)) for _ in range(3)]
    score = blocks[0][:, 0] + blocks[1][:, 1] ** 2 + 0.1 * rng.standard_normal(150)
    y = (score > 1).astype(int) if task == "classification" else score
    gal = GAL(task, loss, rounds=8, weights=weights, patience=99).fit(blocks, y)
    state = gal.fitted_.sponsor.state
    coded, f0 = storage.load(state["encoder"])[1].encode(y), np.tile(state["ensemble/F0"], (len(y), 1))  # type: ignore[arg-type]
    losses = [get_loss(gal.fitted_.study.loss_name, 1).value(coded, f0), *(r.train_loss for r in gal.history_)]
    assert all(after <= before + 1e-9 for before, after in itertools.pairwise(losses))
    assert losses[-1] < losses[0]


def test_theorem_1_linear_least_squares_over_the_joint_span() -> None:
    rng = np.random.default_rng(6)
    blocks = [rng.standard_normal((100, 3)) for _ in range(3)]
    y = np.hstack(blocks) @ rng.standard_normal(9) + rng.standard_normal(100)
    gal = GAL(
        "regression", weights="paper", rounds=200, patience=999, learners=LearnerSettings(options={"ridge": 0.0})
    ).fit(blocks, y)
    design = np.hstack([*blocks, np.ones((100, 1))])
    best = y - design @ np.linalg.lstsq(design, y, rcond=None)[0]
    assert np.mean((gal.predict(blocks) - y) ** 2) == pytest.approx(np.mean(best**2), rel=1e-4)


def test_staged_predictions_end_at_the_prediction() -> None:
    rng = np.random.default_rng(7)
    x, y = [rng.standard_normal((200, 2)) for _ in range(2)], rng.integers(0, 3, 200)
    gal = GAL(rounds=4).fit(x, y)
    stages = list(gal.staged_predict(x))
    assert len(stages) == gal.n_rounds_ + 1 and np.array_equal(stages[-1], gal.predict(x))


def test_auc_counts_ties_half() -> None:
    y = np.array([0, 1, 0, 1])
    assert metric("classification", y, np.array([[0.0], [0.0], [1.0], [1.0]])) == 0.5
    assert metric("classification", y, np.array([[0.0], [2.0], [1.0], [1.0]])) == 0.875
