"""Ridge heads on features: the basis is ridge regression, saved models hold no rows, and memory stays by the block."""

from __future__ import annotations

import tracemalloc

import msgspec
import numpy as np
import pytest
from sklearn.linear_model import Ridge

from secure_gal import GAL
from secure_gal.features import fit_features
from secure_gal.features.base import BLOCK_ROWS
from secure_gal.features.encoded import RidgeFeatures
from secure_gal.holdings.local import LocalParty
from secure_gal.learners import encryptable, make_learner, ridge_features, storage
from secure_gal.learners.kinds.linear import ridge_strength
from secure_gal.learners.linear import LinearLearner
from secure_gal.learners.ridge import FREEDOM, HeadLearner, RidgeBasis
from secure_gal.settings.party import LearnerSettings
from tests.support.feature_rows import HERE, residual, rows

# --- the basis --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("ridge", [1e-4, 0.3, 5.0])
def test_two_products_are_ridge_regression_with_a_free_intercept(ridge: float) -> None:
    phi, new, r = rows() + 7.0, rows(50, seed=5) + 7.0, residual() + np.float32(0.5)
    basis = RidgeBasis.fit(phi, ridge)
    expected = Ridge(alpha=ridge * len(phi), solver="svd").fit(phi, r.astype(float))
    g = basis.basis(phi).T @ r.astype(float)
    np.testing.assert_allclose(basis.basis(phi) @ g, expected.predict(phi), atol=1e-9)
    np.testing.assert_allclose(basis.basis(new) @ g, expected.predict(new), atol=1e-9)


def test_the_linear_learner_and_the_head_agree() -> None:
    phi, r = rows(), residual()
    linear = LinearLearner(ridge=1e-4).fit(phi, r, 0).predict(phi)
    u = RidgeBasis.fit(phi, 1e-4).basis(phi, clip=True)
    np.testing.assert_allclose(HeadLearner().fit(u, r, 0).predict(u), linear, atol=1e-10)


@pytest.mark.parametrize("ridge", [0.0, 1e-4, "auto"])
def test_dependent_and_constant_columns_do_no_harm(ridge: float | str) -> None:
    phi, r = rows(), residual()
    doubled = np.hstack([phi, phi[:, :2] @ np.ones((2, 3)), np.full((len(phi), 1), 3.0)])
    basis = RidgeBasis.fit(doubled, ridge)
    u = basis.basis(doubled)
    assert basis.width <= np.linalg.matrix_rank(doubled - doubled.mean(axis=0)) + 1
    assert np.isfinite(u).all()
    if ridge == 0.0:
        design = np.column_stack([np.ones(len(phi)), phi])
        fitted = design @ np.linalg.lstsq(design, r.astype(float), rcond=None)[0]
        np.testing.assert_allclose(u @ (u.T @ r), fitted, atol=1e-8)


def test_only_an_intercept_is_left_of_constant_features() -> None:
    r = residual()
    basis = RidgeBasis.fit(np.ones((400, 3)), "auto")
    u = basis.basis(np.ones((400, 3)))
    assert basis.width == 1
    np.testing.assert_allclose(u @ (u.T @ r), np.tile(r.mean(axis=0, dtype=float), (400, 1)), atol=1e-12)


def test_training_rows_have_norm_at_most_one_and_outliers_are_clipped() -> None:
    phi = rows(12)  # so few rows that leverages come close to 1
    basis = RidgeBasis.fit(phi, 0.0)
    norms = np.linalg.norm(basis.basis(phi), axis=1)
    assert norms.max() <= 1 + 1e-12
    assert norms.max() > 0.8
    far = phi.copy()
    far[0, 0] = 1e4
    free, clipped = basis.basis(far), basis.basis(far, clip=True)
    assert np.linalg.norm(free[0]) > 1
    np.testing.assert_allclose(np.linalg.norm(clipped[0]), 1.0)
    np.testing.assert_allclose(clipped[0] * np.linalg.norm(free[0]), free[0])
    assert (clipped[1:] == free[1:]).all()


def test_blocks_of_rows_give_the_same_basis() -> None:
    phi = rows(1000) * 1e-3 + 1e3  # a mean a million deviations away: sums of squares would cancel
    whole, parts = RidgeBasis.fit(phi, 1e-7), RidgeBasis.fit((phi[i : i + 170] for i in range(0, 1000, 170)), 1e-7)
    one, other = whole.basis(phi), parts.basis(phi)
    np.testing.assert_allclose(one @ one.T, other @ other.T, atol=1e-8)


def test_auto_ridge_aims_at_its_degrees_of_freedom_whatever_the_scale() -> None:
    phi = np.random.default_rng(0).normal(size=(3000, 200)) * np.linspace(1, 0.1, 200)
    basis, scaled = RidgeBasis.fit(phi, "auto"), RidgeBasis.fit(1000 * phi, "auto")
    exact = RidgeBasis.fit(phi, basis.ridge)
    assert exact.freedom == pytest.approx(FREEDOM * 3000 ** (2 / 3), rel=1e-6)
    assert np.sum(exact.basis(phi) ** 2) == pytest.approx(exact.freedom + 1)
    assert basis.width in (32, 64, 128, 256)
    np.testing.assert_allclose(basis.basis(phi), scaled.basis(1000 * phi), atol=1e-9)


def test_auto_ridge_on_few_columns_is_next_to_none() -> None:
    assert RidgeBasis.fit(np.random.default_rng(0).normal(size=(5000, 3)), "auto").ridge == pytest.approx(1e-4, rel=0.1)


# --- as a learner -----------------------------------------------------------------------------------------------------


def test_one_name_or_a_list_in_the_party_file() -> None:
    for raw in ({"features": "auto"}, {"features": ["auto"]}):
        assert msgspec.convert(raw, LearnerSettings).maps == ("auto",)
    assert LearnerSettings().maps == ("standardized",)


def test_the_default_learner_is_the_plain_one() -> None:
    assert isinstance(make_learner(LearnerSettings(), HERE), LinearLearner)
    assert ridge_strength(LearnerSettings()) == 1e-4
    assert ridge_strength(LearnerSettings(features="auto")) == "auto"
    assert ridge_strength(LearnerSettings(features="auto", options={"ridge": 1})) == 1.0


def test_which_learners_can_be_fitted_on_ciphertexts() -> None:
    for good in (LearnerSettings(), LearnerSettings(features=("fourier", "trees")), LearnerSettings(loss="l2")):
        assert encryptable(good) == ""
    for kind in ("gb", "mlp", "svm", "python:my:model"):
        why = encryptable(LearnerSettings(kind=kind))
        for alternative in ("label-free features", "privatised once", "clear residuals"):
            assert alternative in why
    assert "'l1'" in encryptable(LearnerSettings(loss="l1"))


def test_auto_leaves_more_freedom_for_several_outputs() -> None:
    phi = np.random.default_rng(0).standard_normal((3000, 200)) * 0.9 ** np.arange(200)
    freedoms = [RidgeBasis.fit(phi, "auto", outputs).freedom for outputs in (1, 3, 4, 68)]
    assert np.array(freedoms) / freedoms[0] == pytest.approx([1, 3, 4, 4], rel=0.01)


def test_a_clear_study_of_one_output_does_what_the_encrypted_one_will() -> None:
    x, r, settings = rows(), residual()[:, :1], LearnerSettings(features=("standardized", "fourier"))
    train = np.arange(400) % 5 > 0
    party = LocalParty("lab", x, train, make_learner(settings, HERE, seed=8), seed=0)
    u = ridge_features(settings, x[train], HERE, seed=8).transform(x)
    expected = (u @ (u[train].T @ r[train].astype(np.float64))).astype(np.float32)
    model, fitted = party.fit_round(1, r[train])
    np.testing.assert_allclose(fitted, expected, atol=1e-6)
    np.testing.assert_allclose(storage.load(storage.dump(model)).predict(x), fitted, atol=1e-6)


def test_a_resumed_party_fits_the_same_bits() -> None:
    x, settings = rows(), LearnerSettings(features="auto")
    went_on, resumed = (LocalParty("lab", x, np.ones(400, bool), make_learner(settings, HERE, seed=1), 0) for _ in "ab")
    went_on.fit_round(1, residual(seed=1))
    assert went_on.fit_round(2, residual(seed=2))[1].tobytes() == resumed.fit_round(2, residual(seed=2))[1].tobytes()


def test_a_saved_model_holds_no_rows() -> None:
    x = rows(20_000)
    learner = make_learner(LearnerSettings(features="standardized", options={"ridge": "auto"}), HERE)
    model = learner.fit(x, residual(20_000, 1), 0)
    model.predict(x)
    assert len(storage.dump(model)) < 10_000


def test_other_losses_fit_on_features_too() -> None:
    x = rows(200)
    learner = make_learner(LearnerSettings(features="polynomial", loss="l1.5", options={"ridge": 1e-4}), HERE)
    product = (x[:, 0] * x[:, 1]).astype(np.float32)[:, None]
    fitted = learner.fit(x, product, 0).predict(x)
    assert np.mean((fitted - product) ** 2) < 0.01 * product.var()


def test_features_help_a_whole_study() -> None:
    rng = np.random.default_rng(3)
    x = rng.normal(size=(1500, 6))
    y = (np.cos(2 * x[:, 0]) + x[:, 3] * x[:, 4] + 0.3 * rng.normal(size=1500) > 0.2).astype(int)
    blocks = [x[:, :3], x[:, 3:]]
    scores = {}
    for features in ("standardized", "auto"):
        model = GAL(rounds=6, learners=LearnerSettings(features=features)).fit([b[:1000] for b in blocks], y[:1000])
        scores[features] = float(np.mean(model.predict([b[1000:] for b in blocks]) == y[1000:]))
    assert scores["auto"] > 0.75 > 0.65 > scores["standardized"]


def test_memory_stays_by_the_block() -> None:
    x = rows(5 * BLOCK_ROWS)
    names = ("standardized", "fourier")
    width = fit_features(names, x[:500], HERE, 0).width
    tracemalloc.start()
    RidgeFeatures.fit(names, "auto", x, HERE, 0)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 0.75 * len(x) * width * 8  # Phi is never there as a whole
