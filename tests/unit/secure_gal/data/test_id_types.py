"""What may be an id: text, whole numbers, days. Everything else is refused by column and type, with the fix."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import polars as pl
import pytest

from secure_gal.data.id_types import id_texts
from secure_gal.errors import DataError


def texts(values: pl.Series) -> list[str]:
    return id_texts(pl.DataFrame({"x": [0] * len(values), "id": values}), ["id"], "t.parquet")["id"].to_list()


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (pl.Series(["007", " 7", "P-1"]), ["007", " 7", "P-1"]),
        (pl.Series([1, -2], dtype=pl.Int8), ["1", "-2"]),
        (pl.Series([2**64 - 1], dtype=pl.UInt64), ["18446744073709551615"]),
        (pl.Series([date(1980, 2, 1)]), ["1980-02-01"]),
        (pl.Series(["a", "b"], dtype=pl.Categorical), ["a", "b"]),
        (pl.Series(["a", "b"], dtype=pl.Enum(["b", "a"])), ["a", "b"]),
        (pl.Series(["1.1", "1.0"]), ["1.1", "1.0"]),
        (pl.Series(["A1.0", "7"]), ["A1.0", "7"]),
        (pl.Series(["12e45", "1E+5"]), ["12e45", "1E+5"]),
    ],
)
def test_what_is_an_id_comes_as_text(values: pl.Series, expected: list[str]) -> None:
    assert texts(values) == expected


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (
            pl.Series([1001.0, 1002.0]),
            "'id' has the type float64 (the first is 1001.0); a number with a fraction is no",
        ),
        (pl.Series([None, 7.0], dtype=pl.Float32), "has the type float32 (the first is 7.0)"),
        (pl.Series([Decimal("1.50")]), "has the type decimal"),
        (pl.Series([True]), "has the type boolean (the first is True); ids are text, whole numbers or days"),
        (pl.Series([datetime(2020, 1, 1, 12)]), "write the day alone"),
        (pl.Series([timedelta(seconds=1)]), "has the type duration"),
        (pl.Series([[1, 2]]), "has the type list(int64); ids are text"),
        (pl.Series([{"a": 1}]), "has the type struct"),
        (pl.Series([b"a"]), "has the type binary"),
        (pl.Series(["1001", None, "1002.0"]), "row 3 has '1002.0' in the id column 'id'"),
        (pl.Series([" 1001.0"]), "a whole number that was written as floating point"),
        (pl.Series(["12345678", "1.23457E+11"]), "row 2 has '1.23457E+11' in the id column 'id': a long number whose"),
    ],
)
def test_what_is_no_id_is_refused_with_the_fix(values: pl.Series, message: str) -> None:
    with pytest.raises(DataError) as caught:
        texts(values)
    assert str(caught.value).startswith("t.parquet: ") and message in str(caught.value)
    assert any(fix in str(caught.value) for fix in ("dtype=str", "write the day", "formatted as text"))


def test_floats_in_a_parquet_file_are_no_ids(tmp_path: Path) -> None:
    pl.DataFrame({"id": [1000.0, 1001.0]}).write_parquet(tmp_path / "t.parquet")
    with pytest.raises(DataError, match="'id' has the type float64"):
        id_texts(pl.read_parquet(tmp_path / "t.parquet"), ["id"], "t.parquet")
