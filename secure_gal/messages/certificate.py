"""What is signed about a log: its head by its owner, and all parties' heads by all parties together.

A head is the log's length and its Merkle root (RFC 6962, "signed tree head"), so it commits to every line. A
certificate fixes everyone's head at one moment: from then on no party can rewrite its log alone, and whoever relays
cannot show two histories.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from crypto.errors import Malformed
from crypto.identity import Card, verify
from secure_gal.errors import PeerViolation

HEAD_LABEL = b"secure-gal/1 ledger head\0"
CERTIFICATE_LABEL = b"secure-gal/1 ledger certificate\0"


class LogHead(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A log's number of lines and its Merkle root (64 hex digits)."""

    seq: int
    root: str


class Certificate(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Every party's head by name, and every party's signature (hex) over all of them."""

    study: str
    run: str
    round: int
    heads: dict[str, LogHead]
    signatures: dict[str, str]

    def statement(self) -> bytes:
        """The bytes that every party signs."""
        return certificate_statement(self.study, self.run, self.round, self.heads)


def head_statement(study: str, owner: str, head: LogHead) -> bytes:
    """The bytes that a log's owner signs about its own head."""
    return HEAD_LABEL + msgspec.json.encode([study, owner, head.seq, head.root])


def certificate_statement(study: str, run: str, round_: int, heads: Mapping[str, LogHead]) -> bytes:
    """The bytes that every party signs about all heads; parties in the order of their names."""
    rows = [[name, head.seq, head.root] for name, head in sorted(heads.items())]
    return CERTIFICATE_LABEL + msgspec.json.encode([study, run, round_, rows])


def check_head(peer: str, owner: str, head: LogHead) -> None:
    """Refuse a head that no log has; `peer` delivered it, PeerViolation."""
    if head.seq < 1 or len(head.root) != 64 or any(c not in "0123456789abcdef" for c in head.root):
        raise PeerViolation(peer, f"the head of {owner} has impossible values")


def check_heads(peer: str, cards: Mapping[str, Card], owner: str, own: LogHead, heads: Mapping[str, LogHead]) -> None:
    """What a party checks before it signs: every party is there once, and its own head is the one that it gave.

    Raises:
        PeerViolation: naming `peer`, who delivered the heads.
    """
    if set(heads) != set(cards):
        raise PeerViolation(peer, "a certificate must list the head of every party and of nobody else")
    for name, head in heads.items():
        check_head(peer, name, head)
    if heads[owner] != own:
        raise PeerViolation(peer, f"the certificate gives {owner} another head than it sent")


def check_signature(peer: str, card: Card, statement: bytes, signature: str) -> None:
    """Verify one party's signature of a certificate; `peer` is who delivered it.

    Raises:
        PeerViolation: it is not hex, or does not verify.
    """
    try:
        raw = bytes.fromhex(signature)
        verify(card, statement, raw if raw.hex() == signature else b"")  # one spelling only
    except (ValueError, Malformed):
        raise PeerViolation(peer, f"the certificate's signature of {card.name} does not verify") from None


def check_certificate(peer: str, cards: Mapping[str, Card], certificate: Certificate) -> None:
    """Verify that exactly the parties of `cards` signed, each over all heads.

    Raises:
        PeerViolation: a party is missing or foreign, or a signature does not verify.
    """
    if set(certificate.heads) != set(cards) or set(certificate.signatures) != set(cards):
        raise PeerViolation(peer, "a certificate must be signed by every party and by nobody else")
    statement = certificate.statement()
    for name, card in cards.items():
        check_signature(peer, card, statement, certificate.signatures[name])
