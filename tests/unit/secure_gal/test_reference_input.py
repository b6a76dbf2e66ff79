"""What data the researcher's API accepts, and that everything else is refused by name before anything is learnt."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl
import pytest

from secure_gal.errors import DataError, SettingsError, StateError
from secure_gal.reference import GAL
from tests.support.reference_blocks import data, fitted

# --- blocks -----------------------------------------------------------------------------------------------------------


def changed(block: np.ndarray, value: float) -> np.ndarray:
    block = block.copy()
    block[5, 1] = value
    return block


@pytest.mark.parametrize(
    ("second", "why"),
    [
        (lambda x: x[:100], "has 100 rows, y has 120"),
        (lambda x: x[:, 0], r"reshape\(-1, 1\)"),
        (lambda x: x[:, :0], "nothing to learn"),
        (lambda x: changed(x, np.nan), "column 1 holds nan in row 5"),
        (lambda x: changed(x, -np.inf), "column 1 holds -inf in row 5"),
        (lambda x: pl.DataFrame(changed(x, np.nan), schema=["a", "age"]), "column 'age' holds nan in row 5"),
        (lambda x: pl.DataFrame(x, schema=["a", "b"]).with_columns(pl.lit("x").alias("sex")), "column 'sex'.*'x'"),
        (lambda x: pl.DataFrame(x).with_columns(pl.lit(None).alias("empty")), "column 'empty' holds nan in row 0"),
        (lambda x: x.astype(str), "holds <U"),
        (lambda x: x.astype("datetime64[s]"), "holds datetime64"),
        (lambda x: [[1.0, 2.0], [3.0]], "not a table of numbers"),
        (lambda x: None, r"shape \(\)"),
    ],
)
def test_a_block_that_cannot_be_learnt_from_is_named(second: Any, why: str) -> None:
    blocks, y = data()
    with pytest.raises(DataError, match=rf"block 1 \(lab\).*{why}"):
        GAL("regression", names=["hospital", "lab"], rounds=1).fit([blocks[0], second(blocks[1])], y)


@pytest.mark.parametrize("blocks", [np.zeros((120, 3)), pl.DataFrame({"a": [1.0]}), [], {"lab": np.zeros((120, 3))}])
def test_blocks_are_a_list(blocks: Any) -> None:
    with pytest.raises(DataError, match=r"blocks: is .*accepted: a list of one block"):
        GAL("regression").fit(blocks, data()[1])


class Frame:
    """What numpy and this API need of a pandas frame."""

    def __init__(self, x: np.ndarray, columns: list[str]) -> None:
        self._x, self.columns = x, columns

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return np.asarray(self._x, dtype=dtype)


@pytest.mark.parametrize(
    "form", [np.ndarray.tolist, lambda x: pl.DataFrame(x, schema=["a", "b"]), lambda x: Frame(x, ["a", "b"])]
)
def test_lists_and_frames_are_learnt_from_like_arrays(form: Any) -> None:
    expected, blocks, y = fitted()
    gal = GAL("regression", rounds=2).fit([form(x) for x in blocks], pl.DataFrame({"y": y}))
    assert np.array_equal(gal.F_, expected.F_)
    assert np.array_equal(gal.predict([form(x) for x in blocks]), expected.predict(blocks))


class Means:
    """A learner of series whose models answer with the mean of what is no padding."""

    def fit(self, x: np.ndarray, residual: np.ndarray, seed: int) -> Means:
        return self

    def predict(self, x: np.ndarray) -> np.ndarray:
        return np.nanmean(x, axis=(1, 2))[:, None]


def test_padding_of_series_is_no_missing_value_but_infinity_is() -> None:
    rng = np.random.default_rng(0)
    series, y = rng.normal(size=(40, 5, 2)), rng.normal(size=40)
    series[3, 4:] = np.nan
    gal = GAL("regression", rounds=1, learners=Means())
    gal.fit([series], y)
    assert np.isfinite(gal.predict([series[:, :4]])).all(), "a series may be shorter"
    for value in (np.inf, np.nan):
        series[3, 2, 1] = value
        with pytest.raises(DataError, match=f"column 2, 1 holds {value} in row 3"):
            gal.fit([series], y)
    with pytest.raises(SettingsError, match="does not take series"):
        GAL("regression", learners="gb").fit([np.zeros((40, 5, 2))], y)


# --- labels -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("labels", "why"),
    [
        (lambda y: y[:100], "block 0 .*has 120 rows, y has 100"),
        (lambda y: y[:0], r"y: has shape \(0,\)"),
        (lambda y: np.stack([y, y], axis=1), r"y: has shape \(120, 2\)"),
        (lambda y: [[1], [1, 2]], "y: is not one label a row"),
        (lambda y: np.where(np.arange(120) == 3, np.nan, y), "y: row 3 is nan"),
        (lambda y: np.where(np.arange(120) == 3, np.inf, y), "y: row 3 is inf"),
        (lambda y: [None if i == 3 else int(v > 0) for i, v in enumerate(y)], "y: row 3 is None"),
    ],
)
@pytest.mark.parametrize("task", ["classification", "regression"])
def test_labels_that_cannot_be_learnt_are_refused(labels: Any, why: str, task: str) -> None:
    blocks, y = data()
    with pytest.raises(DataError, match=why):
        GAL(task, rounds=1).fit(blocks, labels(y))


@pytest.mark.parametrize(
    "form",
    [
        lambda c: c > 0,
        lambda c: c,
        lambda c: c.astype(float),
        lambda c: c.astype(str),
        lambda c: np.array(["low", "middle", "high"])[c],
        lambda c: np.array(["low", "middle", "high"], dtype=object)[c],
        lambda c: pl.Series(["low", "middle", "high"])[c],
        lambda c: (c > 0).tolist(),
    ],
)
def test_classes_come_back_in_the_type_of_the_labels(form: Any) -> None:
    blocks, y = data()
    labels = form(np.digitize(y, [-3.0, 3.0]))
    gal = GAL(rounds=5).fit(blocks, labels)
    predicted = gal.predict(blocks)
    assert predicted.dtype == np.asarray(labels).dtype
    assert (predicted == np.asarray(labels)).mean() > 0.8
    assert np.array_equal(predicted, gal.classes_[gal.predict_proba(blocks).argmax(axis=1)])


# --- predictions ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("new", "why"),
    [
        (lambda b: b[:2], "blocks: 2 of them; accepted: 3"),
        (lambda b: [*b, b[0]], "blocks: 4 of them; accepted: 3"),
        (lambda b: b[0], "accepted: a list"),
        (lambda b: [b[0], b[1][:5], b[2]], r"block 1 \(party-1\): has 5 rows, block 0 has 120"),
        (
            lambda b: [b[0], b[1][:, :1], b[2]],
            r"block 1 \(party-1\): has rows of shape \(1,\), but \(2,\) was trained on",
        ),
        (lambda b: [b[0], changed(b[1], np.nan), b[2]], r"block 1 \(party-1\): column 1 holds nan in row 5"),
    ],
)
def test_new_rows_look_like_those_of_training(new: Any, why: str) -> None:
    gal, blocks, _ = fitted()
    for ask in (gal.decision_function, gal.predict, gal.staged_predict):
        with pytest.raises(DataError, match=why):
            ask(new(blocks))
    assert gal.predict([x[:0] for x in blocks]).shape == (0,)


def test_columns_of_a_frame_keep_their_order() -> None:
    blocks, y = data()
    frames = [pl.DataFrame(x, schema=["a", "b"]) for x in blocks]
    gal = GAL("regression", rounds=1).fit(frames, y)
    with pytest.raises(DataError, match=r"block 2 \(party-2\): has the columns b, a, but a, b were trained on"):
        gal.predict([*frames[:2], frames[2].select("b", "a")])


def test_nothing_is_predicted_before_a_fit_or_after_one_that_failed() -> None:
    blocks, y = data()
    gal = GAL("regression", rounds=1)

    def refused() -> None:
        for ask in (gal.predict, gal.decision_function, gal.predict_proba, gal.staged_predict):
            with pytest.raises(StateError, match="fit"):
                ask(blocks)
        for name in ("F_", "history_"):
            with pytest.raises(StateError, match="fit"):
                getattr(gal, name)

    refused()
    with pytest.raises(StateError, match="fit"):
        gal.close()
    gal.fit(blocks, y)
    gal.close()
    assert gal.predict(blocks).shape == (120,)
    with pytest.raises(DataError):
        gal.fit(blocks, np.ones(120))
    refused()


def test_a_regression_has_no_probabilities() -> None:
    gal, blocks, _ = fitted()
    with pytest.raises(StateError, match="no classes"):
        gal.predict_proba(blocks)
