"""When two labels are of one class: numbers by their value, codes by their text."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from secure_gal.data.table import read_table
from secure_gal.settings.classes import class_of
from secure_gal.settings.party import DataSettings


@pytest.mark.parametrize(
    ("label", "expected"),
    [
        (1, 1),
        (1.0, 1),
        ("1", 1),
        (" 1.0 ", 1),
        ("-2.50", -2.5),
        ("0", 0),
        ("0.5", 0.5),
        (np.int64(3), 3),
        (2**53 + 1, 2**53 + 1),
        (str(2**53 + 1), 2**53 + 1),
        (1e300, int(1e300)),
        ("yes ", "yes"),
        ("Yes", "Yes"),
        ("01", "01"),
        ("00", "00"),
        ("-01", "-01"),
        ("007.0", "007.0"),
        ("1e3", "1e3"),
        ("1_000", "1_000"),
        ("+1", "+1"),
        ("inf", "inf"),
        ("nan", "nan"),
        ("\u0661", "\u0661"),
        (".5", ".5"),
        ("1.", "1."),
        (True, "True"),
    ],
)
def test_a_label_is_a_number_only_as_numbers_are_written(label: Any, expected: Any) -> None:
    found = class_of(label)
    assert found == expected and type(found) is type(expected)


@pytest.mark.parametrize("file", ["t.csv", "t.parquet", "t.npz"])
def test_codes_with_zeros_at_the_front_are_classes_of_their_own(tmp_path: Path, file: str) -> None:
    frame = pl.DataFrame({"id": ["a", "b", "c"], "x": [1, 2, 3], "y": ["01", "1", "01"]})
    match file:
        case "t.csv":
            frame.write_csv(tmp_path / file)
        case "t.parquet":
            frame.write_parquet(tmp_path / file)
        case _:
            np.savez(
                tmp_path / file,
                x=np.zeros((3, 1, 2, 2)),
                id=np.array(["a", "b", "c"]),
                y=frame["y"].to_numpy().astype("U"),
            )
    labels = read_table(DataSettings(tmp_path / file, "id", "y")).labels or []
    assert [class_of(label) for label in labels] == ["01", 1, "01"]
