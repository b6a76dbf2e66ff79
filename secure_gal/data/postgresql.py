"""A query of PostgreSQL through its ADBC driver, in a read-only transaction; passwords are libpq's own business.

libpq takes a password from PGPASSWORD, or from ~/.pgpass (PGPASSFILE), which it ignores unless its mode is 0600.
"""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Iterable
from importlib import import_module
from types import ModuleType
from typing import Any

import polars as pl

from secure_gal.data.plain_types import Taken, check_names, chosen, nearest, refused
from secure_gal.errors import DataError

CONNECTION = {
    "connect_timeout": "10",
    "keepalives_idle": "30",
    "keepalives_interval": "10",
    "keepalives_count": "3",
    "fallback_application_name": "secure-gal",
}
"""Unless the URI says otherwise: seconds until a host that does not answer is given up, and a minute for a line that
has gone dead during the query."""
ENVIRONMENT = {"connect_timeout": "PGCONNECT_TIMEOUT"}
PLAIN_FORMATS = ("b", "s", "i", "l", "f", "g", "u", "tdD", "tsu:", "tsu:UTC")
"""Of the Arrow C data interface: booleans, numbers, text, dates, timestamps."""
REWRITE = {
    "uuid": "write {column}::text in the query",
    "citext": "write {column}::text in the query",
    "money": "write {column}::numeric in the query",
    "interval": "write extract(epoch from {column}) in the query, which is seconds",
    "time": "write extract(epoch from {column}) in the query, which is seconds",
}
NOT_PLAIN = ("money", "json", "jsonb")
"""Types that travel as a plain format and are not what it says: money as whole hundredths."""
FIXES = {
    "25006": "the query writes, and the source is only read; write one SELECT",
    "42601": "correct the query, which must be one SELECT",
    "42P01": "correct the name, or give its schema (schema.table)",
    "42703": "correct the name of the column",
    "42501": "let the database's administrator GRANT SELECT to this user",
    "57014": "the query took longer than the database allows; make it smaller, or have the limit raised",
}
"""By SQLSTATE, what to do; https://www.postgresql.org/docs/current/errcodes-appendix.html."""
UNREACHED = {
    "no password supplied": "set PGPASSWORD, or a line in ~/.pgpass with mode 0600 (a wider mode is ignored)",
    "password authentication failed": "is it the right user, and the password of PGPASSWORD or ~/.pgpass?",
    "Connection refused": "is the server running, and is that its port?",
    "timeout": "does a firewall stand between, and is that its port?",
    "translate host name": "correct the host's name",
    "does not exist": "correct the name of the user or database",
    "SSL": "correct sslmode and sslrootcert in `source`, or have TLS set up at the server",
}
"""By a word of libpq's, what to look at."""


def read_postgresql(source: str, query: str, where: str, taken: Collection[str] | None = None) -> Taken:
    """The rows that one SELECT gives.

    Args:
        source: a URI for libpq, without a password.
        taken: the columns that take part, None for all; the others do not leave the database.

    Returns:
        N rows. numeric is whole numbers or Float64 (`secure_gal.data.plain_types.nearest`), timestamptz a Datetime in
        UTC, char(n) text without its padding.

    Raises:
        DataError: the server cannot be reached or refuses the user or the query; the query writes, gives no columns, or
            has a column of a type that no learner takes.
    """
    driver, manager, arrow = _packages(where)
    try:
        connection = driver.connect(_with_defaults(source))
    except manager.Error as error:
        raise DataError(where, f"`source`: {_why_unreached(str(error))}") from None
    try:
        with connection, connection.cursor() as cursor:
            cursor.execute("SET TRANSACTION READ ONLY")
            cursor.adbc_statement.set_sql_query(query)
            types, others = _types(arrow.c_schema(cursor.adbc_statement.execute_schema()), where, taken)
            cursor.execute(_selected(query, None if taken is None else types))
            frame = pl.DataFrame(cursor.fetch_arrow())
    except (manager.Error, pl.exceptions.PolarsError) as error:
        raise DataError(where, f"`query`: {_why_refused(error)}") from None
    return Taken(frame.with_columns(_value(frame[name], kind) for name, kind in types.items()), others)


def _packages(where: str) -> tuple[ModuleType, ModuleType, ModuleType]:
    try:
        names = ("adbc_driver_postgresql.dbapi", "adbc_driver_manager.dbapi", "nanoarrow")
        driver, manager, arrow = (import_module(name) for name in names)
    except ImportError:
        raise DataError(where, 'reading PostgreSQL needs: pip install "secure-gal[sql]"') from None
    return driver, manager, arrow


def _with_defaults(source: str) -> str:
    given = source.partition("?")[2]
    due = [
        f"{name}={value}"
        for name, value in CONNECTION.items()
        if f"{name}=" not in given and ENVIRONMENT.get(name, "") not in os.environ
    ]
    return f"{source}{'&' if given else '' if source.endswith('?') else '?'}{'&'.join(due)}"


def _types(schema: Any, where: str, taken: Collection[str] | None) -> tuple[dict[str, str], list[str]]:
    """PostgreSQL's type of each column that takes part, by name, and the names of the others. Asked for before any row:
    at an interval polars would end in a panic."""
    fields = {field.name: field for field in schema.children}
    check_names([field.name for field in schema.children], f"{where}, `query`")
    if not fields:
        raise DataError(where, "`query` gives no columns; write one SELECT")
    read, others = chosen(list(fields), taken)
    types = {}
    for name in read:
        types[name] = kind = dict((fields[name].metadata or {}).items()).get(b"POSTGRESQL:type", b"").decode()
        if fields[name].format not in PLAIN_FORMATS or kind in NOT_PLAIN:
            rewrite = REWRITE.get(kind, "write it as text or numbers in the query").format(column=name)
            words = f"an array ({kind[1:]}[])" if kind.startswith("_") else f"PostgreSQL's type {kind}"
            raise refused(where, name, words, rewrite)
    return types, others


def _selected(query: str, names: Iterable[str] | None) -> str:
    """The query as the driver can put it in brackets, where a comment at its end would hide the closing one; with these
    columns alone, or None for all."""
    select = f"{query.rstrip().removesuffix(';')}\n"
    if names is None:
        return select
    quoted = ", ".join('"' + name.replace('"', '""') + '"' for name in names)
    return f"SELECT {quoted} FROM (\n{select}) AS chosen"  # noqa: S608 - the query is the person's own


def _value(column: pl.Series, kind: str) -> pl.Series:
    if kind == "numeric":
        return nearest(column.ext.storage())
    if kind == "bpchar":  # its padding is no part of the value
        return column.str.strip_chars_end(" ")
    return column


def _why_unreached(said: str) -> str:
    line = " ".join(said.split("Failed to connect: ", 1)[-1].split())
    if "://" in line:  # libpq quotes a malformed URI whole
        return "is malformed; write postgresql://USER@HOST:PORT/DATABASE"
    fix = next((fix for word, fix in UNREACHED.items() if word in line), "")
    return f"{line}{'; ' if fix else ''}{fix}"


def _why_refused(error: Exception) -> str:
    """The server's own words without the query, which it repeats, and what to do."""
    said = re.sub(r"^.*?(ERROR|FATAL):\s*", "", str(error), flags=re.DOTALL).split("\n\nQuery was")[0]
    line = said.split("\nLINE ")[0].split(". SQLSTATE")[0].strip().splitlines()
    state = "25006" if "read-only transaction" in said else getattr(error, "sqlstate", None)  # none while rows arrive
    fix = FIXES.get(state or "", "correct the query")
    return f"PostgreSQL refused it: {line[0] if line else 'no reason given'}; {fix}"
