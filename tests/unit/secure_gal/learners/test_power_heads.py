"""Linear heads of the local losses l1, l1.5 and l4: the stated problem is solved, whatever the residual's size."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy.optimize import linprog, minimize

from secure_gal.learners import make_learner
from secure_gal.learners.cross_fit import cross_fit
from secure_gal.learners.declare import POWERS
from secure_gal.learners.power_head import PowerHeadLearner
from secure_gal.learners.ridge import HeadLearner, RidgeBasis
from secure_gal.settings.party import LearnerSettings

N, P = 60, 4
ABOVE = 1e-3
"""How far above the minimum a fit may be, in s^p."""


def data(signs: bool = False, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((N, P)) * [1.0, 3.0, 0.3, 1.0]
    r = (x[:, :2] @ [1.0, -0.5] + rng.standard_t(2, N) + 0.7)[:, None]
    return x, np.where(r > 0, 1.0, -1.0).astype(np.float32) if signs else r.astype(np.float32)


def objective(x: np.ndarray, r: np.ndarray, b: np.ndarray, c: float, power: float, ridge: float) -> float:
    """The problem as the docstring of `PowerHeadLearner` states it."""
    penalty = power / 2 * float(r.std()) ** (power - 2) * ridge * float(b @ b)
    return float(np.mean(np.abs(r - x @ b - c) ** power)) + penalty


def solved(x: np.ndarray, r: np.ndarray, power: float, ridge: float) -> tuple[np.ndarray, float]:
    """(b, c) by `PowerHeadLearner`."""
    basis = RidgeBasis.fit(x, ridge)
    head = PowerHeadLearner(power).fit(basis.basis(x), r, 0)
    b = basis.factor @ head.coefficients[:-1, 0]
    return b, float(head.coefficients[-1, 0] / np.sqrt(len(x)) - basis.mean @ b)


@pytest.mark.parametrize("signs", [False, True])
def test_l1_without_a_ridge_is_as_good_as_a_linear_program(signs: bool) -> None:
    x, r = data(signs)
    y, rows = r[:, 0].astype(float), np.hstack([x, np.ones((N, 1))])
    found = linprog(
        np.append(np.zeros(P + 1), np.full(N, 1 / N)),
        A_ub=np.vstack([np.hstack([rows, -np.eye(N)]), np.hstack([-rows, -np.eye(N)])]),
        b_ub=np.append(y, -y),
        bounds=[(None, None)] * (P + 1) + [(0, None)] * N,
    )
    assert found.fun - 1e-9 <= objective(x, y, *solved(x, r, 1.0, 0.0), 1.0, 0.0) <= found.fun + ABOVE * y.std()


@pytest.mark.parametrize("ridge", [1e-4, 0.1, 10.0])
@pytest.mark.parametrize("signs", [False, True])
def test_l1_with_a_ridge_is_as_good_as_a_quadratic_program(signs: bool, ridge: float) -> None:
    x, r = data(signs)
    y = r[:, 0].astype(float)
    strength = ridge / (2 * y.std())

    def dual(a: np.ndarray) -> tuple[float, np.ndarray]:  # min over |a| <= 1, sum a = 0, of |x'a|^2/(4 k N^2) - a'r/N
        moment = x.T @ a / N
        return float(moment @ moment / (4 * strength) - a @ y / N), x @ moment / (2 * strength * N) - y / N

    sum_to_0 = {"type": "eq", "fun": np.sum, "jac": np.ones_like}
    options = {"maxiter": 2000, "ftol": 1e-12}
    best = minimize(
        dual, np.zeros(N), jac=True, bounds=[(-1, 1)] * N, constraints=[sum_to_0], method="SLSQP", options=options
    )
    reached = objective(x, y, *solved(x, r, 1.0, ridge), 1.0, ridge)
    assert -1e-6 <= reached + best.fun <= ABOVE * y.std()  # strong duality: the minimum is -best.fun


@pytest.mark.parametrize("power", [1.5, 4.0])
@pytest.mark.parametrize("ridge", [0.0, 0.1])
def test_other_powers_have_no_slope_left(power: float, ridge: float) -> None:
    x, r = data()
    b, c = solved(x, r, power, ridge)
    y = r[:, 0].astype(float)
    left, size = y - x @ b - c, float(y.std())
    slope = power * np.sign(left) * np.abs(left) ** (power - 1)
    gradient = np.append(power * size ** (power - 2) * ridge * b - x.T @ slope / N, -slope.mean())
    start = y - y.mean()
    at_start = power * np.abs(x.T @ (np.sign(start) * np.abs(start) ** (power - 1))).max() / N
    assert np.abs(gradient).max() <= 1e-3 * at_start


def test_the_power_2_is_ridge_regression() -> None:
    x, r = data()
    u = RidgeBasis.fit(x, 0.1).basis(x)
    np.testing.assert_allclose(
        PowerHeadLearner(2.0).fit(u, r, 0).predict(u), HeadLearner().fit(u, r, 0).predict(u), atol=1e-4
    )


@pytest.mark.parametrize("power", [1.0, 1.5, 4.0])
def test_a_residual_of_another_size_gives_the_same_fit_resized(power: float) -> None:
    x, r = data()
    u = RidgeBasis.fit(x, 0.1).basis(x)
    once = PowerHeadLearner(power).fit(u, r, 0).predict(u)
    resized = PowerHeadLearner(power).fit(u, np.float32(1024) * r, 0).predict(u)
    np.testing.assert_allclose(resized, 1024 * once, rtol=1e-6)


def test_a_constant_residual_is_fitted_by_the_intercept() -> None:
    u = RidgeBasis.fit(data()[0], 0.1).basis(data()[0])
    np.testing.assert_allclose(PowerHeadLearner(1.0).fit(u, np.full((N, 2), 0.5, np.float32), 0).predict(u), 0.5)


def test_values_of_a_fold_have_not_seen_its_rows() -> None:
    x, r = data()
    u, folds = RidgeBasis.fit(x, 0.1).basis(x), np.arange(N) % 5
    before = cross_fit(PowerHeadLearner(1.0), u, r, 0, folds).values
    r[folds == 2] += 100
    after = cross_fit(PowerHeadLearner(1.0), u, r, 0, folds).values
    np.testing.assert_array_equal(after[folds == 2], before[folds == 2])
    assert not np.array_equal(after, before)


@pytest.mark.parametrize("loss", sorted(POWERS))
@pytest.mark.parametrize("features", ["standardized", "auto"])
def test_every_local_loss_takes_the_default_ridge(loss: str, features: str) -> None:
    rng = np.random.default_rng(0)
    x = rng.standard_normal((N, P))
    r = (x[:, :1] + 0.5 * rng.standard_normal((N, 1))).astype(np.float32)
    learner = make_learner(LearnerSettings(loss=loss, features=features), Path())
    values = cross_fit(learner, x, r, 0, np.arange(N) % 5).values
    assert np.mean(np.abs(r - values)) < 0.95 * np.mean(np.abs(r - r.mean()))
