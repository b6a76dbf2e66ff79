"""Classes with their counts, and what looks wrong with them, before anything is learnt."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from secure_gal.data.encode import LabelCodec
from secure_gal.data.label_form import MOST_CLASSES, label_form, unevenly_split


def warnings(counts: dict[Any, int]) -> list[str]:
    return label_form("y", [label for label, count in counts.items() for _ in range(count)]).warnings()


def test_classes_are_listed_with_counts_and_shares_in_the_order_of_their_codes() -> None:
    labels = ["b"] * 30 + ["10"] * 10 + [9] * 50 + ["a "] * 10
    found = label_form("y", labels)
    assert found.lines() == [
        "label 'y': 4 classes in 100 rows",
        "  '9': 50 (50.0%)",
        "  '10': 10 (10.0%)",
        "  'a': 10 (10.0%)",
        "  'b': 30 (30.0%)",
    ]
    codec = LabelCodec.fit("classification", labels, np.ones(100, dtype=np.bool_))
    assert tuple(label for label, _ in found.classes) == codec.classes


def test_not_more_than_so_many_classes_are_listed() -> None:
    lines = label_form("y", [f"c{i}" for i in range(MOST_CLASSES + 3)]).lines()
    assert len(lines) == MOST_CLASSES + 2 and lines[-1] == "  and 3 more"


@pytest.mark.parametrize(
    "alike",
    [("Yes", "yes"), ("01", "1"), ("0", "00"), ("grade  2", "grade 2"), ("T02", "t2"), ("\u0065\u0301", "\u00e9")],
)
def test_classes_that_look_alike_stay_apart_and_are_warned_of(alike: tuple[str, str]) -> None:
    (text,) = warnings({alike[0]: 40, alike[1]: 60, "other": 100})
    assert "look alike and are different classes" in text and "(40 rows)" in text and "(60 rows)" in text


@pytest.mark.parametrize("marker", ["?", "-", "NA", "Unknown", "n/a", "", -999])
def test_a_class_that_looks_like_a_missing_value_is_warned_of(marker: Any) -> None:
    (text,) = warnings({marker: 20, "yes": 100, "no": 100})
    assert "(20 rows) looks like a missing value" in text


@pytest.mark.parametrize(
    ("rare", "rest", "warned"), [(9, 50, True), (10, 50, False), (19, 981, True), (20, 980, False)]
)
def test_a_class_is_rare_below_ten_rows_or_two_percent(rare: int, rest: int, warned: bool) -> None:
    found = warnings({"yes": rare, "no": rest})
    assert bool(found) == warned
    assert not warned or (f"few rows of 'yes' ({rare})" in found[0] and "threshold" in found[0])
    assert not warned or all(
        word in found[0] for word in ('[data] class_weights = "balanced"', 'row_weights = "sponsor"')
    )


def test_plain_classes_give_no_warning() -> None:
    assert warnings({"yes": 50, "no": 50, 1: 50, 10: 50, 100: 50, 0: 50}) == []


def test_a_class_in_one_part_of_the_split_only_is_said() -> None:
    labels = ["yes", "no", "no", "01", "1", "1"]
    train = np.array([True, True, False, True, True, False])
    (text,) = unevenly_split(labels, {"training": train, "validation": ~train})
    assert text.startswith(
        "class '01' has 1 of training rows and none of validation; class 'yes' has 1 of training rows and none of "
        "validation. The split is drawn by `seed` alone"
    )
    assert (
        unevenly_split(
            ["a", "b", "a", "b"],
            {"training": np.array([True, True, False, False]), "validation": np.array([False, False, True, True])},
        )
        == []
    )
    assert unevenly_split(labels, {"training": np.ones(6, bool), "validation": np.zeros(6, bool)}) == [], "no such part"
