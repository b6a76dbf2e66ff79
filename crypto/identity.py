"""Long-term identities: an Ed25519 signing key and a Curve25519 CURVE key, bound in a self-signed card.

Signatures are Ed25519 (RFC 8032) by `cryptography`; CURVE keys are made by libzmq and written in Z85 (ZeroMQ RFC 32).
"""

from __future__ import annotations

import hashlib
import os
import stat
from pathlib import Path

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from crypto.errors import Malformed, Refused, Unsuitable
from crypto.names import NAME_PATTERN, NAME_RULE
from crypto.private_files import write_new

FORMAT = 1
MAX_CARD_BYTES = 4096
"""Bytes of a card or key file; a real one has about 400."""
CARD_LABEL = b"secure-gal/1 card\0"
FINGERPRINT_LABEL = b"secure-gal/1 fingerprint\0"


class _CardFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    format: int
    name: str
    signing_key: str
    curve_key: str
    signature: str


class _KeyFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    format: int
    name: str
    signing_secret: str
    curve_secret: str
    curve_key: str


class Card:
    """The public half of an identity, checked on construction.

    Args:
        name: its owner's name.
        signing_key: raw Ed25519 public key, 32 bytes.
        curve_key: CURVE public key, 40 bytes of Z85 text.
        signature: self-signature over name and both keys, 64 bytes.

    Raises:
        Malformed: the name or a key has another form, or the signature does not verify.
    """

    __slots__ = ("curve_key", "fingerprint", "name", "signature", "signing_key")

    def __init__(self, name: str, signing_key: bytes, curve_key: bytes, signature: bytes) -> None:
        if not NAME_PATTERN.fullmatch(name) or len(signing_key) != 32 or len(curve_key) != 40:
            raise Malformed("the name or a key has the wrong form")
        body = _body(name, signing_key, curve_key)
        try:
            Ed25519PublicKey.from_public_bytes(signing_key).verify(signature, CARD_LABEL + body)
        except (InvalidSignature, ValueError) as error:
            raise Malformed(f"the signature of the card of {name} does not verify; ask for the file again") from error
        self.name, self.signing_key, self.curve_key, self.signature = name, signing_key, curve_key, signature
        digest = hashlib.sha256(FINGERPRINT_LABEL + body).hexdigest()
        self.fingerprint = "-".join(digest[i : i + 4] for i in range(0, 64, 4))

    def __repr__(self) -> str:
        return f"Card({self.name}, {self.fingerprint[:9]}...)"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Card) and self.to_bytes() == other.to_bytes()

    def __hash__(self) -> int:
        return hash(self.fingerprint)

    def to_bytes(self) -> bytes:
        """The card file: one line of canonical JSON."""
        file = _CardFile(FORMAT, self.name, self.signing_key.hex(), self.curve_key.decode(), self.signature.hex())
        return msgspec.json.encode(file) + b"\n"

    @classmethod
    def from_bytes(cls, raw: bytes) -> Card:
        """Parse a card strictly.

        Raises:
            Malformed: too large, not canonical, another format, or a signature that does not verify.
        """
        if len(raw) > MAX_CARD_BYTES:
            raise Malformed(f"is larger than {MAX_CARD_BYTES} bytes; it is not a card")
        try:
            file = msgspec.json.decode(raw, type=_CardFile)
            if file.format != FORMAT:
                raise Malformed(f"has card format {file.format}; this version reads {FORMAT}")
            signing, signature = bytes.fromhex(file.signing_key), bytes.fromhex(file.signature)
            card = cls(file.name, signing, file.curve_key.encode("ascii"), signature)
        except (msgspec.DecodeError, ValueError) as error:
            raise Malformed(f"is not a card of secure-gal: {error}") from error
        if card.to_bytes() != raw:
            raise Malformed("is not written canonically; ask for the file again")
        return card


def _body(name: str, signing_key: bytes, curve_key: bytes) -> bytes:
    return msgspec.json.encode([name, signing_key.hex(), curve_key.decode("ascii", "replace")])


class Identity:
    """Somebody's private keys; prints only its name and cannot be pickled."""

    __slots__ = ("_signing", "card", "curve_secret")

    def __init__(self, name: str, signing: Ed25519PrivateKey, curve_key: bytes, curve_secret: bytes) -> None:
        self._signing = signing
        public = signing.public_key().public_bytes_raw()
        self.card = Card(name, public, curve_key, signing.sign(CARD_LABEL + _body(name, public, curve_key)))
        self.curve_secret = curve_secret

    def __repr__(self) -> str:
        return f"Identity({self.card.name})"

    def __reduce__(self) -> str:
        raise TypeError("an identity holds secret keys and cannot be serialised")

    @classmethod
    def generate(cls, name: str) -> Identity:
        """New keys from the operating system's generator.

        Raises:
            Unsuitable: `name` is none.
        """
        import zmq

        if not NAME_PATTERN.fullmatch(name):
            raise Unsuitable("name", f"{name!r}; accepted: {NAME_RULE}")
        public, secret = zmq.curve_keypair()
        return cls(name, Ed25519PrivateKey.generate(), public, secret)

    def sign(self, data: bytes) -> bytes:
        """Ed25519 signature, 64 bytes; `data` starts with a label that says what is signed."""
        return self._signing.sign(data)

    def derive_key(self, label: bytes) -> bytes:
        """A 32-byte key of its owner's own for one purpose: HKDF-SHA256 (RFC 5869) of the signing secret."""
        secret = self._signing.private_bytes_raw()
        return HKDF(SHA256(), 32, salt=None, info=b"secure-gal/1 derived key\0" + label).derive(secret)

    def save(self, home: Path) -> None:
        """Write NAME.key (0600) and NAME.card (0644); never overwrites.

        Raises:
            FileExistsError: a key of that name is already there.
            Refused: they cannot be written.
        """
        name = self.card.name
        file = _KeyFile(
            FORMAT,
            name,
            self._signing.private_bytes_raw().hex(),
            self.curve_secret.decode(),
            self.card.curve_key.decode(),
        )
        try:
            home.mkdir(mode=0o700, parents=True, exist_ok=True)
            write_new(home / f"{name}.key", msgspec.json.encode(file) + b"\n", 0o600)
            write_new(home / f"{name}.card", self.card.to_bytes(), 0o644)
        except FileExistsError:
            raise
        except OSError as error:
            raise Refused(f"{home}: keys could not be written: {error.strerror}") from error

    @classmethod
    def load(cls, home: Path, name: str) -> Identity:
        """Read NAME.key.

        Raises:
            FileNotFoundError: there is none.
            Unsuitable: readable by others than its owner, or of another format.
        """
        path = home / f"{name}.key"
        try:
            with path.open("rb") as handle:
                mode = stat.S_IMODE(os.fstat(handle.fileno()).st_mode)
                if mode & 0o077:
                    raise Unsuitable(str(path), f"has mode {mode:04o}, so others can read it; chmod 600 {path}")
                file = msgspec.json.decode(handle.read(MAX_CARD_BYTES), type=_KeyFile)
        except FileNotFoundError:
            raise
        except (msgspec.DecodeError, UnicodeDecodeError, OSError) as error:
            raise Unsuitable(str(path), f"is not a readable key file: {type(error).__name__}") from None
        if file.format != FORMAT or file.name != name:
            raise Unsuitable(str(path), f"is key format {file.format} of {file.name!r}; expected {FORMAT} of {name!r}")
        try:
            signing = Ed25519PrivateKey.from_private_bytes(bytes.fromhex(file.signing_secret))
        except ValueError:
            raise Unsuitable(str(path), "holds no valid signing key") from None
        return cls(name, signing, file.curve_key.encode(), file.curve_secret.encode())


def verify(card: Card, data: bytes, signature: bytes) -> None:
    """Check an Ed25519 signature of the card's owner.

    Raises:
        Malformed: it does not verify.
    """
    try:
        Ed25519PublicKey.from_public_bytes(card.signing_key).verify(signature, data)
    except (InvalidSignature, ValueError) as error:
        raise Malformed("a signature does not verify") from error
