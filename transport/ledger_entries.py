"""The lines of a ledger: one frozen type per kind of entry, canonical JSON, strictly parsed.

Each line carries the leaf hash (RFC 6962) of the line before it, so a change shows where it was made.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Literal

import msgspec

from secure_gal.errors import SecureGalError, SettingsError, printable
from secure_gal.messages.certificate import Certificate, LogHead
from transport.wire import Header

FORMAT = 2
"""Format 1 had no entries of consent."""
MAX_LINE_BYTES = 256 << 10
"""Bytes of a line. A message has about 1,000; an opening or certificate of 65 parties under 50,000."""


class LedgerError(SecureGalError):
    """A ledger or proof does not verify; `line` (from 1, 0 where no one line is at fault) says where."""

    exit_code = 1

    def __init__(self, where: str, line: int, rule: str) -> None:
        rule = printable(rule)  # may quote a stranger's file
        super().__init__(f"{where}, line {line}: {rule}" if line else f"{where}: {rule}")
        self.where, self.line, self.rule = where, line, rule


class _Entry(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="entry"):
    """What every line begins with: its number, the leaf hash (hex) of the line before ('' in line 1), the time
    (UTC)."""

    seq: int
    prev: str
    time: datetime


class Opening(_Entry, frozen=True, forbid_unknown_fields=True, tag="opening"):
    """Line 1: whose ledger of which study. `study` is the canonical study, which the digest covers."""

    format: int
    owner: str
    digest: str
    study: msgspec.Raw
    cards: tuple[msgspec.Raw, ...]


class MessageEntry(_Entry, frozen=True, forbid_unknown_fields=True, tag="message"):
    """One message: the sender's canonical header and its signature (hex), and the peer's key fingerprint."""

    direction: Literal["sent", "received"]
    peer: str
    key: str
    header: Header
    signature: str


class TornTail(_Entry, frozen=True, forbid_unknown_fields=True, tag="torn-tail"):
    """On re-opening, line `line` was found cut off after `nbytes` bytes and was written again from the journal."""

    line: int
    nbytes: int


class PeerRestart(_Entry, frozen=True, forbid_unknown_fields=True, tag="peer-restart"):
    """Before a run was agreed, `peer` came back with an empty run directory: its sequence numbers start again."""

    peer: str


class ConsentEntry(_Entry, frozen=True, forbid_unknown_fields=True, tag="consent"):
    """The owner consented to what the study of this digest reveals."""

    digest: str


class BeyondEntry(_Entry, frozen=True, forbid_unknown_fields=True, tag="beyond-limit"):
    """The owner went beyond a limit that consent to the study does not touch: `stated` instead of `usual`."""

    limit: str
    usual: float
    stated: float


class CertificateEntry(_Entry, frozen=True, forbid_unknown_fields=True, tag="certificate"):
    """A certificate that this party holds, with everyone's signatures."""

    certificate: Certificate


Entry = Opening | MessageEntry | TornTail | PeerRestart | ConsentEntry | BeyondEntry | CertificateEntry
_DECODER: msgspec.json.Decoder[Entry] = msgspec.json.Decoder(Entry)


class SignedHead(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The head file."""

    format: int
    owner: str
    study: str
    head: LogHead
    signature: str


def decode(line: bytes, where: str, number: int | None) -> Entry:
    """Parse one line strictly; `number` is its place, None where that is not known.

    Raises:
        LedgerError: not an entry, not canonical, or numbered otherwise than its place.
    """
    try:
        entry = _DECODER.decode(line)
        same = msgspec.json.encode(entry) == line
    except (msgspec.DecodeError, ValueError, OverflowError, RecursionError) as error:
        raise LedgerError(where, number or 0, f"is not an entry of a ledger: {error}") from error
    if not same:
        raise LedgerError(where, number or 0, "is not written canonically")
    if number is not None and entry.seq != number:
        raise LedgerError(where, number, f"says that it is entry {entry.seq}; lines are missing, added or swapped")
    if entry.time.utcoffset() != timedelta(0):
        raise LedgerError(where, number or 0, "its time is not in UTC")
    return entry


def read_lines(path: Path) -> Iterator[bytes]:
    """The lines of a ledger without their newlines, one at a time.

    Raises:
        SettingsError: no such file, or it does not begin like a ledger.
        LedgerError: a line without its end, or above MAX_LINE_BYTES.
    """
    try:
        with path.open("rb") as file:
            if not file.read(19).startswith(b'{"entry":"opening",'):
                raise SettingsError(str(path), "is not a ledger of secure-gal (it is empty, or begins otherwise)")
            file.seek(0)
            number = 0
            while line := file.readline(MAX_LINE_BYTES + 1):
                number += 1
                if len(line) > MAX_LINE_BYTES:
                    raise LedgerError(str(path), number, f"is longer than {MAX_LINE_BYTES} bytes")
                if not line.endswith(b"\n"):
                    raise LedgerError(str(path), number, "is cut off; opening the run again repairs and notes it")
                yield line[:-1]
    except OSError as error:
        raise SettingsError(str(path), f"cannot be read: {error.strerror}") from error
