"""Delimited text through polars: as text, or with its plain numbers read at once; every failure names the line."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path

import polars as pl

from secure_gal.data.dialect import Dialect
from secure_gal.errors import DataError

SEPARATOR = "\x1f"
"""The unit separator of ASCII, which no text holds: a file read with it comes line by line."""


def read_delimited(where: str, source: Path | bytes, dialect: Dialect, floats: Sequence[str] = ()) -> pl.DataFrame:
    """All columns as String, null where nothing is written; those in `floats` as Float64.

    Args:
        where: the file, for messages.
        source: a file in UTF-8, or its bytes, in UTF-8 too.
        floats: columns of plain numbers.

    Raises:
        DataError: lines of unequal length, a name twice in the header, an open quote, nothing but a header.
        pl.exceptions.PolarsError: a value in `floats` is no number.
    """
    if dialect.skip_initial_space and _quoted(source):
        source = _rewritten(where, source, dialect)
    try:
        header = _read(source, dialect, n_rows=0).columns
        names = _names(where, header)
        asked = [old for name, old in zip(names, header, strict=True) if name in set(floats)]
        frame = _read(source, dialect, floats=asked)
    except pl.exceptions.NoDataError:
        raise DataError(where, "has no rows: it is empty, or it is no table") from None
    except (pl.exceptions.PolarsError, OSError) as error:
        if floats:
            raise
        raise DataError(where, _explained(source, dialect, str(error).splitlines()[0])) from error
    frame.columns = names
    if not frame.height:
        raise DataError(where, "has a header and no rows")
    if frame.width > 1 and frame[:, -1].has_nulls():
        _check_width(where, source, dialect, frame.width)
    return frame


def _read(
    source: Path | bytes, dialect: Dialect, n_rows: int | None = None, floats: Sequence[str] = ()
) -> pl.DataFrame:
    return pl.read_csv(
        source,
        separator=dialect.delimiter,
        quote_char=dialect.quote_char or None,
        skip_lines=dialect.header_row - 1,
        comment_prefix=dialect.comment_char or None,
        infer_schema=False,
        n_rows=n_rows,
        schema_overrides={name: pl.Float64 for name in floats},
        glob=False,
    )


def _names(where: str, header: Sequence[str]) -> list[str]:
    """Column names without blanks at the ends; DataError for one that stands there twice.

    polars would go on with the second one under another name.
    """
    names = [name.strip().strip('"').strip() for name in header]
    twice = [name for name in names if names.count(name) > 1 or f"{name}_duplicated_0" in names]
    if twice:
        raise DataError(where, f"has more than one column {twice[0]!r} in its header; rename or remove one")
    return names


def _text(source: Path | bytes) -> io.StringIO:
    raw = source if isinstance(source, bytes) else source.read_bytes()
    return io.StringIO(raw.decode("utf-8", errors="replace"))


def _quoted(source: Path | bytes) -> bool:
    return b'"' in (source if isinstance(source, bytes) else source.read_bytes())


def _rewritten(where: str, source: Path | bytes, dialect: Dialect) -> bytes:
    """The same lines without blanks after separators: polars takes a quote after a blank for a letter."""
    out = io.StringIO()
    reader = csv.reader(_text(source), delimiter=dialect.delimiter, skipinitialspace=True)
    try:
        csv.writer(out, delimiter=dialect.delimiter, lineterminator="\n").writerows(reader)
    except csv.Error as error:
        raise DataError(where, f"line {reader.line_num} cannot be read: {error}") from error
    return out.getvalue().encode()


def _check_width(where: str, source: Path | bytes, dialect: Dialect, width: int) -> None:
    """DataError for a line with too few values, which polars fills up without a word."""
    lines = Dialect(SEPARATOR, "", False, dialect.header_row, dialect.comment_char)
    if not _quoted(source):
        rows = _read(source, lines)[:, 0]
        short = (rows.str.count_matches(dialect.delimiter, literal=True) < width - 1).fill_null(True)
        if not bool(short.any()):
            return
    problem = _uneven(source, dialect, width)
    if problem:
        raise DataError(where, problem)


def _uneven(source: Path | bytes, dialect: Dialect, width: int) -> str:
    """The first line with another number of values than the header, in words; empty where there is none."""
    text = _text(source)
    for _ in range(dialect.header_row - 1):
        text.readline()
    reader = csv.reader(text, delimiter=dialect.delimiter, skipinitialspace=dialect.skip_initial_space)
    try:
        for row in reader:
            if dialect.comment_char and row and row[0].startswith(dialect.comment_char):
                continue
            if len(row) != width and row:
                return (
                    f"line {reader.line_num + dialect.header_row - 1} has {len(row)} values and the header {width}; "
                    "correct it (a value with a separator in it needs quotes)"
                )
    except csv.Error as error:
        return f"line {reader.line_num + dialect.header_row - 1} cannot be read: {error}"
    return ""


def _explained(source: Path | bytes, dialect: Dialect, what: str) -> str:
    """What polars said, and the line where it can be found."""
    try:
        width = _read(source, dialect, n_rows=0).width
    except (pl.exceptions.PolarsError, OSError):
        width = 0
    found = _uneven(source, dialect, width) if width else ""
    return found or f"cannot be read as delimited text ({what}); is a quote left open?"
