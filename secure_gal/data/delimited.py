"""Delimited text through polars: as text, or with its plain numbers read at once; every failure names the line."""

from __future__ import annotations

import csv
import io
import mmap
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

import polars as pl

from secure_gal.data.dialect import Dialect
from secure_gal.errors import DataError


def read_delimited(
    where: str, source: Path | bytes, dialect: Dialect, floats: Mapping[str, str] | None = None
) -> pl.DataFrame:
    """All columns as String, null where nothing is written; those in `floats` as Float64.

    Args:
        where: the file, for messages.
        source: a file in UTF-8, or its bytes, in UTF-8 too.
        floats: columns of plain numbers, each with the text that stands for a missing value in it, or nothing.

    Raises:
        DataError: lines of unequal length, a name twice in the header, an open quote, nothing but a header.
        pl.exceptions.PolarsError: a value in `floats` is no number.
    """
    if dialect.skip_initial_space and b'"' in _bytes(source):
        source = _rewritten(where, source, dialect)
    try:
        header = _read(source, dialect, n_rows=0).columns
        names = _names(where, header)
        given = dict(zip(names, header, strict=True))
        asked = {given[name]: marker for name, marker in (floats or {}).items() if name in given}
        marked = {name: marker for name, marker in asked.items() if marker} or None
        frame = _read(source, dialect, schema_overrides=dict.fromkeys(asked, pl.Float64), null_values=marked)
    except pl.exceptions.NoDataError:
        raise DataError(where, "has no rows: it is empty, or it is no table") from None
    except (pl.exceptions.PolarsError, OSError) as error:
        if floats:
            raise
        raise DataError(where, _explained(source, dialect, str(error).splitlines()[0])) from error
    frame.columns = names
    while frame.height and frame.row(-1) == (None,) * frame.width:
        frame = frame[:-1]  # a blank line at the end
    if not frame.height:
        raise DataError(where, "has a line that is taken for the header, and no rows; is it CSV?")
    if _holds(source, b'\\"'):
        _check_quotes(where, source, dialect)
    if frame.width > 1 and frame[:, -1].has_nulls():
        _check_width(where, source, dialect, frame.shape)
    return frame


def _read(
    source: Path | bytes,
    dialect: Dialect,
    n_rows: int | None = None,
    schema_overrides: Mapping[str, type[pl.DataType]] | None = None,
    null_values: dict[str, str] | None = None,
) -> pl.DataFrame:
    return pl.read_csv(
        source,
        separator=dialect.delimiter,
        quote_char=dialect.quote_char or None,
        has_header=dialect.header_row > 0,
        skip_lines=max(0, dialect.header_row - 1),
        comment_prefix=dialect.comment_char or None,
        infer_schema=False,
        glob=False,
        n_rows=n_rows,
        schema_overrides=schema_overrides,
        null_values=null_values,
    )


def _names(where: str, header: Sequence[str]) -> list[str]:
    """Column names without blanks at the ends; DataError for one that stands there twice.

    polars would go on with the second one under another name.
    """
    names = [name.strip().strip('"').strip() for name in header]
    times = Counter(names)
    twice = [name for name in names if times[name] > 1 or f"{name}_duplicated_0" in times]
    if twice:
        raise DataError(where, f"has more than one column {twice[0]!r} in its header; rename or remove one")
    return names


def _bytes(source: Path | bytes) -> bytes:
    return source if isinstance(source, bytes) else source.read_bytes()


def _text(source: Path | bytes) -> io.StringIO:
    return io.StringIO(_bytes(source).decode("utf-8", errors="replace"))


def _rewritten(where: str, source: Path | bytes, dialect: Dialect) -> bytes:
    """The same lines without blanks after separators: polars takes a quote after a blank for a letter."""
    out = io.StringIO()
    reader = csv.reader(_text(source), delimiter=dialect.delimiter, skipinitialspace=True)
    try:
        csv.writer(out, delimiter=dialect.delimiter, lineterminator="\n").writerows(reader)
    except csv.Error as error:
        raise DataError(where, f"line {reader.line_num} cannot be read: {_in_words(error)}") from error
    return out.getvalue().encode()


def _holds(source: Path | bytes, what: bytes) -> bool:
    if isinstance(source, bytes):
        return what in source
    with source.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as whole:
        return whole.find(what) >= 0


def _check_quotes(where: str, source: Path | bytes, dialect: Dialect) -> None:
    """DataError where a quoted value goes on after its closing quote, as where quotes within are written with a
    backslash: polars would take the lines up to the next quote for one value without a word."""
    reader = csv.reader(_text(source), delimiter=dialect.delimiter, strict=True)
    try:
        for _ in reader:
            pass
    except csv.Error as error:
        raise DataError(where, f"line {reader.line_num} cannot be read: {_in_words(error)}") from None


def _in_words(error: csv.Error) -> str:
    said = str(error)
    if "new-line character" in said:
        return "a carriage return stands within it; all lines must end alike"
    if "expected after" in said:
        return r'a quote stands within a value; write it twice, "" (not \"), and the value between quotes'
    if "field larger" in said:
        return "a value is longer than 131,072 characters; is a quote left open?"
    return said


def _check_width(where: str, source: Path | bytes, dialect: Dialect, shape: tuple[int, int]) -> None:
    """DataError for a line with too few values, which polars fills up without a word.

    A line with too many is refused by polars; so where no value holds a separator, counting them all is enough.
    """
    raw, (rows, width) = _bytes(source), shape
    lines = rows + (dialect.header_row > 0)
    if b'"' not in raw and raw.count(dialect.delimiter.encode()) == lines * (width - 1):
        return
    problem = _uneven(source, dialect, width)
    if problem:
        raise DataError(where, problem)


def _uneven(source: Path | bytes, dialect: Dialect, width: int) -> str:
    """The first line with another number of values than the header, in words; empty where there is none."""
    text = _text(source)
    above = max(0, dialect.header_row - 1)
    for _ in range(above):
        text.readline()
    reader = csv.reader(text, delimiter=dialect.delimiter, skipinitialspace=dialect.skip_initial_space)
    try:
        for row in reader:
            if dialect.comment_char and row and row[0].startswith(dialect.comment_char):
                continue
            if len(row) != width and row:
                return (
                    f"line {reader.line_num + above} has {len(row)} values and the header {width}; "
                    "correct it (a value with a separator in it needs quotes)"
                )
    except csv.Error as error:
        return f"line {reader.line_num + above} cannot be read: {_in_words(error)}"
    return ""


def _explained(source: Path | bytes, dialect: Dialect, what: str) -> str:
    """What polars said, and the line where it can be found."""
    try:
        width = _read(source, dialect, n_rows=0).width
    except (pl.exceptions.PolarsError, OSError):
        width = 0
    found = _uneven(source, dialect, width) if width else ""
    if not found:
        lines = enumerate(_bytes(source).split(b"\n"), 1)
        odd = next((number for number, line in lines if line.count(b'"') % 2), None)
        found = f"line {odd} has an odd number of quotes: one is left open, or stands within a value" if odd else ""
    return found or f"cannot be read as delimited text ({what}); is a quote left open?"
