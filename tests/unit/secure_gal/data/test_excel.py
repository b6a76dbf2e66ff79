"""Workbooks: cells as they were typed, and a refusal where the table begins is a guess."""

from __future__ import annotations

import sys
from collections.abc import Callable
from datetime import date, datetime, time
from pathlib import Path

import polars as pl
import pytest
import xlsxwriter

from secure_gal.data import excel
from secure_gal.data.excel import read_excel
from secure_gal.errors import DataError

HEADER = ("id", "x")


@pytest.fixture
def book(tmp_path: Path) -> Callable[..., Path]:
    """Writes a workbook: by name of a sheet, its rows."""

    def write(merged: str = "", **sheets: list[tuple[object, ...]]) -> Path:
        path = tmp_path / "book.xlsx"
        with xlsxwriter.Workbook(path, {"default_date_format": "yyyy-mm-dd"}) as made:
            for name, rows in sheets.items():
                sheet = made.add_worksheet(name)
                if merged:
                    sheet.merge_range(merged, "Admissions of 2020")
                for number, row in enumerate(rows):
                    sheet.write_row(number, 0, row)
        return path

    return write


def test_cells_are_what_was_typed(book: Callable[..., Path]) -> None:
    day, moment = date(2020, 1, 2), datetime(2020, 1, 2, 3, 4)
    header = ("id", "x", "whole", "day", "moment", "yes", "code")
    path = book(data=[header, ("007", 0.1, 3, day, moment, True, "A1"), ("8", None, 4, day, moment, False, None)])
    frame = read_excel(path).frame
    assert frame.rows() == [("007", 0.1, 3, day, moment, True, "A1"), ("8", None, 4, day, moment, False, None)]
    kinds = [pl.String, pl.Float64, pl.Int64, pl.Date, pl.Datetime("us"), pl.Boolean, pl.String]
    assert frame.dtypes == kinds


def test_a_marker_after_many_numbers_stays_and_changes_none_of_them(book: Callable[..., Path]) -> None:
    """fastexcel makes it a missing value without a word, or rounds the numbers to nine decimals."""
    numbers = [i / 7 for i in range(1200)]
    frame = read_excel(book(data=[HEADER, *((i, value) for i, value in enumerate(numbers)), (1200, "NULL")])).frame
    assert frame["x"][-1] == "NULL"
    assert frame["x"][:-1].cast(pl.Float64).to_list() == [float(f"{value:.16G}") for value in numbers]


def test_of_several_sheets_one_must_be_named(book: Callable[..., Path]) -> None:
    path = book(first=[HEADER, (1, 2)], second=[HEADER, (3, 4)])
    with pytest.raises(DataError, match=r"has 2 sheets: 'first', 'second'; name one: \[data\] sheet"):
        read_excel(path)
    with pytest.raises(DataError, match="has no sheet 'third'; its sheets are 'first', 'second'"):
        read_excel(path, "third")
    assert read_excel(path, "second").frame.rows() == [(3, 4)]


@pytest.mark.parametrize(
    ("merged", "rows"),
    [
        ("A1:B1", [(), HEADER, (1, 2)]),
        ("", [("Admissions of 2020",), HEADER, (1, 2)]),
        ("", []),
    ],
    ids=["merged", "one cell", "nothing"],
)
def test_a_title_where_the_header_belongs_is_refused(
    book: Callable[..., Path], merged: str, rows: list[tuple[object, ...]]
) -> None:
    with pytest.raises(DataError, match=r"has a title, merged cells or nothing where the names .* belong; delete"):
        read_excel(book(merged, data=rows))


@pytest.mark.parametrize(
    ("header", "words"),
    [
        ((1, 2.5), "first row holds 1"),
        (("id", "id"), "more than one column 'id'"),
        (("id", None, "x"), "column 2 has no"),
    ],
)
def test_a_header_that_names_no_columns_is_refused(
    book: Callable[..., Path], header: tuple[object, ...], words: str
) -> None:
    with pytest.raises(DataError, match=words):
        read_excel(book(data=[header, (1, 2, 3)]))


def test_rows_without_a_value_are_left_out(book: Callable[..., Path]) -> None:
    assert read_excel(book(data=[HEADER, (1, 2), (), (3, 4), (" ",)])).frame.height == 3


def test_a_column_that_is_left_out_may_hold_anything(book: Callable[..., Path]) -> None:
    path = book(data=[("id", "how long"), ("a", time(1))])
    with pytest.raises(DataError, match="'how long' holds times of day"):
        read_excel(path)
    assert read_excel(path, taken=["id"]).frame.rows() == [("a",)]


def test_a_cell_far_from_the_table_is_refused_and_fills_no_memory(book: Callable[..., Path], tmp_path: Path) -> None:
    path = tmp_path / "far.xlsx"
    with xlsxwriter.Workbook(path) as made:
        sheet = made.add_worksheet()
        sheet.write(0, 0, "id")
        sheet.write(1_048_575, 16_383, 1)
    with pytest.raises(DataError, match=r"reader ended|more than 200000000 cells"):
        read_excel(path)


def test_what_is_no_workbook_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "table.xlsx"
    path.write_text("id,x\n1,2\n")
    with pytest.raises(DataError, match=r"cannot be read as a workbook .*save it again as \.xlsx"):
        read_excel(path)


def test_without_the_package_the_fix_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(excel, "find_spec", {}.get)
    with pytest.raises(DataError, match=r'pip install "secure-gal\[excel\]"'):
        read_excel(Path(sys.executable))
