"""`audit verify`: every rule that one party's ledger can be held against, line by line, without any payload.

It checks form, chain, signed head, every sender's signature, direction, link sequence numbers, study, run, policy
(`audit_policy`) and certificates. The first broken rule ends it: what stands behind a broken link proves nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import assert_never

import msgspec

from crypto import merkle
from crypto.errors import Malformed
from crypto.identity import Card, verify
from parties.audit.policy import Policy, is_hex, read_opening
from secure_gal.errors import PeerViolation
from secure_gal.messages.certificate import LogHead, check_certificate, head_statement
from transport.ledger import HEAD, MAX_HEAD_BYTES
from transport.ledger_entries import (
    FORMAT,
    BeyondEntry,
    CertificateEntry,
    ConsentEntry,
    Entry,
    LedgerError,
    MessageEntry,
    Opening,
    PeerRestart,
    SignedHead,
    TornTail,
    decode,
    read_lines,
)
from transport.wire import SIGN_LABEL, SIGNATURE_BYTES

BEFORE_AGREEMENT = frozenset({"hello", "run-offer", "run-signature"})
"""Message kinds before the run stands; until then a peer may come back with an empty run directory."""
Visit = Callable[[bytes, Entry], None]


class Verdict(msgspec.Struct, frozen=True):
    """What a ledger that verifies says in sum."""

    owner: str
    study: str
    digest: str
    run: str
    entries: int
    sent: int
    received: int
    certificates: int
    certified_entries: int
    """Lines that the last certificate covers. Other parties hold it too, so the owner cannot rewrite or drop these."""
    repairs: int
    root: str
    beyond: dict[str, float]
    """The limits that the owner went beyond, each with the largest number that it stated."""

    def beyond_in_words(self) -> str:
        """`beyond` for a person; empty where the owner kept to all limits."""
        return ", ".join(f"{name} up to {stated:g}" for name, stated in self.beyond.items())


def verify_ledger(path: Path, digest: str = "", visit: Visit | None = None) -> Verdict:
    """Check one ledger whole; memory grows by a few bytes a line since the last certificate only.

    Args:
        path: `ledger.jsonl`, with its `.head` file beside it.
        digest: the study digest that it must have; '' to take the ledger's own.
        visit: is called with (line, entry) for each line that passed, the opening included.

    Raises:
        LedgerError: the first rule that is broken, and in which line.
        SettingsError: the file cannot be read or is no ledger.
    """
    checker: Checker | None = None
    for number, line in enumerate(read_lines(path), 1):
        entry = decode(line, str(path), number)
        if checker is None:
            if not isinstance(entry, Opening) or entry.prev:
                raise LedgerError(str(path), 1, "must be the opening, with nothing before it")
            if digest and entry.digest != digest:
                raise LedgerError(str(path), 1, f"is of the study {entry.digest[:16]}..., not {digest[:16]}...")
            checker = Checker(str(path), entry)
        else:
            checker.check(entry)
        checker.extend(line)
        if visit:
            visit(line, entry)
    assert checker is not None  # noqa: S101  (read_lines refuses an empty file)
    head = read_head(path)
    checker.finish(head)
    return checker.verdict()


def head_path(path: Path) -> Path:
    """Where the signed head of a ledger lies: beside it, with the same stem."""
    return path.with_suffix(Path(HEAD).suffix)


def read_head(path: Path) -> SignedHead:
    """Parse the head file of the ledger `path` strictly.

    Raises:
        LedgerError: it is missing or not a head: without it nothing vouches for the last lines.
    """
    where = head_path(path)
    try:
        with where.open("rb") as file:
            raw = file.read(MAX_HEAD_BYTES + 1)
        head = msgspec.json.decode(raw, type=SignedHead)
    except OSError as error:
        fix = "copy it together with the ledger"
        raise LedgerError(str(where), 0, f"cannot be read: {error.strerror}; {fix}") from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise LedgerError(str(where), 0, f"is not the signed head of a ledger: {error}") from error
    if len(raw) > MAX_HEAD_BYTES or msgspec.json.encode(head) + b"\n" != raw:
        raise LedgerError(str(where), 0, "is too long, or not written canonically")
    return head


def check_head(card: Card, head: SignedHead, where: str) -> None:
    """Verify the owner's signature of a head.

    Raises:
        LedgerError: it does not verify, or the head is someone else's, or of another format.
    """
    if head.format != FORMAT:
        raise LedgerError(where, 0, f"has head format {head.format}; this version reads {FORMAT}")
    try:
        verify(card, head_statement(head.study, head.owner, head.head), signature_bytes(head.signature))
    except Malformed:
        raise LedgerError(where, 0, f"the signature of {card.name} on the head does not verify") from None
    if head.owner != card.name:
        raise LedgerError(where, 0, f"is the head of {head.owner}'s ledger, not of {card.name}'s")


class Checker:
    """The state of one pass over a ledger."""

    def __init__(self, where: str, opening: Opening) -> None:
        self._where, self._opening = where, opening
        self.study, self.cards = read_opening(opening, where)
        self._policy = Policy(self.study)
        self._seq, self._prev = 0, ""
        self._peaks: merkle.Peaks = ()
        self._since: dict[int, merkle.Peaks] = {}
        self._links: dict[tuple[str, str], int] = {}
        self._run, self._agreed = "", False
        self._certified, self._round = LogHead(0, ""), 0
        self._beyond: dict[str, float] = {}
        self._counts = dict.fromkeys(("sent", "received", "certificates", "repairs"), 0)

    def extend(self, line: bytes) -> None:
        """Take a line that passed into the chain."""
        leaf = merkle.leaf_hash(line)
        self._seq, self._prev, self._peaks = self._seq + 1, leaf.hex(), merkle.append(self._peaks, leaf)
        self._since[self._seq] = self._peaks

    def check(self, entry: Entry) -> None:
        """Every rule for one line behind the opening."""
        self._require(
            entry.prev == self._prev,
            "does not follow from the line before it: one of the two was changed, "
            "or lines were inserted or removed between them",
        )
        match entry:
            case MessageEntry():
                self._message(entry)
            case CertificateEntry():
                self._certificate(entry)
            case PeerRestart(peer=peer):
                self._require(not self._agreed, f"{peer} cannot have begun anew after the run was agreed")
                self._require(peer in self.cards and peer != self._opening.owner, f"{peer!r} is not a peer")
                self._run = ""
                for direction in ("sent", "received"):
                    self._links.pop((direction, peer), None)
            case ConsentEntry() | BeyondEntry():
                problem = self._policy.agreed_problem(entry, self._opening)
                self._require(not problem, problem)
                if isinstance(entry, BeyondEntry):
                    self._beyond[entry.limit] = max(entry.stated, self._beyond.get(entry.limit, 0.0))
            case TornTail(line=line, nbytes=nbytes):
                self._require(0 < line < entry.seq and nbytes > 0, "notes an impossible repair")
                self._counts["repairs"] += 1
            case Opening():
                self._require(False, "a ledger is opened once, in line 1")
            case _:
                assert_never(entry)

    def _message(self, entry: MessageEntry) -> None:
        header, owner = entry.header, self._opening.owner
        ends = (owner, entry.peer) if entry.direction == "sent" else (entry.peer, owner)
        self._require(
            (header.sender, header.recipient) == ends and entry.peer != owner,
            f"says {entry.direction}, peer {entry.peer}, but the message is from {header.sender} to {header.recipient}",
        )
        card = self.cards.get(entry.peer)
        self._require(card is not None and card.fingerprint == entry.key, f"{entry.peer} has no such key in this study")
        try:
            raw = msgspec.json.encode(header)
            verify(self.cards[header.sender], SIGN_LABEL + raw, signature_bytes(entry.signature))
        except Malformed:
            self._require(False, f"the signature of {header.sender} on {header.kind} does not verify")
        problem = self._policy.problem(header, self._opening.digest)
        self._require(not problem, problem)
        self._require(header.run in ("", self._run) or not self._run, "belongs to another run")
        self._run = header.run or self._run
        self._agreed |= header.kind not in BEFORE_AGREEMENT
        link = (entry.direction, entry.peer)
        expected = self._links.get(link, 0) + 1
        self._require(
            header.seq == expected, f"message {header.seq} {_preposition(entry)} {entry.peer} where {expected} was due"
        )
        self._links[link] = expected
        self._counts[entry.direction] += 1

    def _certificate(self, entry: CertificateEntry) -> None:
        certificate = entry.certificate
        here = (certificate.study, certificate.run) == (self._opening.digest, self._run)
        self._require(here, "is a certificate of another study or run")
        self._require(
            certificate.round > self._round,
            f"a certificate of round {certificate.round} after one of round {self._round}",
        )
        try:
            check_certificate(self._opening.owner, self.cards, certificate)
        except PeerViolation as error:
            self._require(False, error.rule)
        own = certificate.heads[self._opening.owner]
        peaks = self._since.get(own.seq)
        same = peaks is not None and merkle.root(peaks).hex() == own.root
        self._require(same, f"certifies other first {own.seq} lines than this ledger has (or fewer than the last did)")
        self._certified, self._round = own, certificate.round
        self._since = {seq: peaks for seq, peaks in self._since.items() if seq >= own.seq}
        self._counts["certificates"] += 1

    def finish(self, head: SignedHead) -> None:
        """The signed head must be the owner's, and the last line's."""
        opening, name = self._opening, str(head_path(Path(self._where)))
        check_head(self.cards[opening.owner], head, name)
        if head.study != opening.digest:
            raise LedgerError(name, 0, "is the head of another study's ledger")
        if head.head.seq != self._seq:
            raise LedgerError(
                self._where,
                min(head.head.seq + 1, self._seq),
                f"the owner signed {head.head.seq} lines, here "
                f"are {self._seq}: lines were cut off or added at the end (or the process died there; "
                "opening the run again completes both)",
            )
        if head.head.root != merkle.root(self._peaks).hex():
            raise LedgerError(
                self._where,
                self._seq,
                "the owner signed other lines than these; where the chain holds, the last line was changed",
            )

    def verdict(self) -> Verdict:
        """The sums, once everything passed."""
        counts, opening = self._counts, self._opening
        return Verdict(
            opening.owner,
            self.study.name,
            opening.digest,
            self._run,
            self._seq,
            counts["sent"],
            counts["received"],
            counts["certificates"],
            self._certified.seq,
            counts["repairs"],
            merkle.root(self._peaks).hex(),
            self._beyond,
        )

    def _require(self, fine: bool, rule: str) -> None:
        if not fine:
            raise LedgerError(self._where, self._seq + 1, rule)


def signature_bytes(text: str) -> bytes:
    """The signature that lower-case hex stands for; nothing, which never verifies, for any other text."""
    return bytes.fromhex(text) if is_hex(text, SIGNATURE_BYTES) else b""


def _preposition(entry: MessageEntry) -> str:
    return "to" if entry.direction == "sent" else "from"
