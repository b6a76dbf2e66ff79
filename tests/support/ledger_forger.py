"""An owner that alters its own ledger: lines chained again, headers and heads signed again, as it could."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import msgspec

from crypto import merkle
from crypto.identity import Identity
from secure_gal.messages.certificate import LogHead, head_statement
from tests.conftest import identity
from tests.support.ledger_study import LedgerStudy
from transport.ledger_entries import FORMAT, MessageEntry, SignedHead, decode
from transport.wire import SIGN_LABEL


def forge(
    made: LedgerStudy, name: str, change: Callable[[list[bytes]], list[bytes]], by: Identity | None = None
) -> Path:
    """Alter the lines of a ledger, then number and chain them again and sign the head, as its owner (or `by`) could."""
    path, lines, prev = made.path(name), [], ""
    for number, line in enumerate(change(path.read_bytes().splitlines()), 1):
        line = re.sub(rb'"seq":\d+,"prev":"[0-9a-f]*"', f'"seq":{number},"prev":"{prev}"'.encode(), line, count=1)
        lines.append(line)
        prev = merkle.leaf_hash(line).hex()
    path.write_bytes(b"".join(line + b"\n" for line in lines))
    peaks: merkle.Peaks = ()
    for line in lines:
        peaks = merkle.append(peaks, merkle.leaf_hash(line))
    head = LogHead(len(lines), merkle.root(peaks).hex())
    signature = (by or made.identities[name]).sign(head_statement(made.digest, name, head)).hex()
    signed = SignedHead(FORMAT, name, made.digest, head, signature)
    path.with_suffix(".head").write_bytes(msgspec.json.encode(signed) + b"\n")
    return path


def resigned(line: bytes, old: bytes, new: bytes) -> bytes:
    """A message line whose sender itself signed another header."""
    assert line.count(old) >= 1
    at = line.index(b'"header":')
    entry = decode(line[:at] + line[at:].replace(old, new, 1), "", None)
    assert isinstance(entry, MessageEntry)
    signature = identity(entry.header.sender).sign(SIGN_LABEL + msgspec.json.encode(entry.header))
    return msgspec.json.encode(msgspec.structs.replace(entry, signature=signature.hex()))


def line_of(made: LedgerStudy, name: str, *needles: bytes) -> int:
    """The index (from 0) of the first line that has all of these."""
    lines = made.path(name).read_bytes().splitlines()
    return next(i for i, line in enumerate(lines) if all(needle in line for needle in needles))


def altered(old: bytes, new: bytes, *needles: bytes, sign: bool = True) -> Callable[[list[bytes]], list[bytes]]:
    """Change the first line that has all needles; its sender signs again."""

    def change(lines: list[bytes]) -> list[bytes]:
        at = next(i for i, line in enumerate(lines) if all(needle in line for needle in needles))
        line = resigned(lines[at], old, new) if sign else lines[at].replace(old, new, 1)
        assert line != lines[at]
        return [*lines[:at], line, *lines[at + 1 :]]

    return change


def turned(lines: list[bytes]) -> list[bytes]:
    """The first residual as if the lab had sent it to the hospital; the lab signs it."""
    at = next(i for i, line in enumerate(lines) if b'"kind":"residual"' in line)
    line = lines[at].replace(b'"direction":"received"', b'"direction":"sent"', 1)
    there, back = b'"sender":"hospital","recipient":"lab"', b'"sender":"lab","recipient":"hospital"'
    return [*lines[:at], resigned(line, there, back), *lines[at + 1 :]]


FITTED = (b'"sent"', b'"kind":"fitted"')
GREETING = (b'"sent"', b'"kind":"hello"')
