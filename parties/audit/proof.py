"""`audit prove` and `audit verify-proof`: one line of a ledger that a third party can check offline.

A proof is the line as it stands, its inclusion path (RFC 9162 section 2.1.3) and the head that the path leads to: the
first certificate behind the line, which all parties signed, or else the head that the owner alone signed. Whoever has
the cards of owner and sender sees that the sender signed this message and that it is line N of the owner's ledger. The
salts, on request only, let the holder of a payload show that it is the one that was sent.
"""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path

import msgspec

from crypto import merkle
from crypto.errors import Malformed
from crypto.identity import Card, verify
from crypto.names import NAME_PATTERN
from parties.audit.ledger import check_head, read_head, signature_bytes, verify_ledger
from parties.audit.policy import is_hex
from secure_gal.errors import PeerViolation, SettingsError
from secure_gal.messages import MESSAGES
from secure_gal.messages.certificate import Certificate, LogHead, check_signature
from transport.ledger_entries import (
    MAX_LINE_BYTES,
    CertificateEntry,
    Entry,
    LedgerError,
    MessageEntry,
    SignedHead,
    decode,
)
from transport.wire import SALT_BYTES, SIGN_LABEL, Header

FORMAT = 1
MAX_PROOF_BYTES = MAX_LINE_BYTES + (64 << 10)
"""Bytes of a proof: one line, at most 64 hashes, salts, and a head or certificate; a real one has about 3,000."""


class Proof(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The proof file: `line` is the entry's raw bytes, `path` and `salts` are hex; no salts, no proof of a payload.

    Exactly one of `certificate` and `head` is there.
    """

    format: int
    line: msgspec.Raw
    path: tuple[str, ...]
    certificate: Certificate | None
    head: SignedHead | None
    salts: tuple[str, ...] = ()


class Proven(msgspec.Struct, frozen=True):
    """What a proof shows."""

    owner: str
    study: str
    seq: int
    of: int
    direction: str
    sender: str
    recipient: str
    kind: str
    round: int
    run: str
    time: str
    certified_by: tuple[str, ...]
    """Parties whose signature of the certificate was checked; empty where only the owner vouches for its ledger."""
    payloads: tuple[str, ...]
    """Names of the fields whose payload was shown to be the one that was signed."""


def prove(path: Path, seq: int, with_salts: bool) -> bytes:
    """The proof file of line `seq` of a ledger, which is verified first.

    Raises:
        LedgerError: the ledger does not verify.
        SettingsError: no such line, it is no message, or its salts are not here.
    """
    leaves: list[bytes] = []
    found: list[bytes] = []
    certificates: list[Certificate] = []

    def visit(line: bytes, entry: Entry) -> None:
        leaves.append(merkle.leaf_hash(line))
        if isinstance(entry, MessageEntry) and entry.seq == seq:
            found.append(line)
        if isinstance(entry, CertificateEntry):
            certificates.append(entry.certificate)

    owner = verify_ledger(path, visit=visit).owner
    if not found:
        raise SettingsError("--seq", f"{seq} is no message of this ledger; `audit show --round R` lists line numbers")
    certificate = next((c for c in certificates if c.heads[owner].seq >= seq), None)
    head = None if certificate else read_head(path)
    size = certificate.heads[owner].seq if certificate else len(leaves)
    hashes = tuple(value.hex() for value in merkle.path(leaves[:size], seq - 1))
    salts = _salts(path, seq) if with_salts else ()
    proof = Proof(FORMAT, msgspec.Raw(found[0]), hashes, certificate, head, salts)
    return msgspec.json.encode(proof) + b"\n"


def _salts(path: Path, seq: int) -> tuple[str, ...]:
    database = path.parent / "run.db"
    try:
        uri = f"{database.resolve().as_uri()}?mode=ro"
        with closing(sqlite3.connect(uri, uri=True)) as connection:
            row = connection.execute("SELECT salts FROM ledger WHERE seq=?", (seq,)).fetchone()
    except sqlite3.Error as error:
        raise SettingsError(
            str(database), f"salts never leave the run directory with the ledger; prove a salt there ({error})"
        ) from error
    raw = bytes(row[0]) if row else b""
    return tuple(raw[i : i + SALT_BYTES].hex() for i in range(0, len(raw), SALT_BYTES))


def verify_proof(path: Path, cards: Sequence[Card], payloads: Mapping[str, bytes]) -> Proven:
    """Check a proof file against cards that the verifier trusts.

    Args:
        cards: of the ledger's owner and of the message's sender (one card where they are the same); further ones
            are checked against the certificate.
        payloads: raw payload bytes by field name; each must be the one that the sender signed.

    Raises:
        LedgerError: a signature, the inclusion or a payload does not verify.
        SettingsError: the file is no proof, or a card is missing.
    """
    proof, where = read_proof(path), str(path)
    entry = decode(bytes(proof.line), where, None)
    if not isinstance(entry, MessageEntry):
        raise LedgerError(where, 0, "does not prove a message")
    by_name = {card.name: card for card in cards}
    owner, header = _check_message(where, entry, by_name), entry.header
    head, certified_by = _check_anchor(where, proof, owner, header, by_name)
    hashes = [bytes.fromhex(text) for text in proof.path]
    root = merkle.root_from_path(merkle.leaf_hash(bytes(proof.line)), entry.seq - 1, head.seq, hashes)
    if root is None or root.hex() != head.root:
        raise LedgerError(where, 0, f"the line is not line {entry.seq} of the ledger that {owner} signed")
    _check_payloads(where, proof, entry, payloads)
    return Proven(
        owner,
        header.study,
        entry.seq,
        head.seq,
        entry.direction,
        header.sender,
        header.recipient,
        header.kind,
        header.round,
        header.run,
        entry.time.isoformat(),
        certified_by,
        tuple(sorted(payloads)),
    )


def _check_message(where: str, entry: MessageEntry, by_name: Mapping[str, Card]) -> str:
    """Whose ledger the line is of, once its message was found to be signed by who sent it."""
    header = entry.header
    owner, other = (header.sender, header.recipient)[:: 1 if entry.direction == "sent" else -1]
    for name, what in ((owner, "whose ledger this is"), (header.sender, "who sent the message")):
        if name not in by_name:
            raise SettingsError("--card", f"the card of {name!r}, {what}, is needed as well")
    known = by_name.get(other)
    if other != entry.peer or not NAME_PATTERN.fullmatch(other) or (known and known.fingerprint != entry.key):
        raise LedgerError(where, 0, "the line names another peer than its message, or another key than the card has")
    if header.kind not in MESSAGES or not is_hex(header.study, 32) or not (header.run == "" or is_hex(header.run, 32)):
        raise LedgerError(where, 0, "the message has an unknown kind, or no study or run")
    try:
        verify(by_name[header.sender], SIGN_LABEL + msgspec.json.encode(header), signature_bytes(entry.signature))
    except Malformed:
        raise LedgerError(where, 0, f"the signature of {header.sender} on the message does not verify") from None
    return owner


def _check_anchor(
    where: str, proof: Proof, owner: str, header: Header, cards: Mapping[str, Card]
) -> tuple[LogHead, tuple[str, ...]]:
    """The owner's head that the path must lead to, and who of the known parties signed it in a certificate."""
    if proof.head is not None:
        check_head(cards[owner], proof.head, where)
        return proof.head.head, ()
    certificate = proof.certificate
    assert certificate is not None  # noqa: S101  (read_proof)
    if owner not in certificate.heads or (certificate.study, certificate.run) != (
        header.study,
        header.run or certificate.run,
    ):
        raise LedgerError(where, 0, "the certificate is of another party, study or run")
    signed = tuple(name for name in sorted(cards) if name in certificate.heads)
    for name in signed:
        try:
            check_signature(name, cards[name], certificate.statement(), certificate.signatures.get(name, ""))
        except PeerViolation as error:
            raise LedgerError(where, 0, error.rule) from None
    return certificate.heads[owner], signed


def read_proof(path: Path) -> Proof:
    """Parse a proof file strictly.

    Raises:
        SettingsError: it cannot be read or is no proof.
    """
    try:
        with path.open("rb") as file:
            raw = file.read(MAX_PROOF_BYTES + 1)
        proof = msgspec.json.decode(raw, type=Proof)
        same = msgspec.json.encode(proof) + b"\n" == raw
    except OSError as error:
        raise SettingsError(str(path), f"cannot be read: {error.strerror}") from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise SettingsError(str(path), f"is not a proof of secure-gal: {error}") from error
    if len(raw) > MAX_PROOF_BYTES or not same or proof.format != FORMAT:
        raise SettingsError(str(path), f"is too large, not canonical, or not of proof format {FORMAT}")
    if (proof.head is None) == (proof.certificate is None):
        raise SettingsError(str(path), "is not a proof of secure-gal: it needs a certificate or a signed head")
    if not all(is_hex(text, 32) for text in proof.path) or not all(is_hex(t, SALT_BYTES) for t in proof.salts):
        raise SettingsError(str(path), "is not a proof of secure-gal: a hash or salt has the wrong form")
    return proof


def _check_payloads(where: str, proof: Proof, entry: MessageEntry, payloads: Mapping[str, bytes]) -> None:
    fields = entry.header.fields
    if payloads and len(proof.salts) != len(fields):
        raise SettingsError("--payload", "this proof carries no salts; its owner makes one with: audit prove --salt")
    salts = {info.name: (bytes.fromhex(salt), info) for info, salt in zip(fields, proof.salts, strict=False)}
    for name, payload in payloads.items():
        if name not in salts:
            raise SettingsError("--payload", f"{name!r}; the fields are {', '.join(salts)}")
        salt, info = salts[name]
        if len(payload) != info.nbytes or hashlib.sha256(salt + payload).hexdigest() != info.digest:
            raise LedgerError(where, 0, f"the payload of {name} is not the one that {entry.header.sender} signed")


def read_payloads(given: Sequence[str]) -> dict[str, bytes]:
    """Payload bytes by field name, from FIELD=FILE; SettingsError when one cannot be read."""
    payloads = {}
    for text in given:
        name, _, file = text.partition("=")
        try:
            payloads[name] = Path(file).read_bytes()
        except OSError as error:
            raise SettingsError("--payload", f"{text!r}; accepted: FIELD=FILE ({error.strerror})") from None
    return payloads
