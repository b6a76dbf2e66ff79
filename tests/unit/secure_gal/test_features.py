"""Label-free features and ridge heads: the basis is ridge regression, maps are deterministic, nothing sees a label."""

from __future__ import annotations

import tracemalloc
from pathlib import Path

import msgspec
import numpy as np
import polars as pl
import pytest
from sklearn.linear_model import Ridge

from secure_gal import GAL
from secure_gal.errors import SettingsError
from secure_gal.features import fit_features
from secure_gal.features.auto import FEW_ROWS
from secure_gal.features.base import BLOCK_ROWS, MAX_WIDTH
from secure_gal.features.declare import KINDS
from secure_gal.features.encoded import RidgeFeatures
from secure_gal.features.ranks import Ranks
from secure_gal.holdings.local import LocalParty
from secure_gal.holdings.party import AssistorData
from secure_gal.learners import encryptable, make_learner, ridge_features, storage
from secure_gal.learners.kinds.linear import ridge_strength
from secure_gal.learners.linear import LinearLearner
from secure_gal.learners.ridge import FREEDOM, HeadLearner, RidgeBasis
from secure_gal.settings.party import DataSettings, LearnerSettings, PartySettings
from tests.support.study_in_memory import study

HERE = Path(".")


def rows(n: int = 400, seed: int = 0) -> np.ndarray:
    """Four numbers, one of them with most rows at one value, and a flag."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, 5))
    x[:, 3] = np.where(rng.random(n) < 0.8, 0.0, rng.exponential(size=n))
    x[:, 4] = rng.random(n) < 0.3
    return x


def residual(n: int = 400, k: int = 2, seed: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(n, k)).astype(np.float32)


# --- the basis ---------------------------------------------------------------------------------------------------


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


# --- the maps ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("names", [*((name,) for name in KINDS.names()), ("standardized", "binned", "trees")])
def test_a_map_is_deterministic_saved_and_row_by_row(names: tuple[str, ...]) -> None:
    x, new = rows(), rows(60, seed=9) * 3
    one, same = (fit_features(names, x, HERE, seed=4) for _ in range(2))
    phi = one.transform(new)
    assert phi.shape == (60, one.width)
    assert phi.dtype == np.float64
    assert np.isfinite(phi).all()
    assert phi.tobytes() == same.transform(new).tobytes()
    exact = (
        1e-4 if names == ("encoder",) else 1e-12
    )  # a network computes in float32, in another order for other batches
    np.testing.assert_allclose(
        storage.load(storage.dump(one)).transform(new[:7]), phi[:7], rtol=max(exact, 1e-7), atol=exact
    )
    assert one.description == same.description != ""


@pytest.mark.parametrize("name", ["fourier", "trees"])
def test_another_seed_draws_other_features(name: str) -> None:
    x = rows()
    assert not np.array_equal(*(fit_features((name,), x, HERE, seed).transform(x)[:, :100] for seed in (0, 1)))


def test_ranks_spread_out_what_one_common_value_would_squeeze() -> None:
    x = rows(2000)
    z = Ranks.fit(x)(x)
    np.testing.assert_allclose(z.mean(axis=0), 0, atol=1e-9)
    np.testing.assert_allclose(z.std(axis=0), 1, atol=1e-9)
    assert (np.diff(z[np.argsort(x[:, 0]), 0]) >= 0).all()
    tail = z[x[:, 3] > 0, 3]
    assert np.ptp(tail) > 0.5 * np.ptp(z[:, 3])  # by rows alone it would be 0.2: only every fifth row is there
    assert not Ranks.fit(x).many[4]
    extreme = Ranks.fit(x)(np.array([[1e9, -1e9, 0, 1e9, 7.0]]))
    assert (np.abs(extreme) < 5).all()


def test_bins_are_one_hot_and_none_is_empty() -> None:
    x = rows()
    phi = fit_features(("binned",), x, HERE, 0).transform(x)
    bins = phi[:, 1:]  # the flag comes first
    assert set(np.unique(bins)) == {0.0, 1.0}
    assert (bins.sum(axis=1) == 4).all()
    assert (bins.sum(axis=0) > 0).all()


def test_polynomial_holds_every_pair_and_no_square_of_a_flag() -> None:
    x = np.clip(rows(), -5, 5)
    phi = fit_features(("polynomial",), x, HERE, 0).transform(x)
    assert phi.shape[1] == 5 + 10 + 4
    for i in range(5):
        for j in range(i, 5):
            found = (np.abs(phi[:, 5:] - (x[:, i] * x[:, j])[:, None]).max(axis=0) < 1e-12).any()
            assert found == (not i == j == 4)


def test_fourier_features_reach_an_interaction_that_columns_cannot() -> None:
    x = np.random.default_rng(0).normal(size=(3000, 4))
    y = np.sign(x[:, 0] * x[:, 1])
    errors = {}
    for names in (("standardized",), ("auto",)):
        features = RidgeFeatures.fit(names, 1e-3, x[:2000], HERE, seed=0)
        u, new = features.transform(x[:2000]), features.transform(x[2000:])
        errors[names[0]] = float(np.mean((y[2000:] - new @ (u.T @ y[:2000])) ** 2))
    assert errors["standardized"] > 0.95
    assert errors["auto"] < 0.7


# --- users' own --------------------------------------------------------------------------------------------------

MODULE = """
import numpy as np
import torch
from sklearn.decomposition import PCA

def pca():
    return PCA(n_components=2, svd_solver="randomized")

def encoder():
    return torch.nn.Sequential(torch.nn.Linear(5, 7), torch.nn.ReLU(), torch.nn.Dropout(0.5))

class Bad:
    def fit(self, x):
        return self
    def transform(self, x):
        return np.full((len(x), 2), np.nan)

def number():
    return 3
"""


def test_users_own_transformers_and_frozen_modules(tmp_path: Path) -> None:
    (tmp_path / "own_maps_for_test.py").write_text(MODULE)
    x = rows()
    for factory, width in (("pca", 2), ("encoder", 7)):
        names = ("standardized", f"python:own_maps_for_test:{factory}")
        one, same = (fit_features(names, x, tmp_path, 3) for _ in range(2))
        assert one.width == 5 + width
        assert one.transform(x).tobytes() == same.transform(x).tobytes()
    for factory, message in (("Bad", "infinite values or nan"), ("number", "expected a transformer")):
        with pytest.raises(SettingsError, match=message):
            fit_features((f"python:own_maps_for_test:{factory}",), x, tmp_path, 0)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (LearnerSettings(features=("fourrier",)), "accepted: auto, binned, encoder"),
        (LearnerSettings(features=()), "one or more different names"),
        (LearnerSettings(features=("trees", "trees")), "one or more different names"),
        (LearnerSettings(features=("auto", "trees")), "chooses alone"),
        (LearnerSettings(features="python:nothing_there:x"), "cannot be imported"),
        (LearnerSettings(features="python:json:nothing"), "no function or class"),
        (LearnerSettings(options={"ridge": "strong"}), '0 or more, or "auto"'),
        (LearnerSettings(options={"ridge": float("inf")}), "0 or more"),
    ],
)
def test_what_cannot_be_used_is_refused_before_any_data(settings: LearnerSettings, message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        make_learner(settings, HERE)


def test_too_wide_names_the_fix() -> None:
    with pytest.raises(SettingsError, match="more than 4095; drop a map"):
        fit_features(("standardized", "polynomial"), np.random.default_rng(0).normal(size=(50, 100)), HERE, 0)
    wide = np.random.default_rng(0).normal(size=(FEW_ROWS, MAX_WIDTH + 1))
    assert fit_features(("auto",), wide[:, :MAX_WIDTH], HERE, 0).width == MAX_WIDTH  # auto leaves the curves out
    for name in ("auto", "standardized"):
        with pytest.raises(SettingsError, match="leave out columns"):
            fit_features((name,), wide, HERE, 0)


def test_auto_draws_no_curves_from_few_rows_and_says_what_it_picked() -> None:
    few, enough = (fit_features(("auto",), rows(n), HERE, 0) for n in (FEW_ROWS - 1, FEW_ROWS))
    assert few.description == "5 standardised columns"
    assert enough.description.startswith("5 standardised columns and 512 random Fourier features of 1 to 5 columns")


# --- as a learner ------------------------------------------------------------------------------------------------


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
    assert "'l1'" in encryptable(LearnerSettings(), default_loss="l1")
    assert encryptable(LearnerSettings(loss="l2"), default_loss="l1") == ""


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


# --- fresh features ----------------------------------------------------------------------------------------------


def fresh(features: object = "fourier", **more: object) -> LearnerSettings:
    return LearnerSettings(features=features, fresh_features=True, **more)  # type: ignore[arg-type]


@pytest.mark.parametrize("features", ["fourier", ("fourier", "trees")])
def test_fresh_features_are_new_every_round_and_the_same_when_a_round_is_repeated(features: object) -> None:
    x, r = rows(), residual()
    one = make_learner(fresh(features), HERE, secret=lambda: b"s" * 32)
    first, second = one.fit(x, r, 1), one.fit(x, r, 2)
    resumed = make_learner(fresh(features), HERE, secret=lambda: b"s" * 32).fit(x, r, 2)
    other = make_learner(fresh(features), HERE, secret=lambda: b"t" * 32).fit(x, r, 2)
    np.testing.assert_array_equal(resumed.predict(x), second.predict(x))
    for different in (first, other):
        assert np.abs(different.predict(x) - second.predict(x)).max() > 1e-3
    fixed = make_learner(LearnerSettings(features=features), HERE)  # type: ignore[arg-type]
    np.testing.assert_array_equal(fixed.fit(x, r, 1).predict(x), fixed.fit(x, r, 2).predict(x))


def test_a_fresh_model_is_complete_on_disk_and_holds_neither_rows_nor_the_secret() -> None:
    x, r, secret = rows(), residual(), bytes(range(100, 132))
    model = make_learner(fresh(), HERE, secret=lambda: secret).fit(x, r, 1)
    saved = storage.dump(model)
    np.testing.assert_array_equal(storage.load(saved).predict(x), model.predict(x))
    assert secret not in saved and x[0].tobytes() not in saved


@pytest.mark.parametrize("loss", ["l2", "l4"])
def test_fresh_features_learn_with_every_local_loss(loss: str) -> None:
    x, r = rows(), residual()
    f = make_learner(fresh(loss=loss), HERE).fit(x, r, 1).predict(x)
    assert float(np.mean((f - r) ** 2)) < float(np.mean(r**2))


@pytest.mark.parametrize("features", ["auto", "standardized", ("fourier", "polynomial"), "binned"])
def test_fresh_features_are_refused_for_a_map_with_nothing_to_draw(features: object) -> None:
    with pytest.raises(
        SettingsError, match=r"\[learner\] fresh_features.*same in every round; accepted: fourier, trees"
    ):
        make_learner(fresh(features), HERE)


def test_a_party_keeps_the_secret_of_its_fresh_features_for_a_resumed_run(tmp_path: Path) -> None:
    x, r = rows(), residual(k=1)
    frame = {f"c{j}": x[:, j] for j in range(5)} | {"id": [str(i) for i in range(len(x))]}
    pl.DataFrame(frame).write_csv(tmp_path / "lab.csv")
    (tmp_path / "run").mkdir()
    data = DataSettings(tmp_path / "lab.csv", "id")
    party = PartySettings(tmp_path / "study.toml", "lab", tmp_path, tmp_path / "run", data, learner=fresh())
    lives = []
    for _ in range(2):
        model = AssistorData(party, study(), tmp_path, lambda text: None)
        model.prepare(np.arange(len(x)), np.ones(len(x), dtype=bool))
        lives.append(model.fit_round(2, r)[1])
    np.testing.assert_array_equal(*lives)
    secret = tmp_path / "run" / "fresh.secret"
    assert len(secret.read_bytes()) == 32 and secret.stat().st_mode & 0o777 == 0o600
