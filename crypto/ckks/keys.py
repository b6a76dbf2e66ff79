"""Public and evaluation keys as they travel: packed residues and seeds, checked before SEAL sees them.

All bytes of an evaluator's keys: the public key, then a key for each of `ring.galois_elements`. Second polynomials are
expanded from seeds, so none of them is zero.
"""

from __future__ import annotations

import hashlib
from weakref import WeakValueDictionary

import numpy as np
from tenseal import sealapi

from crypto.ckks import sealapi_files
from crypto.ckks.ciphertexts import checked
from crypto.ckks.params import ParameterSet
from crypto.ckks.ring import context, galois_elements
from crypto.ckks.sealapi_files import SEED_BYTES, Bytes
from crypto.errors import Malformed

DIGEST_LABEL = b"secure-gal/1 evaluation keys\0"


class _Loaded:
    """SEAL's objects."""

    def __init__(self, params: ParameterSet, padded: int, raw: bytes) -> None:
        body = np.frombuffer(raw, dtype=np.uint8)
        cut, each = params.public_key_bytes, params.galois_key_bytes
        self.public, self.galois = load_public(params, body[:cut]), sealapi.GaloisKeys()
        count = {
            (element - 1) // 2: switch_members(params, body[cut + i * each :][:each])  # SEAL's index of an element
            for i, element in enumerate(_elements(params, padded))
        }
        parms = tuple(context(params).key_parms_id())
        sealapi_files.load(self.galois, context(params), sealapi_files.galois_members(parms, params.n, count))


_loaded: WeakValueDictionary[tuple[int, int, int, bytes], _Loaded] = WeakValueDictionary()
"""By ring, width and SHA-256 of the bytes: whoever asks for keys that this process holds gets the same objects."""


class PublicKeys:
    """The key owner's public and Galois keys, checked on construction; read once a process for as long as one is held.

    Attributes:
        params: the parameter set.
        padded: P; 0 for whoever only encrypts, and so has no Galois keys.
        raw: the bytes they came as, for the evaluator's own disk and worker processes.
        public: SEAL's public key.
        galois: SEAL's Galois keys.
    """

    def __init__(self, params: ParameterSet, padded: int, raw: bytes) -> None:
        self.params, self.padded, self.raw = params, padded, raw
        where = (params.n, params.levels, padded, hashlib.sha256(raw).digest())
        self._loaded = _loaded.get(where) or _Loaded(params, padded, raw)
        _loaded[where] = self._loaded
        self.public, self.galois = self._loaded.public, self._loaded.galois

    def __repr__(self) -> str:
        return f"PublicKeys({self.params.name}, P={self.padded})"

    @classmethod
    def from_bytes(cls, params: ParameterSet, padded: int, raw: bytes) -> PublicKeys:
        """Check keys that arrived.

        Raises:
            Malformed: another length, or a residue that is not below its prime.
            Misuse: `padded` is no power of two up to `max_features`.
        """
        due = keys_bytes(params, padded)
        if len(raw) != due:
            raise Malformed(f"evaluation keys of {len(raw)} bytes; {params.name} at width {padded} has {due}")
        try:
            return cls(params, padded, raw)
        except (ValueError, RuntimeError):
            raise Malformed("an evaluation key is not one of this parameter set") from None


def load_public(params: ParameterSet, body: Bytes) -> sealapi.PublicKey:
    """SEAL's public key from `public_key_bytes`; Malformed."""
    public = sealapi.PublicKey()
    sealapi_files.load(public, context(params), _members(params, body, "a public key"))
    return public


def switch_members(params: ParameterSet, body: Bytes) -> list[bytes]:
    """SEAL's members of a Galois or relinearisation key of `galois_key_bytes`: one ciphertext a prime; Malformed."""
    return [_members(params, row, "an evaluation key") for row in body.reshape(params.levels, -1)]


def _members(params: ParameterSet, row: Bytes, what: str) -> bytes:
    """A seeded encryption of zero, on all primes."""
    residues = checked(params, row[:-SEED_BYTES], params.levels + 1, what)
    parms = tuple(context(params).key_parms_id())
    return sealapi_files.ciphertext_members(parms, params.n, 1.0, residues, seed=row[-SEED_BYTES:].tobytes())


def _elements(params: ParameterSet, padded: int) -> list[int]:
    return galois_elements(params, padded) if padded else []


def keys_bytes(params: ParameterSet, padded: int) -> int:
    """Bytes of the evaluation keys for a padded width: the public key, and a key for each Galois element."""
    return params.public_key_bytes + len(_elements(params, padded)) * params.galois_key_bytes


def most_keys_bytes(params: ParameterSet) -> int:
    """Bytes of the evaluation keys at most, whatever the width."""
    return max(keys_bytes(params, 1 << i) for i in range(params.max_features.bit_length()))


def keys_digest(params: ParameterSet, padded: int, raw: bytes) -> str:
    """SHA-256 (hex) of evaluation keys with what they are for, by which two sides say that they mean the same."""
    about = f"{params.name} {padded} {len(raw)}\0".encode()
    return hashlib.sha256(DIGEST_LABEL + about + raw).hexdigest()
