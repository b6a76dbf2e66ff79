"""`audit reconcile`: several parties' ledgers of one run held against each other.

One ledger shows what its owner admits. Two show what either kept quiet: a message that its sender's ledger lacks, one
link number signed twice, a history cut off or rewritten behind a certificate that another party still holds.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import assert_never

import msgspec

from crypto import merkle
from parties.audit.ledger import Verdict, verify_ledger
from secure_gal.errors import SettingsError
from secure_gal.messages.certificate import Certificate
from transport.ledger_entries import (
    BeyondEntry,
    CertificateEntry,
    ConsentEntry,
    Entry,
    LedgerError,
    MessageEntry,
    Opening,
    PeerRestart,
    TornTail,
)


@dataclass(slots=True)
class _Book:
    """What reconciling needs of one verified ledger."""

    path: Path
    parties: tuple[str, ...] = ()
    leaves: list[bytes] = field(default_factory=list)
    links: dict[tuple[str, str], dict[int, tuple[int, bytes]]] = field(default_factory=dict)
    """(direction, peer) -> link sequence number -> (line, hash of the signed header and its signature)."""
    certificates: dict[int, tuple[int, Certificate]] = field(default_factory=dict)
    """round -> (line, certificate)."""

    def visit(self, line: bytes, entry: Entry) -> None:
        self.leaves.append(merkle.leaf_hash(line))
        match entry:
            case Opening():
                self.parties = tuple(msgspec.json.decode(card, type=_Named).name for card in entry.cards)
            case MessageEntry():
                signed = msgspec.json.encode(entry.header) + bytes.fromhex(entry.signature)
                link = self.links.setdefault((entry.direction, entry.peer), {})
                link[entry.header.seq] = (entry.seq, hashlib.sha256(signed).digest())
            case PeerRestart(peer=peer):  # what was said before it has no counterpart any more
                for direction in ("sent", "received"):
                    self.links.pop((direction, peer), None)
            case CertificateEntry(certificate=certificate):
                self.certificates[certificate.round] = (entry.seq, certificate)
            case TornTail() | ConsentEntry() | BeyondEntry():
                pass
            case _:
                assert_never(entry)


class _Named(msgspec.Struct):
    name: str


class Agreement(msgspec.Struct, frozen=True):
    """What several ledgers say together."""

    owners: tuple[str, ...]
    digest: str
    run: str
    matched: int
    certificates: int
    tail: tuple[str, ...]
    """Messages and certificates that have not reached their receiver: not a fault."""
    absent: tuple[str, ...]
    """Parties whose ledger was not given, so that nothing with them was compared."""


def reconcile(paths: Sequence[Path]) -> Agreement:
    """Hold the ledgers of at least two parties of one run against each other.

    Raises:
        LedgerError: one does not verify, or two contradict each other; the message names file and line.
        SettingsError: fewer than two, two of one party, or of different studies.
    """
    if len(paths) < 2:
        raise SettingsError("reconcile", "give the ledgers of two or more parties of one study")
    books: dict[str, _Book] = {}
    verdicts: list[Verdict] = []
    for path in paths:
        book = _Book(path)
        verdict = verify_ledger(path, visit=book.visit)
        if verdict.owner in books:
            raise SettingsError(str(path), f"is a second ledger of {verdict.owner}")
        if verdicts and verdict.digest != verdicts[0].digest:
            raise SettingsError(str(path), f"is of another study than {paths[0]}")
        books[verdict.owner] = book
        verdicts.append(verdict)
    runs = {verdict.run for verdict in verdicts} - {""}
    if len(runs) > 1:
        raise SettingsError("reconcile", "the ledgers are of different runs")
    matched = 0
    tail: list[str] = []
    for sender, receiver in ((a, b) for a in books for b in books if a != b):
        same, unacknowledged = _compare(sender, books[sender], receiver, books[receiver])
        matched += same
        tail += unacknowledged
    known = _known_certificates(books.values())
    for owner, book in books.items():
        _check_certified(owner, book, known)
        tail += [
            f"{holder.path}, line {line}: certificate {round_} has not reached {owner}"
            for round_, (holder, line, _) in known.items()
            if round_ not in book.certificates
        ]
    absent = tuple(name for name in next(iter(books.values())).parties if name not in books)
    return Agreement(tuple(books), verdicts[0].digest, max(runs, default=""), matched, len(known), tuple(tail), absent)


def _compare(sender: str, sent_by: _Book, receiver: str, got_by: _Book) -> tuple[int, list[str]]:
    """Everything received was sent, byte for byte as signed; what was sent last may still be on its way."""
    sent, got = sent_by.links.get(("sent", receiver), {}), got_by.links.get(("received", sender), {})
    for seq, (line, digest) in got.items():
        if seq not in sent:
            raise LedgerError(
                str(got_by.path),
                line,
                f"has message {seq} from {sender}, signed by {sender}; "
                f"{sent_by.path} has not: it was cut off or rewritten",
            )
        if sent[seq][1] != digest:
            raise LedgerError(
                str(got_by.path),
                line,
                f"message {seq} from {sender} is not the one in {sent_by.path}, "
                f"line {sent[seq][0]}, although {sender} signed both",
            )
    tail = [
        f"{sent_by.path}, line {line}: message {seq} from {sender} has not reached {receiver}"
        for seq, (line, _) in sent.items()
        if seq not in got
    ]
    return len(got), tail


_Known = dict[int, tuple[_Book, int, Certificate]]
"""round -> (a book that holds the certificate, its line there, the certificate)."""


def _known_certificates(books: Iterable[_Book]) -> _Known:
    """Every certificate that anyone holds; those of one round must be the same."""
    known: _Known = {}
    for book in books:
        for round_, (line, certificate) in book.certificates.items():
            holder, first, other = known.setdefault(round_, (book, line, certificate))
            if other.statement() != certificate.statement():
                raise LedgerError(
                    str(book.path),
                    line,
                    f"certificate {round_} is another one than in {holder.path}, "
                    f"line {first}: the parties signed two histories",
                )
    return known


def _check_certified(owner: str, book: _Book, known: _Known) -> None:
    """The owner's ledger still begins with the lines that it signed in each certificate, whoever holds that."""
    wanted = {
        certificate.heads[owner].seq: (certificate.heads[owner].root, f"{holder.path}, line {line}")
        for holder, line, certificate in known.values()
    }
    last = max(wanted, default=0)
    if last > len(book.leaves):
        raise LedgerError(
            str(book.path),
            len(book.leaves),
            f"ends here, but {owner} signed {last} lines in the certificate of {wanted[last][1]}: it was cut off",
        )
    peaks: merkle.Peaks = ()
    for number, leaf in enumerate(book.leaves, 1):
        peaks = merkle.append(peaks, leaf)
        root, where = wanted.get(number, ("", ""))
        if root and merkle.root(peaks).hex() != root:
            raise LedgerError(
                str(book.path),
                number,
                f"up to here these are not the lines that {owner} signed in the "
                f"certificate of {where}: they were rewritten",
            )
