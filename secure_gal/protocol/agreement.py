"""The run: what every party signs before anything else is sent (PROTOCOL.md steps 1 to 4)."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass

import msgspec

from crypto.errors import Malformed
from crypto.identity import Card, verify
from secure_gal import __version__
from secure_gal.errors import PeerViolation
from secure_gal.settings.digest import FIRST_RELEASE, VERSION

RUN_LABEL = b"secure-gal/1 run\0"
SIGN_LABEL = b"secure-gal/1 run agreement\0"
NONCE_BYTES = 16
"""128 bits a party: two runs of a study never share a run id."""
RELEASE_PATTERN = re.compile(r"[0-9A-Za-z.+-]{1,32}")
MAX_VERSION = 1000
NOTE = f"the side that shows None here runs secure-gal {FIRST_RELEASE} and must upgrade"
"""Goes along with every reading of a study, for a release that says none of its own but prints whatever differs."""
MAX_WORDS = 10_000
"""Characters that a person is told about how two studies differ."""


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
    except Malformed:
        raise PeerViolation(peer, f"the run signature of {card.name} does not verify") from None


@dataclass(frozen=True, slots=True)
class Reading:
    """What a peer's `hello` or `run-offer` says: the study's canonical text and version, and the peer's release."""

    canonical: bytes
    release: str
    version: int


def reading(canonical: bytes) -> str:
    """The study as `hello` and `run-offer` carry it: the canonical text, with this party's release beside it.

    The form of these two messages is that of version 1, so that unlike releases can still tell each other so.
    """
    body = msgspec.json.decode(canonical, type=dict[str, object])
    return msgspec.json.encode(body | {"release": __version__, "note": NOTE}, order="deterministic").decode()


def read(peer: str, text: str) -> Reading:
    """A peer's reading of the study.

    Raises:
        PeerViolation: it is not one.
    """
    try:
        body = msgspec.json.decode(text, type=dict[str, object])
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        raise PeerViolation(peer, "its study is unreadable") from error
    release, version = body.pop("release", FIRST_RELEASE), body.get("version", 1)
    body.pop("note", None)
    if not isinstance(release, str) or not RELEASE_PATTERN.fullmatch(release):
        raise PeerViolation(peer, "its study names no release")
    if type(version) is not int or not 1 <= version <= MAX_VERSION:
        raise PeerViolation(peer, f"its study has no version from 1 to {MAX_VERSION}")
    return Reading(msgspec.json.encode(body, order="deterministic"), release, version)


def unlike(peer: str, theirs: Reading) -> str:
    """Which releases the sides run where they differ, and who must upgrade where they cannot share a study; else
    empty."""
    both = f"{peer} runs secure-gal {theirs.release}, this party secure-gal {__version__}"
    if theirs.version == VERSION:
        return "" if theirs.release == __version__ else both
    behind = peer if theirs.version < VERSION else "this party"
    return (
        f"{both}: studies of version {theirs.version} there and of version {VERSION} here do not go together. {behind} "
        "must upgrade; a run that has begun ends on the release that it began with"
    )


def differences(mine: bytes, theirs: bytes) -> str:
    """Say in words how two canonical readings of a study differ, in at most MAX_WORDS characters."""
    here, there = (msgspec.json.decode(raw, type=dict[str, object]) for raw in (mine, theirs))
    parts = []
    for key in sorted(here.keys() | there.keys()):
        if here.get(key) != there.get(key):
            parts.append(f"`{key}` is {here.get(key)!r} here and {there.get(key)!r} there"[:400])
    return "; ".join(parts)[:MAX_WORDS] or "the texts differ although every field agrees"
