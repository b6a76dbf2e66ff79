"""A sheet of a workbook as a table, by calamine: each cell is what was typed into it, whatever the others are.

polars' own reader (fastexcel) decides a column's type by its first 1,000 cells, makes a later `NULL` among numbers a
missing value without a word, and writes numbers beside text with nine decimals.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Iterator
from pathlib import Path

import polars as pl
import python_calamine as calamine

from secure_gal.data.cells import Cells
from secure_gal.data.plain_types import Taken, check_names, chosen
from secure_gal.errors import DataError

Cell = int | float | str | bool | dt.time | dt.date | dt.datetime | dt.timedelta
Row = list[Cell]
"""Values by column, as `Cells` takes them; '' for an empty cell."""
ROWS_AT_A_TIME = 10_000
MAX_CELLS = 200_000_000
"""A cell far from the others makes a sheet of the rectangle between them; a sheet has at most 1,048,576 rows."""


def read_workbook(path: Path, sheet: str | None, taken: Collection[str] | None) -> Taken:
    """The table of a sheet; where none is named, of the only one.

    Workbooks know no whole numbers: a column whose numbers are all whole is Int64. An empty cell, and one that shows an
    error such as #DIV/0!, is missing. A row without any value is left out.

    Raises:
        DataError: as `secure_gal.data.excel.read_excel`.
    """
    try:
        with calamine.CalamineWorkbook.from_path(path) as book:
            return _table(book.get_sheet_by_name(_named(path, book, sheet)), f"{path}", taken)
    except calamine.PasswordError:
        raise DataError(str(path), "has a password; save it without one") from None
    except (calamine.CalamineError, OSError) as error:
        raise DataError(str(path), f"cannot be read as a workbook ({error}); save it again as .xlsx") from error


def _named(path: Path, book: calamine.CalamineWorkbook, sheet: str | None) -> str:
    names = [about.name for about in book.sheets_metadata if about.typ is calamine.SheetTypeEnum.WorkSheet]
    shown = ", ".join(repr(name) for name in names[:20])
    if sheet is None and len(names) == 1:
        return names[0]
    if sheet is None:
        raise DataError(str(path), f'has {len(names)} sheets: {shown}; name one: [data] sheet = "..."')
    if sheet not in names:
        raise DataError(str(path), f"has no sheet {sheet!r}; its sheets are {shown}")
    return sheet


def _table(sheet: calamine.CalamineSheet, path: str, taken: Collection[str] | None) -> Taken:
    where = f"{path}, sheet {sheet.name!r}"
    if sheet.total_height * sheet.total_width > MAX_CELLS:
        raise DataError(where, f"has more than {MAX_CELLS} cells; delete what stands far from the table")
    rows = sheet.iter_rows()
    names = _header(next(rows, []), sheet, where)
    read, others = chosen(names, taken)
    place = {name: number for number, name in enumerate(names)}
    columns = {place[name]: Cells(name, whole=True) for name in read}
    for block in _blocks(rows):
        for at, column in columns.items():
            column.add([None if row[at] == "" else row[at] for row in block])
    return Taken(pl.DataFrame([column.series() for column in columns.values()]), others)


def _header(first: Row, sheet: calamine.CalamineSheet, where: str) -> list[str]:
    """The names in the first row; titles above a header are refused, since where the table begins is then a guess."""
    above = [merged for merged in sheet.merged_cell_ranges or [] if merged[0][0] <= (sheet.start or (0, 0))[0]]
    named = [name for name in first if name != ""]
    if above or (len(first) > 1 and len(named) == 1) or not named:
        raise DataError(
            where,
            "has a title, merged cells or nothing where the names of the columns belong; delete what is above them",
        )
    if not all(isinstance(name, str) for name in named):
        raise DataError(
            where, f"has no header: its first row holds {next(n for n in named if not isinstance(n, str))!r}"
        )
    names = [str(name) for name in first]
    check_names(names, where)
    return names


def _blocks(rows: Iterator[Row]) -> Iterator[list[Row]]:
    block: list[Row] = []
    for row in rows:
        if any(cell != "" for cell in row):
            block.append(row)
        if len(block) == ROWS_AT_A_TIME:
            yield block
            block = []
    yield block
