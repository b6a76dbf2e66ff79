"""Losses poisson, gamma and quantile: gradient, F^0, convexity, exact line search, coding of targets, refusals."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.optimize import minimize_scalar

from secure_gal import GAL
from secure_gal.data.log_codec import fit_codec
from secure_gal.errors import DataError, SettingsError
from secure_gal.gal.coefficients import line_search
from secure_gal.gal.ensemble import Ensemble
from secure_gal.gal.losses import get_loss
from secure_gal.labels.residual_rules import residual_problem
from secure_gal.settings.checks import check_study
from secure_gal.settings.study import Protect, Study
from tests.support.study_in_memory import study

CASES = [("poisson", 0.5), ("gamma", 0.5), ("quantile", 0.1), ("quantile", 0.5), ("quantile", 0.8)]
N = 41
ALL = np.ones(N, dtype=np.bool_)


def problem(name: str, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    y = rng.poisson(2.0, (N, 1)).astype(float) if name == "poisson" else rng.exponential(2.0, (N, 1))
    return y, 0.5 * rng.standard_normal((N, 1)), rng.standard_normal((N, 1))


@pytest.mark.parametrize(("name", "level"), CASES)
def test_the_residual_is_minus_the_gradient(name: str, level: float) -> None:
    y, f, _ = problem(name)
    loss, step = get_loss(name, 1, level), 1e-6
    difference = (loss.of_rows(y, f + step) - loss.of_rows(y, f - step)) / (2 * step)
    np.testing.assert_allclose(loss.residual(y, f)[:, 0], -difference, atol=1e-6)


@pytest.mark.parametrize(("name", "level"), CASES)
def test_f0_is_the_best_constant(name: str, level: float) -> None:
    y, _, _ = problem(name)
    loss = get_loss(name, 1, level)
    best = minimize_scalar(lambda c: loss.value(y, np.full((N, 1), c)), bounds=(-5, 10), method="bounded")
    assert loss.value(y, np.tile(loss.initial(y), (N, 1))) <= best.fun + 1e-12


@pytest.mark.parametrize(("name", "level"), CASES)
def test_the_loss_is_convex(name: str, level: float) -> None:
    y, f, g = problem(name)
    loss = get_loss(name, 1, level)
    middle, ends = loss.of_rows(y, f + 0.5 * g), loss.of_rows(y, f) + loss.of_rows(y, f + g)
    assert (middle <= 0.5 * ends + 1e-12).all()


@pytest.mark.parametrize(("name", "level"), CASES)
@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_the_line_search_is_exact(name: str, level: float, sign: float) -> None:
    y, f, g = problem(name)
    loss = get_loss(name, 1, level)
    g = sign * (loss.residual(y, f) + 0.3 * g)
    found = line_search(loss, y, f, g)
    best = minimize_scalar(lambda eta: loss.value(y, f + eta * g), bracket=(-1, 1), tol=1e-12)
    assert found.attained and np.sign(found.eta) == sign
    assert loss.value(y, f + found.eta * g) <= best.fun + 1e-9


def test_a_step_far_too_long_stays_finite() -> None:
    y, g = np.ones((4, 1)), np.array([[1e6], [-1e6], [1e6], [1e-3]])
    for name in ("poisson", "gamma"):
        assert np.isfinite(line_search(get_loss(name, 1), y, np.zeros((4, 1)), g).eta)


@pytest.mark.parametrize(("loss", "factor"), [("poisson", 1000.0), ("gamma", 1e-3)])
def test_targets_are_divided_by_their_mean_and_predicted_in_their_unit(loss: Any, factor: float) -> None:
    y = (factor * np.array([1.0, 2.0, 3.0, 6.0])).tolist()
    codec = fit_codec("regression", loss, y, np.array([True, True, True, False]))
    coded = codec.encode(y)
    np.testing.assert_allclose(coded[:, 0], [0.5, 1.0, 1.5, 3.0])
    assert [float(v) for v in codec.decode(np.log(coded))] == pytest.approx(y)


@pytest.mark.parametrize(
    ("loss", "value", "accepted"),
    [("poisson", -1.0, "0 or more"), ("gamma", 0.0, "above 0"), ("gamma", -2.0, "above 0")],
)
def test_a_target_without_a_value_of_the_loss_is_refused_with_its_row(loss: Any, value: float, accepted: str) -> None:
    with pytest.raises(DataError, match=f"must be {accepted}; row 3 has {value}"):
        fit_codec("regression", loss, [1.0, 2.0, value], np.ones(3, dtype=np.bool_))


def test_counts_may_be_0_under_poisson() -> None:
    assert fit_codec("regression", "poisson", [0, 1, 2], np.ones(3, dtype=np.bool_)).scale == 1.0


@pytest.mark.parametrize(("name", "level"), CASES)
@pytest.mark.parametrize("weights", ["fitted", "paper"])
def test_a_study_learns(name: str, level: float, weights: str) -> None:
    rng = np.random.default_rng(1)
    x = [rng.standard_normal((300, 3)) for _ in range(2)]
    mean = np.exp(1.0 + 0.5 * x[0][:, 0] - 0.4 * x[1][:, 1])
    y = {"poisson": rng.poisson(mean).astype(float), "gamma": rng.gamma(3.0, mean / 3.0)}.get(
        name, np.log(mean) + rng.exponential(1.0, 300)
    )
    made = GAL("regression", name, weights=weights, quantile_level=level).fit([b[:200] for b in x], y[:200])
    predicted = made.predict([b[200:] for b in x])
    if name == "quantile":
        assert np.mean(y[200:] < predicted) == pytest.approx(level, abs=0.15)
    else:
        assert predicted.min() > 0
        assert np.mean((np.log(predicted) - np.log(mean[200:])) ** 2) < 0.3 * np.log(mean[200:]).var()


# what assistors hold residuals against


@pytest.mark.parametrize(("name", "level"), CASES)
@pytest.mark.parametrize("common", [True, False])
def test_no_honest_residual_is_refused(name: Any, level: float, common: bool) -> None:
    settings = study(loss=name, quantile_level=level, rows="common" if common else "sponsor")
    for seed in range(20):
        rng = np.random.default_rng(seed)
        y = problem(name, seed)[0][:, 0].tolist()
        coded = fit_codec("regression", name, y, ALL).encode(y)
        made = Ensemble(get_loss(name, 1, level), coded, ALL, "regression", ("a",), "fitted", "search", 9, 9, "l2")
        held = ALL if common else rng.random(N) < 0.6
        for round_ in range(1, 4):
            assert residual_problem(settings, round_, made.residual()[held]) == ""
            made.commit({"a": (made.residual() + rng.standard_normal((N, 1)).astype(np.float32)) / 2})


@pytest.mark.parametrize(
    ("more", "round_", "values", "problem_"),
    [
        ({"loss": "quantile", "quantile_level": 0.8}, 2, [0.8, -0.2, 0.3, 0.0], "a value other than 0.8, -0.2 and 0"),
        ({"loss": "quantile", "quantile_level": 0.8}, 1, [0.8, 0.8, -0.2, -0.2], "rows on the wrong side"),
        ({"loss": "gamma"}, 2, [-1.5, 3.0, 0.0, 0.0], "a value below -1"),
        ({"loss": "poisson"}, 1, [-1.5, 1.5, 0.0, 0.0], "a value below -1"),
        ({"loss": "poisson"}, 1, [1.0, 0.0, 0.0, 0.0], "a mean other than 0"),
        ({"loss": "gamma"}, 1, [1.0, 0.0, 0.0, 0.0], "a mean other than 0"),
    ],
)
def test_a_crafted_residual_is_refused(more: dict[str, Any], round_: int, values: list[float], problem_: str) -> None:
    assert residual_problem(study(**more), round_, np.array(values, dtype=np.float32)[:, None]) == problem_


# settings


@pytest.mark.parametrize("loss", ["quantile", "poisson", "gamma"])
@pytest.mark.parametrize("kind", ["dp", "ip"])
def test_released_labels_take_none_of_them(loss: Any, kind: Any) -> None:
    protect = Protect(residuals=kind, epsilon=1.0 if kind == "dp" else None, label_range=(0.0, 4.0))
    with pytest.raises(SettingsError, match="releases are corrected for these losses only"):
        check_study(study(loss=loss, protect=protect), Path("study.toml"))


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"loss": "quantile", "quantile_level": 0.0}, "0.001 to 0.999"),
        ({"loss": "l2", "quantile_level": 0.8}, 'nothing, unless loss = "quantile"'),
        ({"loss": "poisson", "task": "classification"}, "cross_entropy for task 'classification'"),
    ],
)
def test_settings_that_do_not_go_together_are_refused(more: dict[str, Any], message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        check_study(study(**more), Path("study.toml"))


def test_the_level_is_covered_by_the_digest_only_where_it_is_set() -> None:
    cards = dict.fromkeys(study().parties, "f" * 64)
    plain: Study = study(loss="quantile")
    assert b"quantile_level" not in plain.canonical(cards)
    assert study(loss="quantile", quantile_level=0.8).digest(cards) != plain.digest(cards)
