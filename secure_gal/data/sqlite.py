"""A query of a SQLite file, by the standard library: read-only by the file's mode and by an authorizer.

ADBC's driver is not used here: it writes the numbers of a column that also holds text with seven digits, runs the first
of several statements without a word, and lets a query attach, and so make, other files.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Collection
from contextlib import closing
from pathlib import Path

import polars as pl

from secure_gal.data.cells import Cells
from secure_gal.data.plain_types import Taken, check_names, chosen
from secure_gal.errors import DataError

ROWS_AT_A_TIME = 10_000
"""Held as Python objects before they become columns."""
BUSY_SECONDS = 10.0
"""How long to wait for a program that is writing."""
READING = frozenset({sqlite3.SQLITE_SELECT, sqlite3.SQLITE_READ, sqlite3.SQLITE_FUNCTION, sqlite3.SQLITE_RECURSIVE})
"""All that a query may do; loading extensions is off."""


def read_sqlite(file: Path, query: str, where: str, taken: Collection[str] | None = None) -> Taken:
    """The rows that one SELECT gives.

    Args:
        taken: the columns that take part, None for all; the others are not kept.

    Returns:
        N rows; each column as `secure_gal.data.cells.Cells` says, since SQLite gives each value a type of its own.

    Raises:
        DataError: no such file, no SQLite file, a query that is not one SELECT, or any other error of SQLite's.
    """
    if not file.is_file():
        raise DataError(where, f"`source`: no such file {file}; sqlite:///NAME is relative to the party file")
    try:
        address = f"{file.absolute().as_uri()}?mode=ro"
        with closing(sqlite3.connect(address, uri=True, timeout=BUSY_SECONDS)) as connection:
            connection.set_authorizer(_authorized)
            return _fetched(connection.execute(query), where, taken)
    except (sqlite3.Error, sqlite3.Warning, ValueError) as error:
        raise DataError(where, f"`query`: {_reason(error)}") from error


def _authorized(action: int, *_: object) -> int:
    return sqlite3.SQLITE_OK if action in READING else sqlite3.SQLITE_DENY


def _fetched(cursor: sqlite3.Cursor, where: str, taken: Collection[str] | None) -> Taken:
    if cursor.description is None:
        raise DataError(where, "`query` gives no columns; write one SELECT")
    names = [name for name, *_ in cursor.description]
    check_names(names, where)
    read, others = chosen(names, taken)
    place = {name: number for number, name in enumerate(names)}
    columns = {place[name]: Cells(name) for name in read}
    while rows := cursor.fetchmany(ROWS_AT_A_TIME):
        for at, column in columns.items():
            column.add([row[at] for row in rows])
    return Taken(pl.DataFrame([column.series() for column in columns.values()]), others)


def _reason(error: Exception) -> str:
    said = str(error)
    if said in ("not authorized", "authorization denied") or said.startswith("access to"):
        return "does more than read; write one SELECT"
    if "one statement at a time" in said:
        return "is more than one statement; write one SELECT"
    if "readonly database" in said:
        return "the file was left in the middle of a change; open it once with the program that writes it"
    if "not a database" in said or "malformed" in said:
        return f"the file is no SQLite database, or is damaged ({said})"
    return f"SQLite refused it: {said}; correct the query, or the names in it"
