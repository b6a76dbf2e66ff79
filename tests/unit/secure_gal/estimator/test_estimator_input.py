"""Blocks and labels that the estimator accepts; everything else is refused by name before anything is learnt."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest
from sklearn.exceptions import NotFittedError

from secure_gal import GAL
from secure_gal.errors import DataError, SettingsError
from tests.support.estimator_blocks import data, fitted

# --- blocks ------------------------------------------------------------------------------------------------------


def changed(block: np.ndarray, value: float) -> np.ndarray:
    block = block.copy()
    block[5, 1] = value
    return block


@pytest.mark.parametrize(
    ("second", "why"),
    [
        (lambda x: x[:100], "has 100 rows, block 0 .hospital. has 120"),
        (lambda x: x[:, 0], "Expected 2D array"),
        (lambda x: x[:, :0], "0 feature"),
        (lambda x: changed(x, -np.inf), "contains infinity"),
        (lambda x: pl.DataFrame(changed(x, np.inf), schema=["a", "age"]), "'age'.*infinite.*row 6"),
        (lambda x: pl.DataFrame(x).with_columns(pl.lit([1]).alias("list")), "column 'list' holds lists"),
        (lambda x: pl.DataFrame(x).with_columns(pl.lit(1).alias("#id")), "'#id', a name that is taken"),
        (lambda x: x.astype(str).astype(object), "could not convert|"),
        (lambda x: None, "Expected 2D array|None"),
    ],
)
def test_a_block_that_cannot_be_learnt_from_is_named(second: Any, why: str) -> None:
    blocks, y = data()
    changed_block = second(blocks[1])
    if isinstance(changed_block, np.ndarray) and changed_block.dtype == object:
        changed_block[5, 1] = "ill"
    with pytest.raises(DataError, match=rf"block 1 \(lab\).*({why})"):
        GAL("regression", parties=["hospital", "lab"], rounds=1).fit([blocks[0], changed_block], y)


@pytest.mark.parametrize("x", [[], np.zeros((0, 3)), {"lab": np.zeros((120, 3))}, "text"])
def test_what_is_no_table_is_refused(x: Any) -> None:
    with pytest.raises(ValueError):
        GAL("regression").fit(x, data()[1])


@pytest.mark.parametrize(
    "form", [np.ndarray.tolist, lambda x: pl.DataFrame(x, schema=["a", "b"]), lambda x: pd.DataFrame(x)]
)
def test_lists_and_frames_are_learnt_from_like_arrays(form: Any) -> None:
    expected, blocks, y = fitted()
    gal = GAL("regression", rounds=2).fit([form(x) for x in blocks], pl.Series("y", y))
    assert np.array_equal(gal.F_, expected.F_)
    assert np.array_equal(gal.predict([form(x) for x in blocks]), expected.predict(blocks))


class Means:
    """A learner of series whose models answer with the mean of what is no padding."""

    def fit(self, x: np.ndarray, residual: np.ndarray, seed: int) -> Means:
        return self

    def predict(self, x: np.ndarray) -> np.ndarray:
        return np.nanmean(x, axis=(1, 2))[:, None]


def test_what_a_masked_array_hides_is_missing() -> None:
    (first, second, _), y = data()
    hidden = np.arange(first.size).reshape(first.shape) % 3 == 0
    given = np.ma.MaskedArray(np.where(hidden, 1e6, first), hidden)
    found, known = GAL(rounds=2), GAL(rounds=2)
    expected = known.fit([np.where(hidden, np.nan, first), second], y > 0)
    np.testing.assert_array_equal(found.fit([given, second], y > 0).F_, expected.F_)
    whole = GAL(rounds=1, parties={"hospital": list(range(first.shape[1]))})
    whole.fit(given, y > 0)
    np.testing.assert_array_equal(whole.predict_proba(given), whole.predict_proba(given.filled(np.nan)))


def test_padding_of_series_is_no_missing_value_but_infinity_is() -> None:
    rng = np.random.default_rng(0)
    series, y = rng.normal(size=(40, 5, 2)), rng.normal(size=40)
    series[3, 4:] = np.nan
    gal = GAL("regression", rounds=1, learners=Means())
    gal.fit([series], y)
    assert np.isfinite(gal.predict([series[:, :4]])).all(), "a series may be shorter"
    series[3, 2, 1] = np.inf
    with pytest.raises(ValueError, match="infinity"):
        gal.fit([series], y)
    with pytest.raises(SettingsError, match="does not take series"):
        GAL("regression", learners="gb").fit([np.zeros((40, 5, 2))], y)


# --- labels ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("labels", "why"),
    [
        (lambda y: y[:100], "block 0 .*has 120 rows, y has 100"),
        (lambda y: y[:0], "y has 0"),
        (lambda y: np.stack([y, y], axis=1), r"shape \(120, 2\)"),
        (lambda y: [[1], [1, 2]], "y: is not one label a row"),
        (lambda y: np.where(np.arange(120) == 3, np.nan, y), "y contains NaN"),
        (lambda y: np.where(np.arange(120) == 3, np.inf, y), "y contains infinity"),
        (lambda y: [None if i == 3 else int(v > 0) for i, v in enumerate(y)], "y: row 4 is None"),
        (lambda y: None, "y cannot be None|target y is None"),
        (lambda y: pd.array([None, *(y[1:] > 0)], dtype="boolean"), "y: row 1 is <NA>"),
        (lambda y: np.ma.masked_less(y, 0), "y: has masked values"),
    ],
)
@pytest.mark.parametrize("task", ["classification", "regression"])
def test_labels_that_cannot_be_learnt_are_refused(labels: Any, why: str, task: str) -> None:
    blocks, y = data()
    with pytest.raises(ValueError, match=why):
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


# --- predictions -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("new", "why"),
    [
        (lambda b: b[:2], "blocks of party-0, party-1; accepted: 3"),
        (lambda b: [*b, b[0]], "accepted: 3, of party-0, party-1, party-2"),
        (lambda b: b[0], "X has 2 features, but GAL is expecting 6"),
        (lambda b: [b[0], b[1][:5], b[2]], r"block 1 \(party-1\): has 5 rows, block 0 .party-0. has 120"),
        (
            lambda b: [b[0], b[1][:, :1], b[2]],
            r"block 1 \(party-1\): has rows of shape \(1,\), but \(2,\) was trained on",
        ),
        (lambda b: [b[0], pd.DataFrame({"a": b[1][:, 0]}), b[2]], r"block 1 \(party-1\): has no column 'x0'"),
    ],
)
def test_new_rows_look_like_those_of_training(new: Any, why: str) -> None:
    gal, blocks, _ = fitted()
    for ask in (gal.predict, lambda x: list(gal.staged_predict(x))):
        with pytest.raises(ValueError, match=why):
            ask(new(blocks))
    assert gal.predict([x[:0] for x in blocks]).shape == (0,)


def test_columns_of_a_frame_go_by_their_names() -> None:
    blocks, y = data()
    frames = [pl.DataFrame(x, schema=["a", "b"]) for x in blocks]
    gal = GAL("regression", rounds=1).fit(frames, y)
    turned = [*frames[:2], frames[2].select("b", "a")]
    assert np.array_equal(gal.predict(turned), gal.predict(frames))


def test_nothing_is_predicted_before_a_fit_or_after_one_that_failed() -> None:
    blocks, y = data()
    gal = GAL("regression", rounds=1)

    def refused() -> None:
        for ask in (gal.predict, lambda x: list(gal.staged_predict(x)), gal.plot_rounds, gal.save):
            with pytest.raises(NotFittedError, match="fit"):
                ask(blocks)  # type: ignore[operator]
        assert not [name for name in vars(gal) if name.endswith("_")]

    refused()
    gal.fit(blocks, y)
    assert gal.predict(blocks).shape == (120,)
    with pytest.raises(DataError):
        gal.fit(blocks, np.ones(120))
    refused()


def test_a_failed_fit_ends_the_worker_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    from secure_gal.holdings.assistor import AssistorData
    from secure_gal.holdings.encrypted import EncryptedRidgeFits

    closed: list[str] = []

    def refuse(fits: EncryptedRidgeFits, *_: Any) -> None:
        raise SettingsError("[learner.options]", "wrong")

    def close(data: AssistorData) -> None:
        closed.append(data.party.party)

    monkeypatch.setattr(EncryptedRidgeFits, "fit", refuse)
    monkeypatch.setattr(AssistorData, "close", close)
    with pytest.raises(SettingsError, match=r"learners \(party-[12]\): wrong"):
        fitted(residuals="ckks")
    assert sorted(closed) == ["party-1", "party-2"]


def test_a_regression_has_no_probabilities() -> None:
    gal, _, _ = fitted()
    assert not hasattr(gal, "predict_proba") and not hasattr(gal, "decision_function")
