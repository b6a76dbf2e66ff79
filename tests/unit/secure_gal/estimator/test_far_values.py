"""New rows with values far from all that were learnt from, such as the -3.4e38 that means nothing in many files."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from secure_gal import GAL
from secure_gal.errors import DataError, SettingsError
from secure_gal.estimator.listener import DataNote

FAR = (-3.4028235e38, 1e99)
MODES: list[dict[str, Any]] = [
    {},
    {"residuals": "rounded"},
    {"predictions": "noise", "noise": 1e-9},
    {"residuals": "ckks"},
]


def frames(n: int = 120) -> list[pd.DataFrame]:
    x = np.random.default_rng(0).normal(size=(n, 4))
    return [pd.DataFrame(x[:, :2], columns=["age", "bmi"]), pd.DataFrame(x[:, 2:], columns=["hb", "wbc"])]


def target(x: list[pd.DataFrame]) -> pd.Series:
    return x[0]["age"] + x[1]["hb"]


def with_far(x: list[pd.DataFrame], who: int, column: str) -> list[pd.DataFrame]:
    new = [frame.head(6).copy() for frame in x]
    new[who].loc[[0, 1], column] = FAR
    return new


class NoNumber:
    """A learner, and its model, that has no number for a row with a large value, as a network has none."""

    def fit(self, x: np.ndarray, residual: np.ndarray, seed: int) -> NoNumber:
        self.of = np.linalg.lstsq(x, residual, rcond=None)[0]
        return self

    def predict(self, x: np.ndarray) -> np.ndarray:
        return np.where(np.abs(x).max(axis=1, keepdims=True) > 1e30, np.nan, x @ self.of)


@pytest.mark.parametrize("mode", MODES, ids=str)
@pytest.mark.filterwarnings("ignore::secure_gal.estimator.listener.DataNote")
@pytest.mark.filterwarnings("error::RuntimeWarning")
def test_an_assistors_far_value_ends_no_prediction_and_moves_no_other_row(mode: dict[str, Any]) -> None:
    x = frames()
    gal = GAL("regression", rounds=2, **mode).fit(x, target(x))
    far, near = gal.predict(with_far(x, 1, "hb")), gal.predict([frame.head(6) for frame in x])
    assert np.isfinite(far).all() and np.abs(far).max() < 20
    np.testing.assert_allclose(far[2:], near[2:], atol=0.02)


@pytest.mark.filterwarnings("ignore:2 rows. the learner has no number")
def test_a_row_for_which_an_assistors_learner_has_no_number_is_marked_and_goes_without_it() -> None:
    x = frames()
    gal = GAL("regression", rounds=2, learners=["linear", NoNumber()]).fit(x, target(x))
    with pytest.warns(DataNote, match="2 of 6 rows have an assistor's part far outside"):
        far = gal.predict(with_far(x, 1, "hb"))
    unknown = gal.predict([x[0].head(6), x[1].head(6).assign(hb=x[1]["hb"].mean(), wbc=x[1]["wbc"].mean())])
    np.testing.assert_allclose(far[:2], unknown[:2], atol=0.3)
    *_, last = gal.staged_predict(with_far(x, 1, "hb"))
    np.testing.assert_array_equal(last, far)


def test_a_row_for_which_the_sponsors_learner_has_no_number_is_refused_by_name() -> None:
    x = frames()
    gal = GAL("regression", rounds=2, learners=[NoNumber(), "linear"]).fit(x, target(x))
    for ask in (gal.predict, lambda new: [*gal.staged_predict(new)]):
        with pytest.raises(DataError, match=r"2 rows, the first of them row 1, .*no number"):
            ask(with_far(x, 0, "age"))


class Large(NoNumber):
    """A learner whose values float64 holds, and float32 does not."""

    def predict(self, x: np.ndarray) -> np.ndarray:
        return np.full((len(x), self.of.shape[1]), 1e39)


@pytest.mark.filterwarnings("error::RuntimeWarning")
@pytest.mark.parametrize("validation", [0.0, 0.3])
def test_a_learner_whose_values_no_message_can_hold_is_named_at_its_own_party(validation: float) -> None:
    x = frames()
    with pytest.raises(SettingsError, match="predict returned values that are infinite"):
        GAL("regression", learners=["linear", Large()], validation=validation).fit(x, target(x))
