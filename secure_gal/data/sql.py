"""`[data] source`: one query of a database that is only read; a URI never holds a password."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from secure_gal.data.plain_types import Taken, plain_columns
from secure_gal.data.postgresql import read_postgresql
from secure_gal.data.sqlite import read_sqlite
from secure_gal.errors import DataError

POSTGRESQL = ("postgresql://", "postgres://")
SQLITE = "sqlite:///"
SECRETS = ("password=", "sslpassword=", "oauth_client_secret=")
"""Parameters of a URI that libpq would take a secret from."""


def read_sql(source: str, query: str, where: str, taken: Collection[str] | None = None, folder: Path = Path()) -> Taken:
    """The rows that one SELECT gives, sorted by all columns: a database gives them in another order the next time.

    Args:
        source: `postgresql://USER@HOST:PORT/DATABASE?PARAMETERS`, as libpq reads it, or `sqlite:///FILE`.
        where: for errors; it must not quote `source`.
        taken: the columns that take part, None for all; the others are not read.
        folder: what a relative FILE is relative to.

    Returns:
        N rows in plain types (`secure_gal.data.plain_types`).

    Raises:
        DataError: the source is malformed or holds a password, cannot be reached, or refuses the query.
    """
    if not query.strip():
        raise DataError(where, "`query` is empty; write one SELECT")
    if source.startswith(POSTGRESQL):
        check_no_password(source, where)
        return _sorted(read_postgresql(source, query, where, taken), where)
    if source.startswith(SQLITE):
        file = folder / source.removeprefix(SQLITE)
        return _sorted(read_sqlite(file, query, where, taken), where)
    raise DataError(where, "`source` must begin with postgresql:// or sqlite:///")


def _sorted(found: Taken, where: str) -> Taken:
    """Rows have numbers that outlive a process; text is compared by its bytes, so that no locale decides."""
    frame = plain_columns(found.frame, where)
    return Taken(frame.sort(frame.columns, nulls_last=True) if frame.width else frame, found.others)


def check_no_password(source: str, where: str) -> None:
    """Settings files are copied, mailed and printed; DataError, which quotes nothing of the source.

    Everything before the first @ is taken for user and password, also where libpq would read it as something else and
    quote it.
    """
    user, at, _ = source.partition("://")[2].partition("@")
    if (at and ":" in user) or any(name in source.partition("?")[2].lower() for name in SECRETS):
        raise DataError(
            where,
            "`source` holds a password; take it out (postgresql://USER@HOST/DATABASE), change it where this file has "
            "been seen, and give it in the environment as PGPASSWORD, or in ~/.pgpass with mode 0600",
        )
