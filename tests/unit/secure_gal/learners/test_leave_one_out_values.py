"""Leave-one-out values in closed form are those of refits, and stay bounded where a row explains itself."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from secure_gal.learners.cross_fit import LEAVE_ONE_OUT, cross_fit
from secure_gal.learners.linear import LinearLearner
from secure_gal.learners.ridge import (
    MAX_LEVERAGE,
    MOST_FREEDOM,
    HeadLearner,
    RidgeBasis,
    leave_one_out,
    leave_one_out_scales,
    leverage_of,
)

Array = np.ndarray[Any, np.dtype[Any]]
N = 60


def data(rows: int = N, columns: int = 4, seed: int = 0) -> tuple[Array, Array]:
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((rows, columns)) + 3.0
    return x, (np.sin(x[:, :2]) + rng.standard_normal((rows, 2))).astype(np.float32)


def ridge_by_hand(x: Array, r: Array, penalty: float) -> Array:
    """Coefficients (p + 1, K) of |r - x b - c|^2 + penalty |b|^2, the intercept last and free."""
    design = np.column_stack([x, np.ones(len(x))])
    shrink = np.diag([penalty] * x.shape[1] + [0.0])
    return np.linalg.solve(design.T @ design + shrink, design.T @ r.astype(np.float64))


def refits(x: Array, r: Array, penalty: float) -> Array:
    """Each row's value from a fit to all others, by brute force."""
    found = []
    for i in range(len(x)):
        others = np.arange(len(x)) != i
        found.append(np.append(x[i], 1.0) @ ridge_by_hand(x[others], r[others], penalty))
    return np.array(found)


@pytest.mark.parametrize("ridge", [0.0, 1e-4, 0.3])
def test_linear_values_are_those_of_brute_force_refits(ridge: float) -> None:
    x, r = data()
    found = cross_fit(LinearLearner(ridge), x, r, 0, np.zeros(N, dtype=np.int64))
    assert found.how == LEAVE_ONE_OUT
    np.testing.assert_allclose(found.values, refits(x, r, N * ridge), atol=1e-9, rtol=0)


def test_values_of_a_head_are_those_of_brute_force_refits() -> None:
    x, r = data()
    basis = RidgeBasis.fit(x, 0.2)
    found = cross_fit(HeadLearner(), basis.basis(x), r, 0, np.zeros(N, dtype=np.int64))
    np.testing.assert_allclose(found.values, refits(x, r, N * 0.2), atol=1e-9, rtol=0)


def test_the_model_for_new_rows_is_the_full_fit() -> None:
    x, r = data()
    learner = LinearLearner(0.1)
    found = cross_fit(learner, x, r, 0, np.zeros(N, dtype=np.int64))
    np.testing.assert_array_equal(found.model.predict(x), learner.fit(x, r, 0).predict(x))


def test_a_kept_factorisation_gives_the_values_of_a_fresh_one() -> None:
    x, r = data()
    kept, (other, q) = LinearLearner(), data(seed=1)
    for rows, residual in ((x, r), (x, q), (other, r), (x, r)):
        again = cross_fit(kept, rows, residual, 0, np.zeros(N, dtype=np.int64))
        fresh = cross_fit(LinearLearner(), rows, residual, 0, np.zeros(N, dtype=np.int64))
        np.testing.assert_array_equal(again.values, fresh.values)


@pytest.mark.parametrize("learner", ["linear", "head"])
def test_no_value_depends_on_its_own_residual_even_where_leverage_is_clipped(learner: str) -> None:
    x, r = data()
    x[7] += 1e4  # of leverage 1 within rounding
    changed = r.copy()
    changed[7] += 50
    values = []
    for residual in (r, changed):
        if learner == "linear":
            found = cross_fit(LinearLearner(0.0), x, residual, 0, np.zeros(N, dtype=np.int64))
        else:
            u = RidgeBasis.fit(x, 0.0).basis(x)
            assert leverage_of(u)[7] > MAX_LEVERAGE
            found = cross_fit(HeadLearner(), u, residual, 0, np.zeros(N, dtype=np.int64))
        values.append(found.values)
    np.testing.assert_allclose(values[0][7], values[1][7], atol=1e-6)
    others = np.arange(N) != 7
    assert np.abs(values[0] - values[1])[others].max() > 1e-3, "the check can fail"


def test_scales_are_bounded_and_exact_below_the_bound() -> None:
    h = np.array([0.0, 0.5, MAX_LEVERAGE, 0.99, 1.0])
    a, b = leave_one_out_scales(h)
    np.testing.assert_allclose(a[:3], 1 / (1 - h[:3]))
    assert a.max() <= 1 / (1 - MAX_LEVERAGE) * (1 + 1e-12)
    np.testing.assert_allclose(b, h * a)
    flat = np.ones((5, 1), dtype=np.float32)
    found = leave_one_out(LinearLearner().fit(flat, flat, 0), np.ones((5, 1)), flat, (a, b))
    assert found.values[4] == 0.0, "a row that explains itself says nothing"


@pytest.mark.parametrize("columns", [58, 300])
def test_more_columns_than_rows_leave_rows_that_can_be_left_out(columns: int) -> None:
    x, r = data(columns=columns)
    basis = RidgeBasis.fit(x, 1e-4)
    assert basis.freedom + 1 == pytest.approx(MOST_FREEDOM * N)
    found = cross_fit(LinearLearner(1e-4), x, r, 0, np.zeros(N, dtype=np.int64))
    head = cross_fit(HeadLearner(), basis.basis(x), r, 0, np.zeros(N, dtype=np.int64))
    np.testing.assert_allclose(found.values, head.values, atol=1e-6)
    assert np.abs(found.model.predict(x) - r).max() > 1e-2, "no longer explained whole"
    assert RidgeBasis.fit(x[:, :20], 1e-4).ridge == 1e-4, "a ridge that leaves less is as it was asked for"
