"""Frozen formats: the files of `tests/vectors`, and test-only keys and cards that later layers are held against.

A layer is tested on values that are written down in its own vector, never on what the layer below makes today: so a
change of one format turns the test of that format red, and no other.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import zmq
from cryptography.exceptions import InvalidSignature, InvalidTag
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from zmq.utils import z85

from crypto.errors import CryptoError
from crypto.identity import Identity
from secure_gal.errors import SecureGalError

REFUSALS = (
    SecureGalError,
    CryptoError,
    ValueError,
    LookupError,
    TypeError,
    AttributeError,
    ImportError,
    InvalidSignature,
    InvalidTag,
    AssertionError,
)
"""What code or test raises where what was written before is no longer understood."""
FOLDER = Path(__file__).parents[1] / "vectors"
STUDY, RUN = "ab" * 32, "cd" * 32
"""Stand-ins for a study digest and a run, which have vectors of their own."""


class Vector:
    """One file: `layer` says what has changed where it fails, `given` goes in, `frozen` comes out."""

    def __init__(self, name: str) -> None:
        raw: dict[str, Any] = json.loads((FOLDER / f"{name}.json").read_text())
        self.name, self.layer = name, str(raw["layer"])
        self.given: dict[str, Any] = raw["given"]
        self.frozen: dict[str, Any] = raw["frozen"]

    def same(self, **found: Any) -> None:
        """What this code makes is what is frozen, all of it."""
        found = json.loads(json.dumps(found))
        assert found.keys() == self.frozen.keys(), f"layer {self.layer!r}: other entries than in {self.name}.json"
        for key, value in found.items():
            assert value == self.frozen[key], f"layer {self.layer!r}: {key} is not what {self.name}.json has"

    @contextmanager
    def read(self) -> Iterator[None]:
        """What was written before is read, checked and understood as it was then."""
        try:
            yield
        except REFUSALS as error:
            raise AssertionError(f"layer {self.layer!r}: {self.name}.json is not read as it was: {error!r}") from error

    def bytes(self, key: str) -> bytes:
        """A frozen entry in hex."""
        return bytes.fromhex(self.frozen[key])


def identity(name: str) -> Identity:
    """A test-only identity, the same for ever."""
    secret = z85.encode(hashlib.sha256(f"curve key of {name}, for tests only".encode()).digest())
    signing = Ed25519PrivateKey.from_private_bytes(hashlib.sha256(f"signing key of {name}".encode()).digest())
    return Identity(name, signing, zmq.curve_public(secret), secret)


class StoredCard(NamedTuple):
    """What later layers ask of a `crypto.identity.Card`: a name, a key that verifies, and words for the rest."""

    name: str
    signing_key: bytes
    fingerprint: str

    def to_bytes(self) -> bytes:
        return json.dumps({"card": self.name}, separators=(",", ":")).encode() + b"\n"


def card(name: str) -> Any:
    """The card of `identity(name)` as far as its signatures go; nothing in it comes from the layer `card`."""
    seed = hashlib.sha256(f"signing key of {name}".encode()).digest()
    key = Ed25519PrivateKey.from_private_bytes(seed).public_key().public_bytes_raw()
    return StoredCard(name, key, f"fingerprint-of-{name}")


def stream(what: str, count: int) -> bytes:
    """Bytes that look random and are the same for ever."""
    return hashlib.shake_256(what.encode()).digest(count)


def sha256(data: Any) -> str:
    return hashlib.sha256(data).hexdigest()
