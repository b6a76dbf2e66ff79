"""How a changed table is told of, and what its digests depend on."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import polars as pl
import pytest

from parties.run.learnt_from import LearntFrom, _count, _Digest, _held, _names, _rows, _schema, _settings, _unlike
from secure_gal.settings.party import DataSettings, LearnerSettings

KEY = bytes(32)


def learnt(rows: dict[str, str]) -> LearntFrom:
    """Of ids and labels of eight letters."""
    ids, labels = ("".join(part).encode() for part in (rows.keys(), rows.values()))
    return LearntFrom({}, {}, {}, ids, labels)


BEFORE = {"patient1": "label--1", "patient2": "label--2", "patient3": "label--3"}


@pytest.mark.parametrize(
    ("now", "said"),
    [
        (BEFORE, []),
        ({name: BEFORE[name] for name in reversed(BEFORE)}, ["the same rows in another order"]),
        (BEFORE | {"patient4": "label--4"}, ["1 row added"]),
        ({"patient1": "label--1"}, ["2 rows removed"]),
        ({"patient1": "label--1", "patient2": "label--2", "patient9": "label--9"}, ["1 row added, 1 row removed"]),
        (BEFORE | {"patient1": "label--9"}, ["the label of 1 row changed"]),
        (BEFORE | {"patient1": "label--9", "patient2": "label--9"}, ["the label of 2 rows changed"]),
        ({"patient1": "label--9"}, ["2 rows removed", "the label of 1 row changed"]),
    ],
)
def test_rows_that_came_went_or_changed_are_counted(now: dict[str, str], said: list[str]) -> None:
    assert _rows(learnt(BEFORE), learnt(now)) == said


def test_where_there_are_no_labels_rows_are_compared_by_their_ids() -> None:
    bare = LearntFrom({}, {}, {}, b"patient1patient2")
    assert list(bare.rows.values()) == [b"", b""]
    assert _rows(bare, LearntFrom({}, {}, {}, b"patient1")) == ["1 row removed"]


@pytest.mark.parametrize(
    ("now", "said"),
    [
        ({"age": "numbers", "ward": "text"}, []),
        ({"ward": "text", "age": "numbers"}, ["the same columns in another order"]),
        ({"age": "numbers", "ward": "text", "dose": "numbers"}, ["column added: dose"]),
        ({"age": "numbers"}, ["column removed: ward"]),
        ({"dose": "text", "bmi": "text"}, ["columns added: dose, bmi", "columns removed: age, ward"]),
        ({"age": "text", "ward": "text"}, ["column age held numbers and holds text"]),
        ({"age": "nothing", "ward": "text"}, []),
    ],
)
def test_columns_that_came_went_or_hold_something_else_are_named(now: dict[str, str], said: list[str]) -> None:
    assert _schema({"age": "numbers", "ward": "text"}, now) == said


@pytest.mark.parametrize(
    ("before", "now", "unlike"),
    [
        ("numbers", "numbers", False),
        ("numbers", "text", True),
        ("nothing", "text", False),
        ("numbers", "nothing", False),
    ],
)
def test_a_column_without_any_value_fits_everything(before: str, now: str, unlike: bool) -> None:
    assert _unlike(before, now) is unlike


def test_names_are_listed_to_twenty() -> None:
    names = [f"c{i}" for i in range(22)]
    assert _names("column added", names[:1]) == "column added: c0"
    assert _names("values changed in column", names[:2]) == "values changed in columns c0, c1"
    assert _names("column added", names[:20]) == f"columns added: {', '.join(names[:20])}"
    assert _names("column added", names) == f"columns added: {', '.join(names[:20])} and 2 more"
    assert (_count(1), _count(0), _count(1234)) == ("1 row", "0 rows", "1,234 rows")


@pytest.mark.parametrize(
    ("series", "held"),
    [
        (pl.Series([1, None]), "numbers"),
        (pl.Series([True, None]), "numbers"),
        (pl.Series(["a", None]), "text"),
        (pl.Series([None, None], dtype=pl.String), "nothing"),
        (pl.Series([], dtype=pl.Float64), "nothing"),
    ],
)
def test_what_a_column_holds(series: pl.Series, held: str) -> None:
    assert _held(series) == held


def test_digests_tell_values_places_and_gaps_apart_and_nothing_else() -> None:
    digest = _Digest(KEY)
    columns: list[list[object]] = [[1, 2], [2, 1], [1, None], [None, 1], [0, 1], [1, 2, 0], ["1", "2"], ["12", ""]]
    columns += [["1", None], [None, "1"], ["", "12"], ["1", "2", ""]]
    found = [digest.column("c", pl.Series(column, strict=False)) for column in columns]
    assert len(set(found)) == len(found) and all(len(text) == 32 for text in found)
    assert digest.column("c", pl.Series([1.0, 2.0])) == found[0] == digest.column("c", pl.Series([1, 2], dtype=pl.Int8))
    assert (
        digest.column("d", pl.Series([1, 2])) != found[0] != _Digest(bytes(31) + b"\1").column("c", pl.Series([1, 2]))
    )
    gaps = (
        pl.Series(np.arange(20.0))
        .to_frame("x")
        .with_columns(pl.when(pl.col("x") == 17).then(None).otherwise(pl.col("x")))
    )
    zero = pl.Series(np.where(np.arange(20) == 17, 0.0, np.arange(20.0)))
    assert digest.column("c", gaps["x"]) != digest.column("c", zero), "a gap is no zero"


def test_equal_labels_of_two_rows_look_different_and_numbers_are_numbers() -> None:
    digest = _Digest(KEY)
    assert len(digest.id("a")) == len(digest.label("a", 1)) == 8
    assert digest.label("a", 1) != digest.label("b", 1) and digest.label("a", 1) != digest.label("a", 2)
    assert digest.label("a", 1) == digest.label("a", 1.0) != digest.label("a", "1")
    assert digest.label("ab", "c") != digest.label("a", "bc") and digest.id("a") != digest.id("b")
    assert digest.id("a") == digest.id("a"), "whatever was hashed between"


def test_settings_that_decide_what_is_learnt_are_kept_and_where_it_is_computed_is_not() -> None:
    options = {"epochs": 3, "device": "cuda", "precision": "bfloat16", "compile": True}
    learner = LearnerSettings(kind="mlp", loss="l1", options=options)
    session: Any = SimpleNamespace(party=SimpleNamespace(learner=learner, data=DataSettings(Path("t.csv"), ("a", "b"))))
    found = _settings(session)
    assert found["[learner.options] epochs"] == "3" and not any("cuda" in text for text in found.values())
    assert [name for name in found if "options" in name] == ["[learner.options] epochs"]
    assert (found["[learner] kind"], found["[learner] loss"], found["[data] id"]) == ("mlp", "l1", "a, b")
    assert found["[data] label"] == "not set" and found["[data] categorical"] == ""
