"""Label-free feature maps: deterministic, saved and row by row; users' own; fresh ones every round."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from secure_gal.errors import SettingsError
from secure_gal.features import fit_features
from secure_gal.features.auto import FEW_ROWS
from secure_gal.features.base import MAX_WIDTH
from secure_gal.features.declare import KINDS
from secure_gal.features.encoded import RidgeFeatures
from secure_gal.features.ranks import Ranks
from secure_gal.holdings.assistor import AssistorData
from secure_gal.learners import make_learner, storage
from secure_gal.settings.party import DataSettings, LearnerSettings, PartySettings
from tests.support.feature_rows import HERE, residual, rows
from tests.support.study_in_memory import study

# --- the maps ---------------------------------------------------------------------------------------------------------


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


# --- users' own -------------------------------------------------------------------------------------------------------

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


# --- fresh features ---------------------------------------------------------------------------------------------------


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
