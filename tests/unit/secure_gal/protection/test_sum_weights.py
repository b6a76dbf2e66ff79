"""Weights under the constraint that two assistors take part: exact, against a brute-force search."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import minimize

from secure_gal.gal.coefficients import min_norm_point
from secure_gal.protection.sums.weights import STEP, W_MIN, constrained_weights, uniform_weights, weights_problem


def gram(seed: int, size: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    d = rng.standard_normal((40, size)) * rng.uniform(0.1, 2.0, size)
    return d.T @ d


def best_by_search(h: np.ndarray, assistors: list[int]) -> float:
    """SLSQP from the middle of every pair's feasible set."""
    found = np.inf
    for a, i in enumerate(assistors):
        for j in assistors[:a]:
            low = np.zeros(len(h))
            low[[i, j]] = W_MIN
            result = minimize(
                lambda w: w @ h @ w,
                np.full(len(h), 1 / len(h)),
                jac=lambda w: 2 * h @ w,
                method="SLSQP",
                bounds=[(x, 1) for x in low],
                constraints=[{"type": "eq", "fun": lambda w: w.sum() - 1}],
                options={"ftol": 1e-14, "maxiter": 500},
            )
            found = min(found, float(result.fun))
    return found


@pytest.mark.parametrize("seed", range(20))
def test_exact_against_a_search(seed: int) -> None:
    size = 3 + seed % 3
    h, assistors = gram(seed, size), list(range(1, size))
    w = constrained_weights(h, assistors)
    assert w @ h @ w <= best_by_search(h, assistors) * (1 + 1e-5)
    assert weights_problem(w[1:], uniform=False) == "" and abs(w.sum() - 1) <= size * STEP


def test_the_constraint_bites_and_only_where_it_must() -> None:
    h = np.diag([1.0, 1e-4, 50.0])
    free = min_norm_point(h)
    assert free[2] < W_MIN, "without the constraint one assistor would stand alone"
    assert constrained_weights(h, [1, 2])[2] == pytest.approx(W_MIN, abs=STEP)
    balanced = np.diag([1.0, 1.0, 1.0])
    assert np.allclose(constrained_weights(balanced, [1, 2]), min_norm_point(balanced), atol=STEP)


def test_a_useless_pair_of_assistors_still_takes_part() -> None:
    w = constrained_weights(np.diag([1e-6, 9.0, 8.0]), [1, 2])
    assert np.allclose(w, [1 - 2 * W_MIN, W_MIN, W_MIN], atol=2 * STEP)


def test_uniform() -> None:
    assert weights_problem(uniform_weights(30)[1:], uniform=True) == ""
    assert "at least two" in weights_problem(uniform_weights(30)[1:], uniform=False)
    assert "the same" in weights_problem(np.array([0.5, 0.25]), uniform=True)
    assert "the same" in weights_problem(np.zeros(2), uniform=True)
