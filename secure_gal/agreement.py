"""The run: what every party signs before anything else is sent (PROTOCOL.md steps 1 to 4)."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

import msgspec

from crypto.identity import Card, verify
from secure_gal.errors import PeerViolation

RUN_LABEL = b"secure-gal/1 run\0"
SIGN_LABEL = b"secure-gal/1 run agreement\0"
NONCE_BYTES = 16
"""128 bits a party: two runs of a study never share a run id."""


def run_id(digest: str, nonces: Mapping[str, str]) -> str:
    """SHA-256 (64 hex digits) over the study digest and every party's nonce, in name order."""
    body = msgspec.json.encode([digest, sorted(nonces.items())])
    return hashlib.sha256(RUN_LABEL + body).hexdigest()


def statement(digest: str, run: str) -> bytes:
    """The bytes that every party signs: this study, in this run."""
    return SIGN_LABEL + bytes.fromhex(digest) + bytes.fromhex(run)


def psi_domain(digest: str, run: str, sponsor: str, assistor: str, batch: int, attempt: int) -> bytes:
    """What separates one private alignment from every other: study, run, pair, batch and attempt; 32 bytes."""
    from crypto.psi import derive_domain

    fields = (digest, run, sponsor, assistor, str(batch), str(attempt))
    return derive_domain(*(field.encode() for field in fields))


def check_nonce(peer: str, nonce: str) -> None:
    """Refuse a nonce that is not exactly 32 lower-case hex digits."""
    if len(nonce) != 2 * NONCE_BYTES or any(c not in "0123456789abcdef" for c in nonce):
        raise PeerViolation(peer, "a nonce must be 32 lower-case hex digits")


def check_signature(peer: str, card: Card, digest: str, run: str, signature: str) -> None:
    """Verify one party's signature over (study digest, run); `peer` is who delivered it."""
    try:
        raw = bytes.fromhex(signature)
    except ValueError:
        raise PeerViolation(peer, f"the run signature of {card.name} is not hex") from None
    try:
        verify(card, statement(digest, run), raw)
    except PeerViolation:
        raise PeerViolation(peer, f"the run signature of {card.name} does not verify") from None


def differences(mine: bytes, theirs: str) -> str:
    """Say in words how two canonical readings of a study differ."""
    try:
        other = msgspec.json.decode(theirs, type=dict[str, object])
    except (msgspec.DecodeError, UnicodeError):
        return "the other side's study is unreadable"
    here = msgspec.json.decode(mine, type=dict[str, object])
    parts = []
    for key in sorted(here.keys() | other.keys()):
        if here.get(key) != other.get(key):
            parts.append(f"`{key}` is {here.get(key)!r} here and {other.get(key)!r} there"[:400])
    return "; ".join(parts) or "the texts differ although every field agrees (another version?)"
