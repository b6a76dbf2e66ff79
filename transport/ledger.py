"""The ledger: one canonical JSON line for every message sent or received, chained, and signed at its head.

    ledger.jsonl   line 1 opens it (study and all cards); then messages, notes and certificates; it may be handed out
    ledger.head    the owner's signature over number of lines and Merkle root (RFC 6962) of the lines

Each line carries the leaf hash of the line before it, which says *where* a ledger was changed; the signed root says
*that* it was, and proves single lines. A line is committed in the same transaction as the protocol step it tells of
(`Journal`) and only then written here, before anything is transmitted. So the file needs no fsync of its own: what a
crash took from its end is written again, from the journal, when the run is opened again.

Salts stay in the journal. With its salt, a digest in the ledger could be tested against guessed payloads.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Literal, NamedTuple, Protocol

import msgspec

from crypto import merkle
from crypto.identity import Card, Identity
from secure_gal.errors import EnvironmentFailure, SettingsError
from secure_gal.messages.certificate import Certificate, LogHead, head_statement
from transport.events import Frame
from transport.ledger_entries import (
    FORMAT,
    BeyondEntry,
    CertificateEntry,
    ConsentEntry,
    Entry,
    MessageEntry,
    Opening,
    PeerRestart,
    SignedHead,
    TornTail,
    decode,
)
from transport.wire import Header

LEDGER, HEAD = "ledger.jsonl", "ledger.head"
MAX_HEAD_BYTES = 1024
"""Bytes of a head file; a real one has under 450, so that it fits a disk sector."""


class Row(NamedTuple):
    """One line for the journal: its number, its bytes without the newline, and the salts (16 bytes a field)."""

    seq: int
    line: bytes
    salts: bytes = b""


class Journal(Protocol):
    """The durable copy of the lines, in the store that also commits the protocol's steps."""

    def ledger_lines(self) -> Iterable[bytes]:
        """Every committed line, in order."""
        ...

    def commit_ledger(self, rows: Sequence[Row]) -> None:
        """Make lines durable that belong to no protocol step."""
        ...


class Ledger:
    """The writer; one a run directory, which the caller has locked.

    Build rows, commit them with the step they tell of, then `flush`. After a failed commit or flush the process must
    end: the ledger in memory is then ahead of the journal.
    """

    def __init__(self, folder: Path, identity: Identity, clock: Callable[[], datetime]) -> None:
        self._folder, self._identity, self._clock = folder, identity, clock
        self._peaks: merkle.Peaks = ()
        self._seq, self._prev, self._study = 0, "", ""
        self._unwritten: list[bytes] = []
        self._file: IO[bytes]
        self._head_file: IO[bytes]

    @classmethod
    def open(
        cls,
        folder: Path,
        identity: Identity,
        canonical: bytes,
        digest: str,
        cards: Iterable[Card],
        journal: Journal,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> Ledger:
        """Begin a ledger, or go on with the journal's; the file is completed from the journal and signed.

        Args:
            folder: the run directory.
            canonical, digest: the study as `Study.canonical` and `Study.digest` give it.
            cards: all parties' cards, in the study's order.

        Raises:
            SettingsError: the journal is another study's.
            EnvironmentFailure: the file was changed from outside, or cannot be written.
        """
        ledger, path = cls(folder, identity, clock), folder / LEDGER
        ledger._study = digest
        first = next(iter(journal.ledger_lines()), None)
        try:
            if first is None:
                _set_aside(path)
                raw = tuple(msgspec.Raw(card.to_bytes().removesuffix(b"\n")) for card in cards)
                opening = Opening(1, "", clock(), FORMAT, identity.card.name, digest, msgspec.Raw(canonical), raw)
                journal.commit_ledger([Row(1, msgspec.json.encode(opening))])
            else:
                _check_opening(path, first, identity.card.name, digest)
            ledger._file, ledger._head_file = _open(path), _open(folder / HEAD)
            torn = ledger._recover(journal, path)
            ledger._head_file.truncate(0)
        except OSError as error:
            raise _unwritable(path, error) from error
        if torn:
            journal.commit_ledger([ledger._row(TornTail, b"", *torn)])
        ledger.flush()
        ledger.sync()
        return ledger

    def _recover(self, journal: Journal, path: Path) -> tuple[int, int] | None:
        """Follow the file along the journal, then write what it lacks; (line, bytes) of a line that was cut off."""
        torn, good, missing = None, 0, False
        with path.open("rb") as file:
            for line in journal.ledger_lines():
                raw = line + b"\n"
                if not missing:
                    found = file.read(len(raw))
                    missing = found != raw
                    if missing:
                        found = (found + file.read()).rstrip(b"\0")  # zeros: a size that reached the disk before data
                        if not raw.startswith(found):
                            raise _altered(path, self._seq + 1)
                        torn = (self._seq + 1, len(found)) if found else None
                self._advance(line)
                if missing:
                    self._unwritten.append(line)
                else:
                    good += len(raw)
            if file.read(1):
                raise _altered(path, self._seq + 1)
        self._file.truncate(good)
        self._file.seek(good)
        return torn

    @property
    def head(self) -> LogHead:
        """Number and root of all lines so far: what this party gives for a certificate, once flushed."""
        return LogHead(self._seq, merkle.root(self._peaks).hex())

    def message(self, direction: Literal["sent", "received"], peer: Card, frames: Sequence[Frame]) -> Row:
        """The entry of one message, from its frames [header, signature, salts, ...] (`wire.encode`, or as they came).

        A received message must have passed `wire.decode`. A message that is sent again, or arrives again, gets no
        second entry.
        """
        header = msgspec.json.decode(bytes(frames[0]), type=Header)
        signature = bytes(frames[1]).hex()
        return self._row(MessageEntry, bytes(frames[2]), direction, peer.name, peer.fingerprint, header, signature)

    def peer_restart(self, peer: str) -> Row:
        """The note that a peer's sequence numbers start again (legal before a run is agreed)."""
        return self._row(PeerRestart, b"", peer)

    def consent(self) -> Row:
        """The entry that the owner consented to this study."""
        return self._row(ConsentEntry, b"", self._study)

    def beyond(self, limit: str, usual: float, stated: float) -> Row:
        """The entry that the owner goes beyond a limit."""
        return self._row(BeyondEntry, b"", limit, float(usual), float(stated))  # an integer would not be canonical

    def certificate(self, certificate: Certificate) -> Row:
        """The entry of a certificate that was checked (`secure_gal.messages.certificate.check_certificate`)."""
        return self._row(CertificateEntry, b"", certificate)

    def flush(self) -> None:
        """Write the lines that were built since, and sign the head. Call after the commit, before transmitting.

        Raises:
            EnvironmentFailure: the disk is full or failing; nothing may be transmitted. Opening again completes it.
        """
        head = self.head
        signature = self._identity.sign(head_statement(self._study, self._identity.card.name, head))
        signed = SignedHead(FORMAT, self._identity.card.name, self._study, head, signature.hex())
        try:
            if self._unwritten:
                _write_all(self._file, b"".join(line + b"\n" for line in self._unwritten))
                self._unwritten = []
            # In place: a newer head is never shorter and fits a disk sector, so readers see the old or the new one. A
            # rename would flush the file on ext4 and cost more than all the rest; a torn head is signed again on
            # opening.
            self._head_file.seek(0)
            _write_all(self._head_file, msgspec.json.encode(signed) + b"\n")
        except OSError as error:
            raise _unwritable(self._folder, error) from error

    def sync(self) -> None:
        """Wait until both files are on the disk; once a round is enough, since the journal has every line already."""
        try:
            for file in (self._file, self._head_file):
                os.fsync(file.fileno())
        except OSError as error:
            raise _unwritable(self._folder, error) from error

    def close(self) -> None:
        """Close both files; what was built but not flushed is dropped, for it was never committed."""
        self._file.close()
        self._head_file.close()

    def _row(self, kind: Callable[..., Entry], salts: bytes, *fields: object) -> Row:
        line = msgspec.json.encode(kind(self._seq + 1, self._prev, self._clock(), *fields))
        self._advance(line)
        self._unwritten.append(line)
        return Row(self._seq, line, salts)

    def _advance(self, line: bytes) -> None:
        leaf = merkle.leaf_hash(line)
        self._seq, self._prev, self._peaks = self._seq + 1, leaf.hex(), merkle.append(self._peaks, leaf)


def _open(path: Path) -> IO[bytes]:
    return os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT, 0o600), "r+b", buffering=0)


def _write_all(file: IO[bytes], data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[file.write(view) :]


def _check_opening(path: Path, line: bytes, owner: str, digest: str) -> None:
    opening = decode(line, str(path), 1)
    if not isinstance(opening, Opening) or (opening.owner, opening.digest) != (owner, digest):
        raise SettingsError(str(path.parent), "holds the ledger of another study or party; use another run_dir")


def _set_aside(path: Path) -> None:
    """A ledger that the journal no longer knows (a run that never began) is kept, under the next free name."""
    number = 1
    while path.with_name(f"ledger.{number}.jsonl").exists():
        number += 1
    for file in (path, path.with_name(HEAD)):
        if file.exists():
            os.replace(file, path.with_name(f"ledger.{number}{file.suffix}"))


def _altered(path: Path, line: int) -> EnvironmentFailure:
    return EnvironmentFailure(
        f"{path}, line {line}: is not what this run wrote. Move the file away and keep it as "
        "evidence; the same command then writes the ledger again from run.db"
    )


def _unwritable(path: Path, error: OSError) -> EnvironmentFailure:
    return EnvironmentFailure(
        f"{path}: the ledger could not be written: {error.strerror}; nothing that it lacks was "
        "sent. Mend that and start the same command again"
    )
