"""The run directory: one SQLite file that commits state, outbox and receipts together, and a lock.

A transaction is the unit of a crash: after `kill -9` a party finds either all of a step or nothing of it.
"""

from __future__ import annotations

import fcntl
import os
import secrets
import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path

import msgspec
import numpy as np

from secure_gal.errors import EnvironmentFailure, SettingsError
from secure_gal.settings.digest import FIRST_RELEASE
from secure_gal.state import ERASABLE, Value
from transport.events import Frame
from transport.ledger import Row

Work = tuple[str, tuple[str | int | bytes, ...]]
"""A statement and its values."""
FILE = "run.db"
HARMLESS = frozenset({"lock", "error.log", "lost+found"})
"""What may lie in a folder in which no run has begun: of a start that failed, and of a file system."""
FORMAT = 4
"""Version of the run directory; another one is refused, never converted silently."""

_SCHEMA = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE state (key TEXT PRIMARY KEY, dtype TEXT NOT NULL, shape TEXT NOT NULL, value BLOB NOT NULL);
CREATE TABLE secret (key TEXT PRIMARY KEY, value BLOB NOT NULL);
CREATE TABLE outbox (peer TEXT, seq INTEGER, frames BLOB NOT NULL, PRIMARY KEY (peer, seq));
CREATE TABLE ledger (seq INTEGER PRIMARY KEY, line BLOB NOT NULL, salts BLOB NOT NULL);
CREATE TABLE link (peer TEXT PRIMARY KEY, store TEXT NOT NULL, sent INTEGER NOT NULL, received INTEGER NOT NULL);
"""
FIXES = {"SQLITE_FULL": "free some disk space", "SQLITE_READONLY": "mount the disk for writing"}
"""What helps, by SQLite's name of the error."""


def ends_there(release: str) -> str:
    """What can be done with a run that began with another release."""
    return (
        f"A run ends on the release that it began with: finish it, predictions too, with secure-gal {release} at every "
        "party; or begin anew with this release and an empty run_dir at every party"
    )


def _ledger_work(rows: Sequence[Row]) -> list[Work]:
    return [("INSERT INTO ledger VALUES (?, ?, ?)", tuple(row)) for row in rows]


def refuse_other_things(run_dir: Path) -> None:
    """A folder for a new run holds nothing yet: reports and a ledger would be written over, and it becomes private.

    Raises:
        SettingsError: names what is there.
    """
    if (run_dir / FILE).exists() or not run_dir.is_dir():
        return
    there = sorted(path.name for path in run_dir.iterdir() if path.name not in HARMLESS and path.name[0] != ".")
    if there:
        raise SettingsError(
            "run_dir",
            f"{run_dir} holds {there[0]!r}{f' and {len(there) - 1} more' if there[1:] else ''}, and no {FILE}: it is "
            f"no run, or one without its memory. Put {FILE} back, or name another folder: an empty one, or one that is "
            "not there yet",
        )


class LinkRecord(msgspec.Struct):
    """What this party knows of a peer: its store id, the last sequence number sent to and received from it."""

    store: str = ""
    sent: int = 0
    received: int = 0


class RunStore:
    """One party's durable memory of one run; open in one process at a time."""

    def __init__(self, run_dir: Path) -> None:
        self.path = run_dir
        try:
            run_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
            os.chmod(run_dir, 0o700)
            self._lock = os.open(run_dir / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            raise EnvironmentFailure(f"run_dir {run_dir} cannot be used: {error.strerror}") from error
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(self._lock)
            raise EnvironmentFailure(
                f"run_dir {run_dir} is in use by another process; stop that one, or use another run_dir"
            ) from None
        self._with_every_step: dict[str, Callable[[], str]] = {}
        self._open(run_dir / FILE)

    def _open(self, file: Path) -> None:
        with ExitStack() as undo:  # a run directory that cannot be opened is nobody's
            undo.callback(os.close, self._lock)
            try:
                self._db = sqlite3.connect(file, isolation_level=None, check_same_thread=False)
                undo.callback(self._db.close)
                os.chmod(file, 0o600)
                self._db.execute("PRAGMA journal_mode=WAL")
                self._db.execute("PRAGMA synchronous=FULL")
                self._db.execute("PRAGMA secure_delete=FAST")  # what is deleted from a table's pages is overwritten
                version = self._db.execute("PRAGMA user_version").fetchone()[0]
                if version == 0:
                    self._db.executescript(f"BEGIN; {_SCHEMA} PRAGMA user_version={FORMAT}; COMMIT;")
                    self._name_itself()
                elif version != FORMAT:
                    raise self._another_format(file, version)
                self.id = self.meta("store")
                self._empty_log()  # a crash may have come between an erasure and this
            except sqlite3.Error as error:
                raise EnvironmentFailure(
                    f"{file}: {error}; is it a run directory of secure-gal, and the disk not full?"
                ) from error
            undo.pop_all()

    def _another_format(self, file: Path, version: int) -> SettingsError:
        began = self.meta("release") or FIRST_RELEASE
        return SettingsError(
            str(file),
            f"has format {version}, this version reads {FORMAT}: it is a run that began "
            f"with secure-gal {began}. {ends_there(began)}",
        )

    def _name_itself(self) -> None:
        self.set_meta("store", secrets.token_hex(16))
        self.id = self.meta("store")

    def close(self) -> None:
        """Close the file and release the lock."""
        self._db.close()
        os.close(self._lock)

    def meta(self, key: str) -> str:
        """A small text entry, empty when absent."""
        row = self._db.execute("SELECT value FROM meta WHERE key=?", (key,)).fetchone()
        return row[0] if row else ""

    def set_meta(self, key: str, value: str) -> None:
        """Write a small text entry at once."""
        self._run([("INSERT OR REPLACE INTO meta VALUES (?, ?)", (key, value))])

    def note(self, entries: Mapping[str, str]) -> None:
        """Small text entries of which a power cut may take the last: nothing waits for the disk."""
        self._run([("INSERT OR REPLACE INTO meta VALUES (?, ?)", entry) for entry in entries.items()], at_once=False)

    def with_every_step(self, key: str, value: Callable[[], str]) -> None:
        """Write this text entry with every commit, so that it tells of exactly the steps that are on disk."""
        self._with_every_step[key] = value

    def state(self) -> dict[str, Value]:
        """The protocol state as of the last commit."""
        values: dict[str, Value] = {}
        for key, dtype, shape, blob in self._db.execute("SELECT * FROM state ORDER BY rowid"):
            if dtype == "bytes":
                values[key] = bytes(blob)
            else:
                flat = np.frombuffer(blob, dtype=np.dtype(dtype))
                values[key] = flat.reshape(msgspec.json.decode(shape, type=tuple[int, ...])).copy()
        for key, blob in self._db.execute("SELECT * FROM secret ORDER BY rowid"):
            values[key] = bytes(blob)
        return values

    def value(self, key: str) -> bytes:
        """The bytes saved under one key of the protocol state, without loading the rest; empty when there are none."""
        row = self._db.execute("SELECT value FROM state WHERE key=?", (key,)).fetchone()
        return bytes(row[0]) if row else b""

    def values(self, prefix: str) -> dict[str, bytes]:
        """As `value`, of all keys that start with `prefix`, by the rest of the key."""
        found = self._db.execute("SELECT key, value FROM state WHERE substr(key, 1, ?)=?", (len(prefix), prefix))
        return {key.removeprefix(prefix): bytes(blob) for key, blob in found}

    def holds(self, prefix: str) -> bool:
        """Whether any key of the protocol state starts with `prefix`."""
        found = self._db.execute("SELECT 1 FROM state WHERE substr(key, 1, ?)=? LIMIT 1", (len(prefix), prefix))
        return found.fetchone() is not None

    @property
    def begun(self) -> bool:
        """Whether a run was agreed (at an assistor) or rows were aligned (at the sponsor)."""
        return bool(self.value("agreement")) or self.holds("rows")

    def links(self) -> dict[str, LinkRecord]:
        """Every peer's link record."""
        return {row[0]: LinkRecord(*row[1:]) for row in self._db.execute("SELECT * FROM link")}

    def outbox(self, peer: str, after: int) -> list[tuple[int, list[bytes]]]:
        """Unacknowledged messages to `peer` with a sequence number above `after`, in order."""
        query = "SELECT seq, frames FROM outbox WHERE peer=? AND seq>? ORDER BY seq"
        decode = msgspec.msgpack.Decoder(list[bytes]).decode
        return [(seq, decode(frames)) for seq, frames in self._db.execute(query, (peer, after))]

    def pending(self, peer: str) -> int:
        """How many messages to `peer` are not acknowledged."""
        count: int = self._db.execute("SELECT COUNT(*) FROM outbox WHERE peer=?", (peer,)).fetchone()[0]
        return count

    def commit(
        self,
        changes: Mapping[str, Value | None],
        links: Mapping[str, LinkRecord],
        outgoing: Sequence[tuple[str, int, Sequence[Frame]]],
        ledger: Sequence[Row] = (),
    ) -> None:
        """Make one step durable, with its ledger lines: all of it or nothing.

        Secrets have a table of their own, so small that its page is never split or copied: what is deleted from it is
        overwritten in place, and then the log, which holds the page as it was, is emptied.

        Raises:
            EnvironmentFailure: the disk is full or failing; nothing of this step was written or may be sent.
        """
        work: list[Work] = []
        secrets_changed = False
        for key, value in changes.items():
            if key.startswith(ERASABLE):
                secrets_changed = True
                work.append(("DELETE FROM secret WHERE key=?", (key,)))
                if value is not None:
                    work.append(("INSERT INTO secret VALUES (?, ?)", (key, bytes(value))))
                continue
            work.append(("DELETE FROM state WHERE key=?", (key,)))
            if isinstance(value, bytes):
                work.append(("INSERT INTO state VALUES (?, 'bytes', '', ?)", (key, value)))
            elif value is not None:
                shape = msgspec.json.encode(value.shape).decode()
                row = (key, value.dtype.str, shape, np.ascontiguousarray(value).tobytes())
                work.append(("INSERT INTO state VALUES (?, ?, ?, ?)", row))
        for peer, link in links.items():
            record = (peer, link.store, link.sent, link.received)
            work.append(("INSERT OR REPLACE INTO link VALUES (?, ?, ?, ?)", record))
        for peer, seq, frames in outgoing:
            packed = msgspec.msgpack.encode([bytes(frame) for frame in frames])
            work.append(("INSERT INTO outbox VALUES (?, ?, ?)", (peer, seq, packed)))
        for key, text in self._with_every_step.items():
            work.append(("INSERT OR REPLACE INTO meta VALUES (?, ?)", (key, text())))
        self._run([*work, *_ledger_work(ledger)])
        if secrets_changed:
            self._empty_log()

    def _empty_log(self) -> None:
        self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    def ledger_lines(self) -> Iterator[bytes]:
        """Every committed line of the ledger, in order."""
        for (line,) in self._db.execute("SELECT line FROM ledger ORDER BY seq"):
            yield bytes(line)

    def commit_ledger(self, rows: Sequence[Row]) -> None:
        """Make ledger lines durable that belong to no protocol step."""
        self._run(_ledger_work(rows))

    def acknowledge(self, peer: str, seq: int) -> None:
        """Forget messages to `peer` up to and including `seq`; after a power cut some may be sent again, which the peer
        notices."""
        self._run([("DELETE FROM outbox WHERE peer=? AND seq<=?", (peer, seq))], at_once=False)

    def reset(self) -> None:
        """Become a new run directory: legal only before a run was agreed. Peers notice by the new store id."""
        self._run([(f"DELETE FROM {table}", ()) for table in ("state", "secret", "outbox", "link", "meta", "ledger")])  # noqa: S608
        self._name_itself()

    def forget(self, peer: str, ledger: Sequence[Row]) -> None:
        """Forget one peer's link and its unacknowledged messages, and note that in the ledger."""
        work: list[Work] = [
            (f"DELETE FROM {table} WHERE peer=?", (peer,))  # noqa: S608
            for table in ("outbox", "link")
        ]
        self._run([*work, *_ledger_work(ledger)])

    def _run(self, work: Sequence[Work], *, at_once: bool = True) -> None:
        """One transaction; on the disk when this returns, or else with the next that is. Killed processes lose neither
        kind: https://www.sqlite.org/pragma.html#pragma_synchronous."""
        try:
            self._db.execute(f"PRAGMA synchronous={'FULL' if at_once else 'NORMAL'}")
            self._db.execute("BEGIN IMMEDIATE")
            for statement, values in work:
                self._db.execute(statement, values)
            self._db.execute("COMMIT")
        except sqlite3.Error as error:
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
            fix = FIXES.get(getattr(error, "sqlite_errorname", ""), "mend the disk")
            raise EnvironmentFailure(
                f"{self.path}/run.db could not be written: {error}; {fix} and start the same command again"
            ) from error
