"""The form of ids for two people at a telephone: what it says, and that no id can be read off it."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from secure_gal.data.id_form import BLANK, EXAMPLES, FEWEST, ColumnForm, Example, advice, effects_of_forms, form_of
from secure_gal.data.id_mixed import mixed_forms

PADDED = [f"p{i:04d}" for i in range(600)]


def masks(values: list[str]) -> dict[str, int]:
    return {example.mask: example.ids for example in form_of("id", values).examples}


def test_the_lines_say_count_lengths_zeros_case_and_pattern() -> None:
    assert form_of("id", PADDED).lines() == [
        "ids in column 'id': 600, all different; all of 5 characters",
        "  with: zeros at the front of a number (600), only lower-case letters (600)",
        f"  masked (9 digit, A upper-case, a other letter, x either, {BLANK} blank): p9999 (600)",
    ]
    assert form_of("id", [*map(str, range(1, 120)), "7"]).lines()[:2] == [
        "ids in column 'id': 120, 119 different ones; 1 to 3 characters, most often 2 (90)",
        "  with: digits alone, and no zeros at the front",
    ]


def test_letters_and_digits_are_masked_and_other_characters_stay() -> None:
    values = [f"{letter}{i}-7 x" for letter in "ÄBc" for i in range(10, 20)]
    assert masks(values) == {f"A99-9{BLANK}a": 20, f"a99-9{BLANK}a": 10}


def test_what_all_ids_begin_with_is_shown_only_where_there_are_many_and_never_a_digit() -> None:
    assert masks(PADDED) == {"p9999": 600}
    assert masks(PADDED[:19]) == {"a9999": 19}
    assert masks([f"KSB2019-{i:03d}" for i in range(50)]) == {"KSB9999-999": 50}


def test_random_ids_have_one_mask() -> None:
    values = [f"{i * 2654435761 % 2**32:08x}-{i * 40503 % 2**16:04x}" for i in range(1, 400)]
    assert masks(values) == {"xxxxxxxx-xxxx": 399}


def test_of_a_rare_form_only_the_ends_and_the_length_are_shown() -> None:
    found = masks([*PADDED, "MUELLER-1", "7"])
    assert found == {"a9999": 600, "9...9 of 1": 1, "A...9 of 9": 1}


def test_examples_do_not_depend_on_the_order_of_rows() -> None:
    values = ["a1", "B22", "c333", *PADDED, "9"]
    assert form_of("id", values) == form_of("id", values[::-1])


@settings(max_examples=200, deadline=None)
@given(st.lists(st.text(min_size=1, max_size=12), min_size=1, max_size=40))
def test_no_letter_and_no_digit_of_an_id_is_shown(values: list[str]) -> None:
    found = form_of("id", values)
    assert sum(example.ids for example in found.examples) + found.others == len(values)
    assert len(found.examples) <= EXAMPLES
    for example in found.examples:
        mask, rare, length = example.mask.partition("...")
        assert rare or example.ids >= FEWEST
        shown = mask + length.partition(" of ")[0]
        start = "" if len({*values}) < 20 else next(iter(values))[: len(shown)]
        assert all(c in start or c in f"9Aax?{BLANK}" or (c.isascii() and not c.isalnum()) for c in shown)


def test_the_form_goes_to_json_and_back() -> None:
    found = form_of("id", PADDED)
    assert msgspec.json.decode(msgspec.json.encode(found), type=ColumnForm) == found
    assert found.examples == (Example("p9999", 600),)


def test_what_each_id_form_would_make_of_the_ids() -> None:
    ids = ["P1", "p1", "P-2", "x"]
    said = advice(len(ids), effects_of_forms([ids]), "lower")
    assert said == [
        '  id_form = "text": every id stays different from every other',
        '  id_form = "lower" (this study\'s): not possible, 1 of 4 would become one with another',
        '  id_form = "digits": not possible, nothing would be left of 1 of 4',
    ]
    assert "[protect] ids" in advice(1, effects_of_forms([["a"]]), None)[-1]


def test_ids_of_several_columns_are_judged_together() -> None:
    effects = {e.form: e.different for e in effects_of_forms([["A", "a", "A"], ["1", "1", "2"]])}
    assert effects["text"] == 3 and effects["lower"] == 2


@pytest.mark.parametrize(
    ("values", "warning"),
    [
        (
            ["7", "8", "007"],
            "2 different ids are told apart by zeros at the front of a number alone (the first in rows 1, 3)",
        ),
        (["P7", "P007"], "told apart by zeros at the front"),
        (["P1", "p1"], "2 different ids are told apart by case alone (the first in rows 1, 2)"),
        (["A-1", "A 1", "A1"], "3 different ids are told apart by blanks, dashes"),
        (["001", "12", "7"], "1 of 3 numbers have zeros at the front, yet not all are of one length"),
        (["P1", "q2"], "1 ids have lower-case letters only, and 1 upper-case letters only"),
        (["A-1", "A2"], "1 of 2 ids have a dash"),
    ],
)
def test_mixed_forms_are_warned_of(values: list[str], warning: str) -> None:
    (found,) = mixed_forms(form_of("id", values), values)
    assert found.startswith("id column 'id': ") and warning in found


@pytest.mark.parametrize(
    "values",
    [
        PADDED,
        [str(i) for i in range(1, 200)],
        ["Hans-Peter", "Ann", "O'Neil"],
        ["756.1234", "756.9876"],
        ["a1B", "C2d"],
    ],
)
def test_ids_of_one_form_give_no_warning(values: list[str]) -> None:
    assert mixed_forms(form_of("id", values), values) == []
