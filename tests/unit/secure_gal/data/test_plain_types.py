"""Columns of files and databases that come with types: a few plain types, or a refusal in words."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import polars as pl
import pytest

from secure_gal.data.plain_types import check_names, nearest, plain_columns
from secure_gal.errors import DataError

BEYOND = pl.Series("x", [0, 1 << 30], dtype=pl.Int32)
"""Days; the second is PostgreSQL's `infinity` as it arrives: year 2,941,767."""


def plain(column: pl.Series) -> pl.Series:
    return plain_columns(pl.DataFrame([column.alias("x")]), "t.parquet")["x"]


@pytest.mark.parametrize(
    ("given", "becomes"),
    [
        (pl.Series([1, None], dtype=pl.Int8), pl.Series([1, None], dtype=pl.Int64)),
        (pl.Series([2**64 - 1], dtype=pl.UInt64), pl.Series([2**64 - 1], dtype=pl.UInt64)),
        (pl.Series([1.5], dtype=pl.Float32), pl.Series([1.5], dtype=pl.Float64)),
        (pl.Series(["a", "b"], dtype=pl.Categorical), pl.Series(["a", "b"])),
        (pl.Series(["a"], dtype=pl.Enum(["a", "b"])), pl.Series(["a"])),
        (pl.Series([True, None]), pl.Series([True, None])),
        (pl.Series([None, None], dtype=pl.Null), pl.Series([None, None], dtype=pl.String)),
        (pl.Series([date(2020, 1, 2)]), pl.Series([date(2020, 1, 2)])),
    ],
    ids=lambda column: str(column.dtype),
)
def test_types_that_become_plain_ones(given: pl.Series, becomes: pl.Series) -> None:
    assert plain(given).dtype == becomes.dtype and plain(given).to_list() == becomes.to_list()


@pytest.mark.parametrize("unit", ["ms", "us", "ns"])
def test_a_timestamp_with_a_zone_becomes_utc_without_one(unit: Any) -> None:
    moment = datetime(2020, 7, 1, 12, tzinfo=ZoneInfo("Europe/Zurich"))
    given = pl.Series([moment, None]).dt.cast_time_unit(unit)
    assert plain(given).to_list() == [moment.astimezone(UTC).replace(tzinfo=None), None]
    assert plain(given).dtype == pl.Datetime("us")


def test_a_decimal_is_the_nearest_float_where_a_division_would_round_twice() -> None:
    written = ["9007199254740993.5", "123456789012345678.123", "0.30000000000000004"]
    assert nearest(pl.Series(written)).to_list() == [float(text) for text in written]


def test_whole_decimals_beyond_64_bits_are_floats_and_not_missing() -> None:
    assert nearest(pl.Series(["1" + "0" * 20, "1"])).to_list() == [1e20, 1.0]


@pytest.mark.parametrize(
    ("column", "words"),
    [
        (pl.Series([time(1)]), "times of day"),
        (pl.Series([timedelta(1)]), "durations"),
        (pl.Series([[1]]), "lists"),
        (pl.Series([[1]], dtype=pl.Array(pl.Int64, 1)), "lists"),
        (pl.Series([{"a": 1}]), "records"),
        (pl.Series([b"a"]), "bytes"),
        (pl.Series([object()], dtype=pl.Object), "objects"),
        (pl.Series(["0.1"]).cast(pl.Decimal(10, 2)), "decimals"),
        (pl.Series(["7"]).cast(pl.Decimal(38, 0)), "decimals"),
        (pl.Series([1], dtype=pl.Int128), "more than 64 bits"),
    ],
    ids=lambda value: str(getattr(value, "dtype", "")),
)
def test_a_type_that_cannot_take_part_is_refused_by_name(column: pl.Series, words: str) -> None:
    frame = pl.DataFrame([column.alias("stay"), pl.Series("id", ["p"])])
    with pytest.raises(DataError, match=f"column 'stay' holds .*{words}.*; .*leave the column out"):
        plain_columns(frame, "t.parquet")


@pytest.mark.parametrize("column", [BEYOND.cast(pl.Date), (BEYOND.cast(pl.Int64) * 86_400_000).cast(pl.Datetime("ms"))])
def test_a_date_that_no_calendar_has_names_its_row(column: pl.Series) -> None:
    with pytest.raises(DataError, match="row 2 of column 'x' has a date outside the years 1 to 9999"):
        plain(column)


def test_the_first_and_last_day_are_dates() -> None:
    ends = [datetime(1, 1, 1), datetime(9999, 12, 31, 23, 59, 59)]
    for unit in ("ms", "us"):
        assert plain(pl.Series(ends, dtype=pl.Datetime(unit))).to_list() == ends
    assert plain(pl.Series([date(1, 1, 1), date(9999, 12, 31)])).len() == 2


@pytest.mark.parametrize(("names", "words"), [(["a", "b", "a"], "more than one column 'a'"), (["a", " "], "column 2")])
def test_columns_without_a_name_of_their_own_are_refused(names: list[str], words: str) -> None:
    with pytest.raises(DataError, match=words):
        check_names(names, "t.xlsx")
