"""Ids in several rows: counted, refused, or made into one row by a stated rule."""

from __future__ import annotations

from datetime import date
from typing import Any

import polars as pl
import pytest

from secure_gal.data.repeated import Repeated, Repeats, Resolved, find_repeats, resolve_repeated
from secure_gal.errors import DataError

UNKNOWN: Any = "something-new"
IDS = ["a", "b", "a", "c", "b", "a"]
FRAME = pl.DataFrame(
    {
        "n": [1, None, 2, 7, None, 6],
        "x": [0.5, 1.0, float("nan"), None, 2.0, 1.5],
        "level": ["u", None, "v", "w", "t", "v"],
        "tie": ["z", "y", "y", None, "x", "x"],
        "flag": [True, True, False, None, None, False],
        "day": [date(2020, 1, day) for day in (1, 2, 3, 4, 5, 6)],
        "label": ["yes", "no", "yes", "no", "no", "yes"],
    }
)


def resolved(how: Repeated, frame: pl.DataFrame = FRAME, classes: bool = True, ids: Any = IDS) -> Resolved:
    return resolve_repeated(frame, ids, how, "label", classes, "t.csv")


def test_repeats_are_counted_in_ids_and_rows() -> None:
    assert find_repeats(["a", "b"]) is None
    assert find_repeats(IDS) == Repeats(ids=2, rows=5, first=(0, 2, 5))
    assert find_repeats(["x", "b", "a", "a", "b"]) == Repeats(ids=2, rows=4, first=(1, 4)), "the one that comes first"


def test_first_takes_the_first_row_of_each_id_as_it_is() -> None:
    found = resolved("first")
    assert found.rows == [0, 1, 3] and found.frame.equals(FRAME[[0, 1, 3]])
    assert (
        found.said
        == "2 ids stood more than once, in 5 rows in all: the first row of each was taken, 3 rows are left out"
    )


def test_mean_averages_the_numbers_that_are_there() -> None:
    found = resolved("mean").frame
    assert found["n"].to_list() == [3.0, None, 7.0]
    assert found["x"].to_list() == [1.0, 1.5, None], "NaN is a missing value"
    assert found["day"].to_list() == [date(2020, 1, 3), date(2020, 1, 3), date(2020, 1, 4)], "to the day"
    assert found["n"].dtype == found["x"].dtype == pl.Float64 and found["day"].dtype == pl.Date


def test_mean_takes_the_most_frequent_category_and_of_equals_the_first() -> None:
    found = resolved("mean").frame
    assert found["level"].to_list() == ["v", "t", "w"]
    assert found["tie"].to_list() == ["z", "y", None]
    assert found["flag"].to_list() == [False, True, None] and found["flag"].dtype == pl.Boolean
    assert found["label"].to_list() == ["yes", "no", "no"] and found.columns == FRAME.columns


def test_mean_says_what_was_done_and_which_rows_came_first() -> None:
    found = resolved("mean")
    assert found.rows == [0, 1, 3]
    assert "2 ids stood more than once, in 5 rows" in found.said and "numbers became their mean" in found.said


def test_classes_of_one_id_must_agree_and_targets_are_averaged() -> None:
    unlike = FRAME.with_columns(pl.Series("label", ["yes", "no", "no", "no", "no", "yes"]))
    with pytest.raises(DataError, match=r"1 id has rows .* 'label'; the first in rows 1, 3, 6, labelled 'yes', 'no'\."):
        resolved("mean", unlike)
    assert resolved("first", unlike).frame["label"].to_list() == ["yes", "no", "no"]
    target = FRAME.with_columns(pl.Series("label", [1.0, 2.0, 3.0, 4.0, 4.0, 5.0]))
    assert resolved("mean", target, classes=False).frame["label"].to_list() == [3.0, 3.0, 4.0]


@pytest.mark.parametrize("how", ["first", "mean"])
def test_a_table_without_repeats_is_left_alone(how: Repeated) -> None:
    found = resolved(how, ids=["f", "e", "d", "c", "b", "a"])
    assert found.frame.equals(FRAME) and found.rows == list(range(6)) and not found.said


def test_an_unknown_way_is_refused() -> None:
    with pytest.raises(AssertionError, match="something-new"):
        resolved(UNKNOWN)
