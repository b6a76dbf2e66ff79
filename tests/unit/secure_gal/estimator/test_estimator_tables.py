"""Frames: joined by what their rows are known by, and read by the same schema as a party's file."""

from __future__ import annotations

import datetime
import warnings
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest

from secure_gal import GAL
from secure_gal.errors import DataError
from secure_gal.estimator.listener import DataNote

N = 80


def polars(frame: pd.DataFrame) -> pl.DataFrame:
    return pl.DataFrame(frame.astype(object).where(frame.notna(), None).to_dict("list"))


def frames() -> tuple[pd.DataFrame, pd.DataFrame, pd.Series]:
    rng = np.random.default_rng(0)
    people = [f"p{i}" for i in rng.permutation(N)]
    hospital = pd.DataFrame(rng.normal(size=(N, 2)), index=people, columns=["age", "bmi"])
    lab = pd.DataFrame(rng.normal(size=(N, 2)), index=people, columns=["hb", "wbc"])
    return hospital, lab, pd.Series(hospital["age"] + lab["hb"] > 0, people)


def learnt(x: list[Any], y: Any) -> GAL:
    return GAL(rounds=2, parties=["hospital", "lab"]).fit(x, y)


def test_frames_are_joined_by_their_index() -> None:
    hospital, lab, y = frames()
    expected = learnt([hospital, lab], y)
    turned = lab.sort_index()
    assert np.array_equal(learnt([hospital, turned], y).F_, expected.F_)
    assert np.array_equal(learnt([hospital, lab], y.sort_index()).F_, expected.F_)
    assert np.array_equal(expected.predict([hospital, turned]), expected.predict([hospital, lab]))


@pytest.mark.parametrize("to", [lambda frame: frame, polars])
def test_frames_are_joined_by_a_column_id(to: Any) -> None:
    hospital, lab, y = frames()
    expected = learnt([hospital, lab], y)
    named = [to(frame.reset_index(names="id")) for frame in (hospital, lab)]
    if to is not polars:
        named[1] = named[1].sort_values("id")
    gal = learnt(named, y.to_numpy())
    assert np.array_equal(gal.F_, expected.F_) and gal.n_features_in_ == 4


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (
            lambda lab: lab.rename(index={"p3": "p99"}),
            "does not fit.*by its index: it lacks 1 of these rows and it has 1",
        ),
        (lambda lab: lab.iloc[:70], "has 70 rows, block 0 .hospital. has 80: it lacks 10 of these rows"),
        (lambda lab: lab.reset_index(drop=True), r"lacks 80 of these rows.*reset_index\(drop=True\)"),
        (lambda lab: lab.set_axis(["p0"] * N), "says rows twice"),
        (lambda lab: lab.reset_index(names="id"), "known by its column 'id', and .* by its index"),
    ],
)
def test_frames_of_other_rows_are_refused(change: Any, why: str) -> None:
    hospital, lab, y = frames()
    with pytest.raises(DataError, match=rf"block 1 \(lab\).*{why}"):
        learnt([hospital, change(lab)], y)


def test_weights_and_the_labels_of_a_score_belong_to_rows_by_their_index_as_labels_do() -> None:
    hospital, lab, y = frames()
    weights = pd.Series(np.where(hospital["age"] > 0, 1.0, 0.1), y.index)
    turned_y, turned = y.sort_index(), weights.sort_index()
    expected = GAL(rounds=2).fit([hospital, lab], y, sample_weight=weights)
    found = GAL(rounds=2).fit([hospital, lab], turned_y, sample_weight=turned)
    np.testing.assert_array_equal(found.predict_proba([hospital, lab]), expected.predict_proba([hospital, lab]))
    score = expected.score([hospital, lab], y, sample_weight=weights)
    assert expected.score([hospital, lab], turned_y, sample_weight=turned) == score
    assert expected.score([hospital, lab], turned_y.to_numpy(), sample_weight=turned.to_numpy()) < score
    strange = turned.set_axis([f"q{i}" for i in range(N)])
    with pytest.raises(DataError, match="sample_weight"):
        GAL(rounds=2).fit([hospital, lab], y, sample_weight=strange)


def test_labels_of_other_rows_are_refused() -> None:
    hospital, lab, y = frames()
    with pytest.raises(DataError, match=r"y: does not fit to block 0 \(hospital\) by its index"):
        learnt([hospital, lab], y.reset_index(drop=True))
    with pytest.raises(DataError, match=r"has a column 'id' and block 0 .hospital. has none"):
        learnt([hospital.to_numpy(), lab.reset_index(names="id")], y.to_numpy())


def mixed(n: int = N) -> tuple[pd.DataFrame, np.ndarray]:
    rng = np.random.default_rng(1)
    town = rng.choice(["north", "south", "west"], n)
    day = [datetime.date(2020, 1, 1) + datetime.timedelta(int(d)) for d in rng.integers(0, 900, n)]
    size = np.where(np.arange(n) % 9 == 0, np.nan, rng.normal(size=n))
    frame = pd.DataFrame(
        {
            "town": pd.Categorical(town),
            "day": pd.to_datetime(pd.Series(day)),
            "size": size,
            "code": ["01", "1", None, "02"] * (n // 4),
            "ill": rng.random(n) > 0.5,
        }
    )
    return frame, np.where((town == "north") | (frame["day"].dt.year == 2021), "yes", "no")


@pytest.mark.parametrize("to", [lambda frame: frame, polars])
def test_categories_dates_and_missing_values_are_read_by_a_schema_that_stays(to: Any) -> None:
    frame, y = mixed()
    gal = GAL(rounds=4, parties={"hospital": ["size", "ill"], "lab": ["town", "day", "code"]}).fit(to(frame), y)
    assert gal.score(to(frame), y) > 0.7
    schema = gal.fitted_.parties[1].schema
    assert schema is not None and {field.name: field.kind for field in schema.features} == {
        "town": "category",
        "day": "date",
        "code": "category",
    }
    assert schema.of("code").constraints.enum == ("01", "02", "1")  # type: ignore[union-attr]
    new = frame.iloc[:2].assign(town=["south", "moon"])
    with pytest.warns(DataNote, match="column 'town': 1 values were not seen in training"):
        gal.predict(to(new))


def test_at_prediction_nothing_is_inferred() -> None:
    frame, y = mixed()
    parties = {"hospital": ["size"], "lab": ["town", "day"]}
    gal = GAL(rounds=2, parties=parties).fit(frame, y)
    with pytest.raises(DataError, match=r"X \(hospital\).*row 1 has 'tall' in column 'size'.*a number"):
        gal.predict(frame.assign(size="tall"))
    one = gal.predict_proba(frame)[:1]
    assert np.array_equal(gal.predict_proba(frame.iloc[:1]), one), "levels and scales are those of training"


def test_a_column_that_cannot_take_part_is_named() -> None:
    hospital, lab, y = frames()
    with pytest.raises(DataError, match=r"block 1 \(lab\): column 'kin' holds values of several kinds: int, str"):
        learnt([hospital, lab.assign(kin=[1, "one"] * (N // 2))], y)
    with pytest.warns(DataNote, match="column 'same' is constant"):
        learnt([hospital, lab.assign(same=1.0)], y)


def test_columns_of_different_values_in_every_row_do_not_tell_a_label_that_differs_in_every_row() -> None:
    hospital, _, _ = frames()
    with warnings.catch_warnings():
        warnings.simplefilter("error", DataNote)
        GAL("regression", rounds=1).fit(hospital, hospital["age"] + 0.1 * hospital["bmi"])
