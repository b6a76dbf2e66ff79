"""Public and evaluation keys as they travel: packed residues, checked before SEAL sees them."""

from __future__ import annotations

import numpy as np
from tenseal import sealapi

from crypto.ckks import seal_files
from crypto.ckks.ciphertexts import checked
from crypto.ckks.params import ParameterSet
from crypto.ckks.ring import context, galois_elements
from crypto.ckks.seal_files import SEED_BYTES, Bytes
from crypto.errors import Malformed


class PublicKeys:
    """The key owner's public and Galois keys, checked on construction.

    Attributes:
        params: the parameter set.
        padded: P.
        raw: the bytes they came as, for the evaluator's own disk and worker processes.
        public: SEAL's public key.
        galois: SEAL's Galois keys.
    """

    def __init__(self, params: ParameterSet, padded: int, raw: bytes) -> None:
        self.params, self.padded, self.raw = params, padded, raw
        body = np.frombuffer(raw, dtype=np.uint8)
        cut = params.public_key_bytes
        self.public, self.galois = sealapi.PublicKey(), sealapi.GaloisKeys()
        seal_files.load(self.public, context(params), key_members(params, body[:cut], b""))
        seal_files.load(self.galois, context(params), _galois_members(params, padded, body[cut:]))

    def __repr__(self) -> str:
        return f"PublicKeys({self.params.name}, P={self.padded})"

    @classmethod
    def from_bytes(cls, params: ParameterSet, padded: int, raw: bytes) -> PublicKeys:
        """Check keys that arrived.

        Raises:
            Malformed: as `check_keys`.
            Misuse: `padded` is no power of two up to `max_features`.
        """
        check_keys(params, padded, raw)
        try:
            return cls(params, padded, raw)
        except (ValueError, RuntimeError):
            raise Malformed("an evaluation key is not one of this parameter set") from None


def key_members(params: ParameterSet, body: Bytes, seed: bytes) -> bytes:
    polynomials = 1 if seed else 2
    residues = seal_files.unpack(body).reshape(polynomials, params.levels + 1, params.n)
    parms = tuple(context(params).key_parms_id())
    return seal_files.ciphertext_members(parms, params.n, 1.0, residues, seed=seed or None)


def _galois_members(params: ParameterSet, padded: int, body: Bytes) -> bytes:
    """SEAL's Galois keys: a list by index (element - 1) / 2, most of them empty, of one ciphertext a prime."""
    each = params.galois_key_bytes // params.levels
    count = {}
    for i, element in enumerate(galois_elements(params, padded)):
        parts = []
        for j in range(params.levels):
            row = body[(i * params.levels + j) * each :][:each]
            parts.append(key_members(params, row[:-SEED_BYTES], row[-SEED_BYTES:].tobytes()))
        count[(element - 1) // 2] = parts
    return seal_files.galois_members(tuple(context(params).key_parms_id()), params.n, count)


def keys_bytes(params: ParameterSet, padded: int) -> int:
    """Bytes of the evaluation keys for a padded width: the public key, and one seeded key a Galois element."""
    return params.public_key_bytes + len(galois_elements(params, padded)) * params.galois_key_bytes


def check_keys(params: ParameterSet, padded: int, raw: bytes) -> None:
    """Refuse evaluation keys that nothing could be computed with: what `PublicKeys.from_bytes` finds, without loading.

    Raises:
        Malformed: another length, a residue that is not below its prime, or a public key that hides nothing.
    """
    due = keys_bytes(params, padded)
    if len(raw) != due:
        raise Malformed(f"evaluation keys of {len(raw)} bytes; {params.name} at width {padded} has {due}")
    check_public_key(params, raw[: params.public_key_bytes])
    check_switch_keys(params, raw[params.public_key_bytes :])


def check_public_key(params: ParameterSet, raw: bytes) -> None:
    """Refuse a public key of another length, with a residue beyond its prime, or that hides nothing; Malformed."""
    due = params.public_key_bytes
    if len(raw) != due:
        raise Malformed(f"a public key of {len(raw)} bytes; {due} are due")
    checked(params, np.frombuffer(raw, dtype=np.uint8), 2, params.levels + 1, "a public key")


def check_switch_keys(params: ParameterSet, raw: bytes) -> None:
    """Refuse Galois or relinearisation keys with a residue that is not below its prime.

    Their second polynomials are expanded from seeds, so none of them is zero.
    """
    for row in np.frombuffer(raw, dtype=np.uint8).reshape(-1, params.galois_key_bytes // params.levels):
        checked(params, row[:-SEED_BYTES], 1, params.levels + 1, "an evaluation key")
