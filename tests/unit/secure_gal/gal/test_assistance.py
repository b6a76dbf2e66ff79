"""Weights are optimal (KKT, brute force), learning rates are minimisers, and a restart changes no bit."""

from __future__ import annotations

import numpy as np
import pytest

from secure_gal.gal.coefficients import POWERS, kkt_residual, line_search, simplex_weights
from secure_gal.gal.ensemble import Ensemble
from secure_gal.gal.losses import get_loss


def kkt(residual, fitted, loss, w):
    """sum_m w_m (g_m - min g) over the loss of no fit; 0 at a minimiser, and an upper bound of what w loses.

    Where an entry of an l1 error is 0 its sign is free, so l1 is judged by brute force instead.
    """
    power = POWERS[loss]
    errors = np.stack([f.astype(float).ravel() - residual.ravel() for f in fitted])
    e = w @ errors
    gradient = errors @ (power * np.sign(e) * np.abs(e) ** (power - 1)) / e.size
    return w @ (gradient - gradient.min()) / np.mean(np.abs(residual) ** power)


def value(residual, fitted, loss, w):
    combined = sum(wm * f.astype(float) for wm, f in zip(w, fitted, strict=True))
    return np.mean(np.abs(residual - combined) ** POWERS[loss])


def problem(seed, parties=None, spread=1.0):
    rng = np.random.default_rng(seed)
    m, n, k = parties or int(rng.integers(2, 9)), int(rng.integers(20, 200)), int(rng.integers(1, 4))
    residual = rng.normal(size=(n, k)).astype(np.float32)
    noise = spread ** rng.uniform(-1, 1, m)
    fitted = [(rng.uniform(0, 1) * residual + s * rng.normal(size=(n, k))).astype(np.float32) for s in noise]
    return residual.astype(float), fitted


@pytest.mark.parametrize(
    ("loss", "spread"),
    [
        ("l2", 1.0),
        ("l2", 10.0),
        ("l2", 100.0),
        ("l1.5", 1.0),
        ("l1.5", 10.0),
        ("l4", 1.0),
        ("l4", 10.0),
        ("l1.5", 100.0),
        ("l4", 100.0),
    ],
)
def test_weights_satisfy_the_kkt_conditions(loss, spread):
    for seed in range(40):
        residual, fitted = problem(seed, spread=spread)
        w = simplex_weights(residual, fitted, loss)
        assert (w >= 0).all()
        assert w.sum() == pytest.approx(1, abs=1e-12)
        assert kkt(residual, fitted, loss, w) < 1e-6, f"seed {seed}"


def test_the_reported_kkt_residual_tells_optimal_from_not():
    residual, fitted = problem(3, parties=4)
    errors = np.stack([f.astype(float).ravel() - residual.ravel() for f in fitted])
    gram = errors @ errors.T
    w = simplex_weights(residual, fitted, "l2")
    assert kkt_residual(gram, w) < 1e-6
    assert kkt_residual(gram, np.roll(w, 1) * 0.5 + 0.125) > 1e-3


@pytest.mark.parametrize("loss", ["l1", "l1.5", "l2", "l4"])
def test_no_point_of_a_fine_grid_is_better(loss):
    for seed in range(4):
        residual, fitted = problem(seed, parties=3)
        best = value(residual, fitted, loss, simplex_weights(residual, fitted, loss))
        steps = 60
        pairs = [(i, j) for i in range(steps + 1) for j in range(steps + 1 - i)]
        grid = [(i / steps, j / steps, (steps - i - j) / steps) for i, j in pairs]
        assert min(value(residual, fitted, loss, w) for w in grid) >= best - 1e-9


def test_l1_weights_beat_every_vertex_of_the_piecewise_linear_problem():
    for seed in range(5):
        residual, fitted = problem(seed, parties=2)
        first, second = (f.astype(float).ravel() for f in fitted)
        with np.errstate(divide="ignore"):
            kinks = np.clip((residual.ravel() - second) / (first - second), 0, 1)
        best = min(value(residual, fitted, "l1", (k, 1 - k)) for k in kinks)
        found = value(residual, fitted, "l1", simplex_weights(residual, fitted, "l1"))
        assert found == pytest.approx(best, rel=1e-9)


@pytest.mark.parametrize("loss", ["l1", "l1.5", "l2", "l4"])
def test_degenerate_fits_have_weights_too(loss):
    residual, (fit, *_) = problem(0, parties=2)
    exact = residual.astype(np.float32)
    assert simplex_weights(exact.astype(float), [fit, exact], loss) == pytest.approx([0, 1], abs=1e-6)
    for same in ([fit, fit], [np.zeros_like(fit)] * 3, [exact, exact]):
        w = simplex_weights(residual, same, loss)
        assert (w >= 0).all() and w.sum() == pytest.approx(1)
    assert simplex_weights(residual, [fit], loss).tolist() == [1.0]


def test_the_l1_learning_rate_is_a_weighted_median():
    rng = np.random.default_rng(5)
    loss = get_loss("l1", 1)
    for _ in range(20):
        y, F, g = (rng.normal(size=(31, 1)) for _ in range(3))
        found = line_search(loss, y, F, g)
        kinks = ((y - F) / g).ravel()
        assert found.attained
        assert loss.value(y, F + found.eta * g) == pytest.approx(min(loss.value(y, F + k * g) for k in kinks))


@pytest.mark.parametrize("name, outputs", [("l2", 1), ("huber", 1), ("cross_entropy", 1), ("cross_entropy", 3)])
@pytest.mark.parametrize("sign", [1.0, -1.0])
@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e6])
def test_the_slope_vanishes_at_the_learning_rate(name, outputs, sign, scale):
    rng = np.random.default_rng(6)
    y = rng.integers(0, max(2, outputs), 200) if name == "cross_entropy" else rng.normal(size=(200, 1))
    loss = get_loss(name, outputs)
    F = np.tile(loss.initial(y), (200, 1))
    g = sign * scale * (loss.residual(y, F) + rng.normal(size=(200, outputs)))
    found = line_search(loss, y, F, g)
    assert found.attained
    assert np.sign(found.eta) == sign
    assert abs(loss.slope(y, F + found.eta * g, g)) < 1e-9 * abs(loss.slope(y, F, g))


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_separable_data_stop_where_the_slope_is_small(sign):
    rng = np.random.default_rng(7)
    y = rng.integers(0, 2, 100)
    loss, F = get_loss("cross_entropy", 1), np.zeros((100, 1))
    g = sign * np.where(y == 1, 1.0, -1.0)[:, None] * rng.uniform(0.5, 1.0, (100, 1))
    found = line_search(loss, y, F, g)
    assert not found.attained
    share = loss.slope(y, F + found.eta * g, g) / loss.slope(y, F, g)
    assert share == pytest.approx(1e-6, rel=1e-6)
    assert np.sign(found.eta) == sign


def test_a_zero_direction_has_a_zero_learning_rate():
    y = np.array([0, 1])
    found = line_search(get_loss("cross_entropy", 1), y, np.zeros((2, 1)), np.zeros((2, 1)))
    assert (found.eta, found.attained) == (0.0, True)


def ensemble(seed=8, validation=True, patience=3, rounds=8, rate="search"):
    rng = np.random.default_rng(seed)
    y = rng.integers(0, 3, 150)
    train = np.arange(150) >= (30 if validation else 0)
    loss = get_loss("cross_entropy", 3)
    return Ensemble(loss, y, train, "classification", ("a", "b"), "fitted", rate, patience, rounds, "l2")


def fits(made, seed):
    """Fitted values that lean towards the residual in the training rows and are noise in the others."""
    rng = np.random.default_rng([9, seed])
    full = np.zeros(made.F.shape, dtype=np.float32)
    full[len(full) - len(made.residual()) :] = made.residual()
    return {p: (full + rng.normal(size=full.shape)).astype(np.float32) for p in made.parties}


@pytest.mark.parametrize("validation", [True, False])
def test_a_restored_ensemble_goes_on_with_the_same_bits(validation):
    through = ensemble(validation=validation, patience=100)
    for t in range(3):
        through.commit(fits(through, t))
    resumed = ensemble(validation=validation, patience=100)
    resumed.restore({k: np.array(v) for k, v in through.state().items()})
    for t in range(3, 8):
        assert resumed.residual().tobytes() == through.residual().tobytes()
        through.commit(fits(through, t))
        resumed.commit(fits(resumed, t))
    assert resumed.F.tobytes() == through.F.tobytes()
    assert resumed.history == through.history
    assert (resumed.kept, resumed.finished) == (through.kept, through.finished)
    assert resumed.coefficients("b").tobytes() == through.coefficients("b").tobytes()


def test_the_outputs_are_the_sum_of_the_committed_steps():
    made = ensemble(validation=False)
    expected = made.F.copy()
    for t in range(4):
        fitted = fits(made, t)
        record = made.commit(fitted)
        expected = expected + record.eta * sum(record.weights[p] * fitted[p].astype(float) for p in ("a", "b"))
    np.testing.assert_allclose(made.F, expected, rtol=1e-12)
    assert made.kept == 4 and len(made.coefficients("a")) == 4


def test_patience_ends_the_rounds_and_the_best_round_is_kept():
    made = ensemble(patience=2, rounds=50, rate=1.0)
    t = 0
    while not made.finished:
        made.commit(fits(made, t))
        t += 1
    losses = [made.initial_losses[1], *(r.valid_loss for r in made.history)]
    assert made.kept == int(np.argmin(losses))
    assert len(made.history) - made.kept == 2


def test_fits_of_zero_end_the_rounds():
    made = ensemble(validation=False)
    record = made.commit({p: np.zeros_like(made.F, dtype=np.float32) for p in made.parties})
    assert record.eta == 0.0 and made.finished
