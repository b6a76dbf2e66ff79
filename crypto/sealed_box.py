"""End-to-end sealing of one message between two ends whose only path runs through a third.

The X25519 recipient of age (C2SP, age.md, "X25519 recipient stanza") without its file key: a fresh key pair for every
message, X25519 (RFC 7748) with the recipient's key, HKDF-SHA256 (RFC 5869) salted with both public keys, and
ChaCha20-Poly1305 (RFC 8439) under a key that is used once, so that its nonce may be zero. Inside, before the payload,
stands the sender's Ed25519 signature over labels, the associated data, both keys and the payload's digest (sign then
encrypt, with the recipient named in what is signed, so that a recipient cannot pass it on as addressed to another).

The recipient's key is made for one purpose in one session, signed by its owner and erased when that purpose has ended:
it is not the CURVE key, whose loss would open every channel.
"""

from __future__ import annotations

import hashlib

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from crypto.errors import Malformed
from crypto.identity import Card, Identity, verify

KEY_LABEL = b"secure-gal/1 sealing key\0"
SEAL_LABEL = b"secure-gal/1 sealed message\0"
PUBLIC_BYTES, SIGNATURE_BYTES, TAG_BYTES = 32, 64, 16
OVERHEAD_BYTES = PUBLIC_BYTES + SIGNATURE_BYTES + TAG_BYTES
"""By how much a sealed message is longer than its payload."""
_NONCE = bytes(12)


class SealingKey:
    """The recipient's private key for one purpose in one session; prints nothing and cannot be pickled."""

    __slots__ = ("_private", "public")

    def __init__(self, private: bytes | None = None) -> None:
        self._private = X25519PrivateKey.from_private_bytes(private) if private else X25519PrivateKey.generate()
        self.public = self._private.public_key().public_bytes_raw()

    def __repr__(self) -> str:
        return "SealingKey(secret)"

    def __reduce__(self) -> str:
        raise TypeError("a sealing key is secret and cannot be serialised; it has `secret_for_own_disk`")

    def secret_for_own_disk(self) -> bytes:
        """The 32 bytes that `SealingKey` takes, for the owner's own disk and nothing else."""
        return self._private.private_bytes_raw()

    def announce(self, identity: Identity, session: bytes, purpose: str) -> bytes:
        """The owner's signature over its public key for this purpose in this session, 64 bytes."""
        return identity.sign(key_statement(session, purpose, self.public))

    def unseal(self, sealed: bytes, sender: Card, binding: bytes) -> bytes:
        """The payload.

        Args:
            sealed: as it arrived.
            sender: the card of whoever should have sealed it.
            binding: what the message must belong to; authenticated, never sent, so that both ends must expect the same.

        Raises:
            Malformed: too short, not for this key or binding, changed on the way, or not signed by the sender.
        """
        if len(sealed) < OVERHEAD_BYTES:
            raise Malformed("is too short")
        fresh, body = sealed[:PUBLIC_BYTES], sealed[PUBLIC_BYTES:]
        try:
            shared = self._private.exchange(X25519PublicKey.from_public_bytes(fresh))
            plain = ChaCha20Poly1305(_derive(shared, fresh, self.public)).decrypt(_NONCE, body, SEAL_LABEL + binding)
        except (InvalidTag, ValueError):  # ValueError: a point of small order (RFC 7748, section 6.1)
            raise Malformed(
                "cannot be unsealed: it was sealed to another key, is about something else, or was changed on the way"
            ) from None
        signature, payload = plain[:SIGNATURE_BYTES], plain[SIGNATURE_BYTES:]
        try:
            verify(sender, _statement(binding, fresh, self.public, payload), signature)
        except Malformed:
            raise Malformed(f"is not signed by {sender.name}") from None
        return payload


def key_statement(session: bytes, purpose: str, public: bytes) -> bytes:
    """The bytes that the owner of a sealing key signs; a `session` has the same length wherever it is used."""
    return KEY_LABEL + session + public + purpose.encode()


def check_key_signature(owner: Card, session: bytes, purpose: str, public: bytes, signature: bytes) -> None:
    """Refuse a sealing key that its owner has not signed for this purpose in this session.

    Raises:
        Malformed: wrong length, or the signature does not verify.
    """
    verify(owner, key_statement(session, purpose, public), signature if len(public) == PUBLIC_BYTES else b"")


def check_point(public: bytes) -> None:
    """Refuse a sealing key to which nothing can be sealed, though its owner signed it: a point of small order."""
    try:
        X25519PrivateKey.generate().exchange(X25519PublicKey.from_public_bytes(public))
    except ValueError:
        raise Malformed("is a point of small order") from None


def seal(identity: Identity, public: bytes, binding: bytes, payload: bytes) -> bytes:
    """Sign and seal; `OVERHEAD_BYTES` longer than the payload.

    Args:
        identity: the sender's.
        public: the recipient's key, which `check_key_signature` and `check_point` have passed.
        binding: what the message belongs to, sender and recipient among it; authenticated, never sent.
        payload: at most 2**31 - 65 bytes.
    """
    private = X25519PrivateKey.generate()
    fresh = private.public_key().public_bytes_raw()
    key = _derive(private.exchange(X25519PublicKey.from_public_bytes(public)), fresh, public)
    signature = identity.sign(_statement(binding, fresh, public, payload))
    return fresh + ChaCha20Poly1305(key).encrypt(_NONCE, signature + payload, SEAL_LABEL + binding)


def _statement(binding: bytes, fresh: bytes, public: bytes, payload: bytes) -> bytes:
    return SEAL_LABEL + binding + fresh + public + hashlib.sha256(payload).digest()


def _derive(shared: bytes, fresh: bytes, public: bytes) -> bytes:
    return HKDF(algorithm=SHA256(), length=32, salt=fresh + public, info=SEAL_LABEL).derive(shared)
