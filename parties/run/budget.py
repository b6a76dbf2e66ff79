"""Durable counts of what one table gave away: `budget.db` in the party's home, over all its keys, runs and studies.

*The same data.* A table is counted together with every table of this home that has an id in common with it, that was
read from the same file, or that is counted together with such a one. Ids are compared as they stand in the file,
whatever a study's `id_form` makes of them, without case, white space, punctuation and leading zeros. So a new run
directory, key, study or way of writing ids, a row more or a changed id begins no new count; a table that shares nothing
does.

*The file.* One SQLite database: one transaction spends or refuses, for all processes of this home; entries are only
ever added. It holds 64-bit digests of ids and paths. Whoever deletes it resets every count but sees to it that no run
which began with it goes on (`DataBudget.id`); so does whoever puts an older copy in its place, which nothing can tell.
"""

from __future__ import annotations

import hashlib
import os
import re
import secrets
import sqlite3
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from secure_gal.errors import EnvironmentFailure, SettingsError
from secure_gal.holdings.budget import WORDS, Charge, Kind

if TYPE_CHECKING:
    import polars as pl

    from secure_gal.data.table import Table

FILE, FORMAT = "budget.db", 1
BEFORE = "sum-budget.json"
"""Where an earlier release counted sums, by digests of whole tables, which do not say whose ids they were."""
MAX_BEFORE_BYTES = 1 << 22
WAIT_SECONDS = 60.0
"""How long a process waits for another one of this home; a table of a million ids takes a few seconds."""
EVERYONES = 0
"""The data set, made with the file, whose counts hold for every table."""
_SCHEMA = (
    "CREATE TABLE file (id TEXT NOT NULL)",
    "CREATE TABLE data (number INTEGER PRIMARY KEY, counted_as INTEGER NOT NULL)",
    "CREATE TABLE member (mark INTEGER PRIMARY KEY, data INTEGER NOT NULL)",
    "CREATE TABLE spent (seq INTEGER PRIMARY KEY, data INTEGER NOT NULL, kind TEXT NOT NULL, run TEXT NOT NULL,"
    " amount INTEGER NOT NULL CHECK (amount > 0))",
    "CREATE INDEX spent_by_kind ON spent (kind, data)",
    "CREATE TRIGGER never_less BEFORE DELETE ON spent BEGIN SELECT RAISE(ABORT, 'what was spent stays spent'); END",
    "CREATE TRIGGER never_other BEFORE UPDATE ON spent BEGIN SELECT RAISE(ABORT, 'what was spent stays spent'); END",
    "INSERT INTO data VALUES (0, 0)",
    f"PRAGMA user_version={FORMAT}",
)
_TOTAL = """
SELECT COALESCE(SUM(amount), 0) FROM spent JOIN data ON data.number = spent.data
WHERE kind = ?1 AND (?3 IS NULL OR run = ?3)
  AND counted_as IN (0, (SELECT counted_as FROM data WHERE number = ?2))
"""
_ZEROS = re.compile(r"(?<!\d)0+(?=\d)")
_FOUND = (
    "SELECT DISTINCT counted_as FROM asked JOIN member USING (mark) JOIN data ON data.number = member.data ORDER BY 1"
)


class DataBudget:
    """The counts of the data that this process works on (`secure_gal.holdings.budget.Budget`); `admit` says which
    they are."""

    def __init__(self, home: Path) -> None:
        self.path = home / FILE
        self._data: int | None = None
        self._last: pl.DataFrame | None = None
        self.id = ""
        """Which file this is; a run that began with one file does not go on with another. Only after `admit`."""

    def admit(self, table: Table) -> None:
        """Count for this table from now on, and for all that are the same data; the first one makes the file.

        Raises:
            SettingsError: the file is not one of ours.
            EnvironmentFailure: it cannot be written, or is another one than before.
        """
        if self._last is not None and self._last.equals(table.written):
            return
        marks = _marks(table)
        with self._transaction() as db:
            _ask(db, marks)
            found = [row[0] for row in db.execute(_FOUND)]
            number = found[0] if found else db.execute("SELECT MAX(number) + 1 FROM data").fetchone()[0]
            if not found:
                db.execute("INSERT INTO data VALUES (?1, ?1)", (number,))
            for other in found[1:]:
                db.execute("UPDATE data SET counted_as = ? WHERE counted_as = ?", (number, other))
            db.execute("INSERT OR IGNORE INTO member SELECT mark, ? FROM asked ORDER BY mark", (number,))
        self._data, self._last = number, table.written

    def spend(self, run: str, charges: Sequence[Charge], *, once: bool = False) -> Charge | None:
        """As `Budget.spend`."""
        with self._transaction() as db:
            due = []
            for charge in charges:
                amount = charge.amount - (self._total(db, charge.kind, run) if once else 0)
                if amount > 0 and charge.limit is not None and self._total(db, charge.kind) + amount > charge.limit:
                    return charge
                due.append((self._data, charge.kind, run, amount))
            db.executemany(
                "INSERT INTO spent (data, kind, run, amount) VALUES (?, ?, ?, ?)", [d for d in due if d[3] > 0]
            )
        return None

    def spent(self, kind: Kind, run: str | None = None) -> int:
        """As `Budget.spent`."""
        with self._transaction() as db:
            return self._total(db, kind, run)

    def _total(self, db: sqlite3.Connection, kind: Kind, run: str | None = None) -> int:
        total: int = db.execute(_TOTAL, (kind, self._data, run)).fetchone()[0]
        return total

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        """A connection of its own, since jobs and the loop have threads of their own; committed unless it raises."""
        try:
            if not self.id:
                self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
                os.close(os.open(self.path, os.O_RDWR | os.O_CREAT, 0o600))
            elif not self.path.exists():
                raise _other_file(self.path)
            with closing(_connect(self.path)) as db:
                db.execute("PRAGMA synchronous=EXTRA")  # what was spent outlives a power cut
                db.execute("BEGIN IMMEDIATE")
                _make(db, self.path)
                found: str = db.execute("SELECT id FROM file").fetchone()[0]
                if self.id not in ("", found):
                    raise _other_file(self.path)
                yield db
                db.execute("COMMIT")
                self.id = found
        except OSError as error:
            raise EnvironmentFailure(f"{self.path} cannot be written: {error.strerror}") from error
        except sqlite3.Error as error:
            raise _unusable(self.path, error) from error


def look(home: Path, table: Table) -> dict[Kind, int]:
    """What the same data as this table has spent of every kind, for a person; makes and changes nothing.

    Raises:
        SettingsError: the file is not one of ours.
        EnvironmentFailure: it cannot be read.
    """
    path = home / FILE
    if not path.exists() or not path.stat().st_size:
        return dict.fromkeys(WORDS, 0) | {"sums": sum(_before(home / BEFORE))}
    try:
        with closing(_connect(path)) as db:
            _check_format(db, path)
            _ask(db, _marks(table))
            same = {EVERYONES, *(row[0] for row in db.execute(_FOUND))}
            query = (
                "SELECT kind, counted_as, SUM(amount) FROM spent JOIN data ON data.number = spent.data GROUP BY 1, 2"
            )
            found = [(kind, amount) for kind, counted_as, amount in db.execute(query) if counted_as in same]
    except sqlite3.Error as error:
        raise _unusable(path, error) from error
    return {kind: sum(amount for name, amount in found if name == kind) for kind in WORDS}


def _connect(path: Path) -> sqlite3.Connection:
    """An existing file; a new one is never made by opening it."""
    uri = f"{path.resolve().as_uri()}?mode=rw"
    db = sqlite3.connect(uri, uri=True, isolation_level=None, timeout=WAIT_SECONDS)
    db.execute("PRAGMA temp_store=MEMORY")
    return db


def _ask(db: sqlite3.Connection, marks: Iterable[int]) -> None:
    db.execute("CREATE TEMP TABLE asked (mark INTEGER PRIMARY KEY)")
    db.executemany("INSERT INTO asked VALUES (?)", ((mark,) for mark in marks))


def _make(db: sqlite3.Connection, path: Path) -> None:
    """Fill a new file, with what an earlier release counted; refuse one that is not ours."""
    version = db.execute("PRAGMA user_version").fetchone()[0]
    if version == 0 and not db.execute("SELECT 1 FROM sqlite_master").fetchone():
        for statement in _SCHEMA:
            db.execute(statement)
        db.execute("INSERT INTO file VALUES (?)", (secrets.token_hex(16),))
        rows = [(EVERYONES, "sums", "before", amount) for amount in _before(path.with_name(BEFORE)) if amount > 0]
        db.executemany("INSERT INTO spent (data, kind, run, amount) VALUES (?, ?, ?, ?)", rows)
    _check_format(db, path)


def _check_format(db: sqlite3.Connection, path: Path) -> None:
    version = db.execute("PRAGMA user_version").fetchone()[0]
    if version != FORMAT:
        raise SettingsError(
            str(path), f"has format {version}, this version reads {FORMAT}; use the version that wrote it"
        )


def _before(path: Path) -> list[int]:
    """T*K of each run in the file of an earlier release."""
    try:
        tables = msgspec.json.decode(path.read_bytes()[: MAX_BEFORE_BYTES + 1], type=dict[str, dict[str, int]])
    except FileNotFoundError:
        return []
    except (OSError, msgspec.MsgspecError) as error:
        raise SettingsError(str(path), "is not a readable budget of sums; restore it from a copy") from error
    return [amount for runs in tables.values() for amount in runs.values()]


def _marks(table: Table) -> list[int]:
    """What a table is known by, in ascending order: its file and its ids."""
    columns = [[_plain(text) for text in column] for column in table.written]
    ids = ("\0".join(parts) for parts in zip(*columns, strict=True))
    return sorted({_mark(b"file", str(table.path.resolve())), *(_mark(b"id", text) for text in ids)})


def _plain(text: str) -> str:
    """An id without what tells only how it was written; itself where nothing else is left."""
    folded = text.lower() if text.isascii() else unicodedata.normalize("NFKC", text).casefold()
    bare = _ZEROS.sub("", folded) if "0" in folded else folded
    return bare if bare.isalnum() else "".join(c for c in bare if c.isalnum()) or text


def _mark(what: bytes, text: str) -> int:
    raw = hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8, person=what).digest()
    return int.from_bytes(raw, "little", signed=True)


def _other_file(path: Path) -> EnvironmentFailure:
    return EnvironmentFailure(
        f"{path} was deleted or replaced while this run goes on, and with it what this party's data "
        "has given away; put it back and start the same command again"
    )


def _unusable(path: Path, error: sqlite3.Error) -> EnvironmentFailure:
    return EnvironmentFailure(
        f"{path}: {error}; nothing is computed that cannot be counted. Is it a budget of secure-gal, "
        "and the disk not full? Restore it from a copy if it is damaged"
    )
