"""End-to-end sealing of one message between two parties whose only path runs through a third.

The X25519 recipient of age (C2SP, age.md, "X25519 recipient stanza") without its file key: a fresh key pair for every
message, X25519 (RFC 7748) with the recipient's key, HKDF-SHA256 (RFC 5869) salted with both public keys, and
ChaCha20-Poly1305 (RFC 8439) under a key that is used once, so that its nonce may be zero. Inside, before the payload,
stands the sender's Ed25519 signature over labels, the associated data, both keys and the payload's digest (sign then
encrypt, with the recipient named in what is signed, so that a recipient cannot pass it on as addressed to another).

The recipient's key is made for one purpose in one run, signed by its owner and erased when that purpose has ended: it
is not the CURVE key, whose loss would open the channels of every study.
"""

from __future__ import annotations

import hashlib

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from crypto.identity import Card, Identity, verify
from secure_gal.errors import PeerViolation

KEY_LABEL = b"secure-gal/1 sealing key\0"
SEAL_LABEL = b"secure-gal/1 sealed message\0"
PUBLIC_BYTES, SIGNATURE_BYTES, TAG_BYTES = 32, 64, 16
OVERHEAD_BYTES = PUBLIC_BYTES + SIGNATURE_BYTES + TAG_BYTES
"""By how much a sealed message is longer than its payload."""
_NONCE = bytes(12)


class Binding(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a sealed message belongs to; authenticated, never sent: both ends must expect the same.

    `about` is whatever else must agree, such as a digest of the rows that the payload is about.
    """

    study: str
    run: str
    what: str
    number: int
    sender: str
    recipient: str
    about: str

    def to_bytes(self) -> bytes:
        """Canonical, with its label."""
        return SEAL_LABEL + msgspec.json.encode(self)


class SealingKey:
    """The recipient's private key for one purpose in one run; prints nothing and cannot be pickled."""

    __slots__ = ("_private", "public")

    def __init__(self, private: bytes | None = None) -> None:
        self._private = X25519PrivateKey.from_private_bytes(private) if private else X25519PrivateKey.generate()
        self.public = self._private.public_key().public_bytes_raw()

    def __repr__(self) -> str:
        return "SealingKey(secret)"

    def __reduce__(self) -> str:
        raise TypeError("a sealing key is secret and cannot be serialised; it has `secret_for_own_disk`")

    def secret_for_own_disk(self) -> bytes:
        """The 32 bytes that `SealingKey` takes, for the owner's private run directory and nothing else."""
        return self._private.private_bytes_raw()

    def announce(self, identity: Identity, study: str, run: str, purpose: str) -> bytes:
        """The owner's signature over its public key for this purpose in this run, 64 bytes."""
        return identity.sign(key_statement(study, run, purpose, self.public))

    def unseal(self, sealed: bytes, sender: Card, binding: Binding, peer: str) -> bytes:
        """The payload.

        Args:
            sealed: as it arrived.
            sender: the card of the party that `binding` names.
            binding: what this side expects.
            peer: who delivered it.

        Raises:
            PeerViolation: too short, not for this key or binding, changed on the way, or not signed by the sender.
        """
        if len(sealed) < OVERHEAD_BYTES:
            raise PeerViolation(peer, "a sealed message that is too short")
        fresh, body = sealed[:PUBLIC_BYTES], sealed[PUBLIC_BYTES:]
        try:
            shared = self._private.exchange(X25519PublicKey.from_public_bytes(fresh))
            plain = ChaCha20Poly1305(_derive(shared, fresh, self.public)).decrypt(_NONCE, body, binding.to_bytes())
        except (InvalidTag, ValueError):  # ValueError: a point of small order (RFC 7748, section 6.1)
            raise PeerViolation(
                peer,
                f"a message of {binding.sender} cannot be unsealed: it was not sealed to this key "
                f"for {binding.what} {binding.number}, about other rows, or changed on the way",
            ) from None
        signature, payload = plain[:SIGNATURE_BYTES], plain[SIGNATURE_BYTES:]
        try:
            verify(sender, _statement(binding, fresh, self.public, payload), signature)
        except PeerViolation:
            raise PeerViolation(peer, f"a sealed message is not signed by {binding.sender}") from None
        return payload


def key_statement(study: str, run: str, purpose: str, public: bytes) -> bytes:
    """The bytes that the owner of a sealing key signs; `study` and `run` are 64 hex digits each."""
    return KEY_LABEL + bytes.fromhex(study) + bytes.fromhex(run) + public + purpose.encode()


def check_key(owner: Card, study: str, run: str, purpose: str, public: bytes, signature: bytes, peer: str) -> None:
    """Refuse a sealing key that its owner has not signed for this purpose in this run; `peer` is who delivered it.

    Raises:
        PeerViolation: wrong length, or the signature does not verify; of the owner, who signed it: a point of small
            order, to which nothing can be sealed.
    """
    try:
        verify(owner, key_statement(study, run, purpose, public), signature if len(public) == PUBLIC_BYTES else b"")
    except PeerViolation:
        raise PeerViolation(peer, f"a sealing key that {owner.name} did not sign for {purpose} of this run") from None
    try:
        X25519PrivateKey.generate().exchange(X25519PublicKey.from_public_bytes(public))
    except ValueError:
        raise PeerViolation(owner.name, f"its sealing key for {purpose} is a point of small order") from None


def seal(identity: Identity, public: bytes, binding: Binding, payload: bytes) -> bytes:
    """Sign and seal; `OVERHEAD_BYTES` longer than the payload.

    Args:
        identity: the sender's, named in `binding`.
        public: the recipient's key, which `check_key` has passed.
        payload: at most 2**31 - 65 bytes.
    """
    private = X25519PrivateKey.generate()
    fresh = private.public_key().public_bytes_raw()
    key = _derive(private.exchange(X25519PublicKey.from_public_bytes(public)), fresh, public)
    signature = identity.sign(_statement(binding, fresh, public, payload))
    return fresh + ChaCha20Poly1305(key).encrypt(_NONCE, signature + payload, binding.to_bytes())


def _statement(binding: Binding, fresh: bytes, public: bytes, payload: bytes) -> bytes:
    return binding.to_bytes() + fresh + public + hashlib.sha256(payload).digest()


def _derive(shared: bytes, fresh: bytes, public: bytes) -> bytes:
    return HKDF(algorithm=SHA256(), length=32, salt=fresh + public, info=SEAL_LABEL).derive(shared)
