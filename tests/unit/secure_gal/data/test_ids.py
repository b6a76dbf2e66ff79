"""Ids in one written form: the rules, what they keep apart, what cannot be used."""

from __future__ import annotations

import unicodedata

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from secure_gal.data.ids import FORMS, MAX_ID_BYTES, IdForm, normalise, write, write_ids, written
from secure_gal.errors import DataError


@pytest.mark.parametrize(
    ("form", "value", "expected"),
    [
        ("text", " Ab ", "Ab"),
        ("text", "e\u0301", "\u00e9"),
        ("text", "\u2003x\u00a0", "x"),
        ("text", 7, "7"),
        ("text", -7, "-7"),
        ("lower", "\u00c9A\t", "\u00e9a"),
        ("lower", "E\u0301", "\u00e9"),
        ("digits", "NHS 943-476 5919", "9434765919"),
        ("digits", "\u0661\u0662-\uff13", "123"),
        ("digits", "007", "007"),
    ],
)
def test_rules_of_normalisation(form: IdForm, value: object, expected: str) -> None:
    assert normalise([[value]], form, "t.csv") == [expected]


@settings(max_examples=200, deadline=None)
@given(text=st.text(min_size=1, max_size=20), form=st.sampled_from(FORMS))
def test_normalisation_is_stable_and_blind_to_composition(text: str, form: IdForm) -> None:
    try:
        once = normalise([[text]], form, "t.csv")
    except DataError:
        return
    assert normalise([once], form, "t.csv") == once
    assert normalise([[unicodedata.normalize("NFD", f" {text}\n")]], form, "t.csv") == once
    assert once[0] == once[0].strip()
    assert unicodedata.is_normalized("NFC", once[0])


@settings(max_examples=200, deadline=None)
@given(rows=st.sets(st.tuples(*[st.text(alphabet="1:a2", min_size=1, max_size=4)] * 2), min_size=1, max_size=20))
def test_ids_of_several_columns_stay_apart(rows: set[tuple[str, str]]) -> None:
    ids = normalise(list(zip(*sorted(rows), strict=True)), "text", "t.csv")
    assert len(set(ids)) == len(rows)


def test_plain_joining_would_not_keep_them_apart() -> None:
    rows = [("ab", "c"), ("a", "bc"), ("1:a", "b"), ("1", ":ab")]
    assert len({"".join(row) for row in rows}) < len(rows)
    assert normalise(list(zip(*rows, strict=True)), "text", "t.csv")[:2] == ["2:ab1:c", "1:a2:bc"]


@pytest.mark.parametrize(
    ("columns", "form", "message"),
    [
        ([["a", "a"]], "text", "1 id stands more than once, in 2 rows in all; the first, 'a', in rows 1, 2"),
        (
            [["b", "a", "a", "b", "b"]],
            "text",
            "2 ids stand more than once, in 5 rows in all; the first, 'b', in rows 1, 4, 5",
        ),
        ([["Ab", "x", "aB "]], "lower", "in rows 1, 3: 'Ab' and 'aB ' stand for one id under the rule 'lower'"),
        ([["a", "a"], ["b", "b"]], "text", "the first, 'a', 'b', in rows 1, 2"),
        ([["a"] * 9], "text", "in rows 1, 2, 3, 4, 5 and 4 more"),
        ([["1-2", "12"]], "digits", "stand for one id"),
        ([["e\u0301", "\u00e9"]], "text", "stand for one id"),
        ([["a", " "]], "text", "row 2: nothing is left"),
        ([["x"]], "digits", "nothing is left of the id 'x' under the rule 'digits'"),
        ([["a"], [""]], "text", "nothing is left"),
        ([["a", None]], "text", "row 2 has no id"),
        ([["1", 1]], "text", "text and numbers mixed"),
        ([[1, 2.0]], "text", "row 2 has 2.0 as id"),
        ([[1, True]], "text", "row 2 has True as id"),
        ([["a"], ["b", "c"]], "text", "equal length"),
        ([], "text", "one or more columns"),
        ([["a\ud800"]], "text", "not valid Unicode"),
        ([["\u00e9" * (MAX_ID_BYTES // 2 + 1)]], "text", "longer than 1024 bytes"),
    ],
)
def test_ids_that_cannot_be_used(columns: list[list[object]], form: IdForm, message: str) -> None:
    with pytest.raises(DataError) as caught:
        normalise(columns, form, "t.csv")
    assert str(caught.value).startswith("t.csv: ")
    assert message in str(caught.value)


@pytest.mark.parametrize("form", FORMS)
@settings(deadline=None)
@given(st.lists(st.text(st.characters(codec="utf-8") | st.sampled_from("09aZ \t\x1f\u00c9\u0661\u2003")), min_size=1))
def test_a_column_of_ids_is_written_as_each_of_them(form: IdForm, values: list[str]) -> None:
    assert written(pl.Series(values, dtype=pl.String), form).to_list() == [write(value, form) for value in values]


def test_ids_may_repeat_where_the_caller_says_what_becomes_of_them() -> None:
    assert write_ids([["A ", "b", "a"]], "lower", "t.csv") == ["a", "b", "a"]
    with pytest.raises(DataError, match="row 2: nothing is left"):
        write_ids([["a", " ", "a"]], "text", "t.csv")


def test_the_longest_id_passes() -> None:
    assert normalise([["\u00e9" * (MAX_ID_BYTES // 2)]], "text", "t.csv")
