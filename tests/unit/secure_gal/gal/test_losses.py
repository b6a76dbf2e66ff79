"""Losses: gradients against finite differences, F^0 minimises, slopes agree, metrics are the usual ones."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from secure_gal.gal.coefficients import line_search
from secure_gal.gal.losses import Loss, get_loss, metric

CASES = [("l1", 1), ("l2", 1), ("huber", 1), ("cross_entropy", 1), ("cross_entropy", 4)]


def problem(name, outputs, n=60, seed=0):
    rng = np.random.default_rng(seed)
    y = rng.integers(0, max(2, outputs), n) if name == "cross_entropy" else rng.standard_t(3, (n, 1))
    return y, rng.normal(size=(n, outputs)), rng.normal(size=(n, outputs))


@pytest.mark.parametrize(("name", "outputs"), CASES)
def test_the_residual_is_the_negative_gradient(name, outputs):
    y, F, _ = problem(name, outputs)
    loss, step = get_loss(name, outputs), 1e-6
    residual = loss.residual(y, F)
    assert residual.shape == F.shape
    for i, k in np.ndindex(8, outputs):
        up, down = F.copy(), F.copy()
        up[i, k] += step
        down[i, k] -= step
        slope = (loss.value(y, up) - loss.value(y, down)) / (2 * step)
        assert -residual[i, k] / len(y) == pytest.approx(slope, abs=1e-8)


@pytest.mark.parametrize(("name", "outputs"), CASES)
def test_the_slope_is_the_derivative_along_a_direction(name, outputs):
    y, F, g = problem(name, outputs)
    loss, step = get_loss(name, outputs), 1e-6
    difference = (loss.value(y, F + step * g) - loss.value(y, F - step * g)) / (2 * step)
    assert loss.slope(y, F, g) == pytest.approx(difference, rel=1e-6)


@pytest.mark.parametrize(("name", "outputs"), CASES)
def test_no_other_constant_is_better_than_the_initial_one(name, outputs):
    y, _, _ = problem(name, outputs, n=101)
    loss = get_loss(name, outputs)
    first = loss.initial(y)
    assert first.shape == (outputs,)
    best = loss.value(y, np.tile(first, (len(y), 1)))
    rng = np.random.default_rng(1)
    for scale in (1e-3, 1e-1, 1.0):
        for _ in range(20):
            other = first + scale * rng.normal(size=outputs)
            assert loss.value(y, np.tile(other, (len(y), 1))) >= best - 1e-14


@pytest.mark.parametrize("outputs", [1, 3])
def test_cross_entropy_is_finite_far_out(outputs):
    y = np.zeros(4, dtype=np.int64)
    F = np.zeros((4, outputs))
    F[:, -1] = 1e4
    loss = get_loss("cross_entropy", outputs)
    assert loss.value(y, F) == pytest.approx(1e4)
    assert np.isfinite(loss.residual(y, F)).all()


def test_a_class_without_training_rows_leaves_a_finite_start():
    assert np.isfinite(get_loss("cross_entropy", 3).initial(np.array([0, 0, 2]))).all()


def test_auc_with_ties_is_scikit_learns():
    rng = np.random.default_rng(2)
    y, F = rng.integers(0, 2, 200), rng.integers(0, 9, (200, 1)).astype(float)
    assert metric("classification", y, F) == pytest.approx(roc_auc_score(y, F[:, 0]))
    assert np.isnan(metric("classification", np.zeros(5, dtype=int), F[:5]))


def test_accuracy_and_mean_absolute_deviation():
    assert metric("classification", np.array([0, 1, 2, 2]), np.eye(3)[[0, 1, 2, 0]]) == 0.75
    assert metric("regression", np.array([[1.0], [2.0]]), np.array([[0.0], [4.0]])) == 1.5


@pytest.mark.parametrize("slope", [-1.0, float("nan")])
def test_a_slope_that_never_flattens_takes_no_step(slope: float) -> None:
    """What a peer's fitted values can do to a loss that is not convex must not end the sponsor's process."""

    class Falling(Loss):
        def slope(self, y: object, f: object, g: object, weights: object = None) -> float:
            return slope if np.any(f) else -1.0

    ones = np.ones((3, 1))
    found = line_search(Falling("cross_entropy", 1), np.zeros(3), np.zeros((3, 1)), ones)
    assert (found.eta, found.attained) == (0.0, False)
