"""Columns from cells of several types: every value stays what it was."""

from __future__ import annotations

from datetime import date, datetime

import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st

from secure_gal.data.cells import Cells


def column(*blocks: list[object], whole: bool = False) -> pl.Series:
    cells = Cells("x", whole)
    for block in blocks:
        cells.add(block)
    return cells.series()


def test_cells_of_one_type_are_of_that_type() -> None:
    for values in ([True, None], [1, None], [1.5, None], ["a", None], [date(2020, 1, 2)], [datetime(2020, 1, 2)]):
        assert column(values).to_list() == values
    assert column([None]).dtype == pl.String


def test_whole_numbers_and_others_are_numbers() -> None:
    assert column([1, None], [2.5]).to_list() == [1.0, None, 2.5]


def test_a_marker_among_numbers_leaves_the_numbers_as_they_were() -> None:
    assert column([1, 2.5], ["NULL"], [1e300, 123456.789]).to_list() == ["1.0", "2.5", "NULL", "1e+300", "123456.789"]
    assert column([1], [2, "NULL"]).to_list() == ["1", "2", "NULL"]


def test_how_cells_are_written_does_not_depend_on_where_blocks_end() -> None:
    cells = [1, 2.5, "NULL", None, 3]
    assert column(*[[cell] for cell in cells]).equals(column(cells), null_equal=True)


def test_floats_of_a_workbook_that_are_all_whole_are_whole_numbers() -> None:
    assert column([1.0, None, 1e15], whole=True).to_list() == [1, None, 10**15]
    assert column([1.0, "NULL"], whole=True).to_list() == ["1", "NULL"]
    assert column([1.0, 1.5], whole=True).dtype == column([1e300], whole=True).dtype == pl.Float64


def test_dates_beside_moments_are_moments_and_beside_text_are_text() -> None:
    assert column([date(2020, 1, 2)], [datetime(2020, 1, 2, 3)]).to_list() == [
        datetime(2020, 1, 2),
        datetime(2020, 1, 2, 3),
    ]
    assert column([date(2020, 1, 2), "unknown"]).to_list() == ["2020-01-02", "unknown"]


def test_bytes_beside_other_things_are_bytes() -> None:
    assert column(["a"], [b"b"]).dtype == pl.Binary


@settings(deadline=None)
@given(st.lists(st.floats(allow_nan=False), min_size=1))
def test_numbers_beside_text_read_back_as_the_same_numbers(numbers: list[float]) -> None:
    assert [float(text) for text in column([*numbers, "NULL"]).to_list()[:-1]] == numbers
