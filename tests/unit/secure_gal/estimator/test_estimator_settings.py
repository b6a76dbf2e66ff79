"""Parameters and learners that the estimator accepts; all others are refused by name before anything is learnt."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.ensemble import RandomForestRegressor
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from secure_gal import GAL
from secure_gal.errors import SettingsError
from secure_gal.settings.party import LearnerSettings
from tests.support.estimator_blocks import data, fitted

# --- settings ----------------------------------------------------------------------------------------------------

WRONG = {
    "task": ["regresion", None],
    "loss": ["l3", "cross_entropy"],
    "rounds": [0, -1, 1001, 2.5, "ten", True],
    "weights": ["unifrom", None],
    "learning_rate": ["serch", -1, 0.0, float("nan"), float("inf"), None],
    "validation": [1.5, -0.1, float("nan"), "0.2"],
    "patience": [0, -1, 1.5],
    "seed": [-1, 2**32, "zero"],
    "residuals": ["ip", "clear", "CKKS", None, True],
    "predictions": ["sums", None],
    "epsilon": [1.0],
    "ids": ["open"],
    "beyond": [{"sums": 3.0}],
    "parameters": ["quick", "sum", None],
    "parties": [["a", "a", "b"], ["a", "b"], "abc", ["a", "b", "../c"], ["a", "b", 3], {"a": [0], "b": [1]}],
    "learners": [["linear"] * 2, None, Ridge, object(), LogisticRegression(), make_pipeline(LogisticRegression())],
}


@pytest.mark.parametrize(("argument", "value"), [(a, v) for a, values in WRONG.items() for v in values])
def test_a_wrong_setting_is_refused_by_name(argument: str, value: object) -> None:
    with pytest.raises(SettingsError, match=argument) as refused:
        fitted(**{argument: value})
    assert isinstance(refused.value, ValueError)


def test_choices_are_listed() -> None:
    with pytest.raises(SettingsError, match=r"weights: 'unifrom'; accepted: 'fitted', 'uniform'"):
        fitted(weights="unifrom")
    with pytest.raises(SettingsError, match=r"parameters: 'fast'; .* is gone; write .standard."):
        fitted(parameters="fast")
    with pytest.raises(SettingsError, match=r"'lineer'; accepted: cnn, gb"):
        fitted(learners="lineer")


def test_settings_of_numpy_are_settings() -> None:
    ours = fitted(rounds=np.int64(2), validation=np.float64(0.2), learning_rate=np.float32(0.5), seed=np.uint8(3))[0]
    assert np.array_equal(ours.F_, fitted(learning_rate=0.5, seed=3, validation=0.2)[0].F_)
    assert len(ours.history_) == 2


def test_one_party_may_be_alone() -> None:
    blocks, y = data()
    assert GAL("regression", parties=["alone"], rounds=1).fit(blocks[:1], y).history_[0].weights == {"alone": 1.0}


# --- learners ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("learner", ["gb", "mlp", LearnerSettings(loss="l1"), Ridge()])
def test_only_linear_assistors_are_encrypted(learner: object) -> None:
    with pytest.raises(SettingsError, match=r"learners \(party-2\).*residual"):
        fitted(residuals="ckks", parameters="standard", learners=["linear", "linear", learner])


def test_a_sponsor_fits_what_it_likes_beside_encrypted_assistors() -> None:
    blocks, y = data()
    settings = {"rounds": 1, "weights": "paper", "learners": [Ridge(), "linear"]}
    gal = GAL("regression", **settings, residuals="ckks", parameters="standard")  # type: ignore[arg-type]
    gal.fit(blocks[:2], y)
    assert np.allclose(gal.predict(blocks[:2]), gal.F_[:, 0] * y.std() + y.mean(), atol=0.05)


def test_estimators_of_scikit_learn_are_cloned_and_seeded() -> None:
    ridge = make_pipeline(StandardScaler(), Ridge(alpha=0.1))
    gal, blocks, y = fitted(learners=ridge)
    assert np.corrcoef(gal.predict(blocks), y)[0, 1] > 0.9
    assert not hasattr(ridge[-1], "coef_")
    forests = [fitted(learners=RandomForestRegressor(n_estimators=3), seed=seed, rounds=1)[0].F_ for seed in (1, 1, 2)]
    assert np.array_equal(forests[0], forests[1])
    assert not np.array_equal(forests[0], forests[2])


class Constant:
    """A learner whose models answer with what they are made of."""

    def __init__(self, values: np.ndarray) -> None:
        self.values = values

    def fit(self, x: np.ndarray, residual: np.ndarray, seed: int) -> Constant:
        return self

    def predict(self, x: np.ndarray) -> np.ndarray:
        return self.values[: len(x)]


def test_models_answer_with_one_finite_column_for_each_of_the_residual() -> None:
    fitted(learners=Constant(np.linspace(0, 1, 120)[:, None]))
    for values, why in ((np.ones(120), r"shape \(24,\)"), (np.full((120, 1), np.nan), "infinite")):
        with pytest.raises(SettingsError, match=rf"learners \(party-0\).*{why}"):
            fitted(learners=Constant(values))
