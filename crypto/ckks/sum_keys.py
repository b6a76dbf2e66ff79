"""The keys of the ring `sum`: to encrypt fits made in the clear, and to multiply and add up fits (decision 0010)."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from tenseal import sealapi

from crypto.ckks import ring, seal_files
from crypto.ckks.ciphertexts import write_reply
from crypto.ckks.fits import ROWS, SUM, TRAINING
from crypto.ckks.keys import check_public_key, key_members
from crypto.ckks.params import ParameterSet
from crypto.ckks.seal_files import SEED_BYTES, Bytes
from crypto.ckks.slots import Packing
from crypto.errors import Malformed, Unsuitable

PUBLIC_BYTES = SUM.public_key_bytes
_SWITCH_BYTES = SUM.galois_key_bytes
PRODUCT_KEYS_BYTES = PUBLIC_BYTES + 2 * _SWITCH_BYTES
"""Public key, relinearisation key, conjugation key."""


class EncryptionKey:
    """The key owner's public key alone: for whoever fits in the clear and encrypts what it found."""

    def __init__(self, raw: bytes) -> None:
        self.public = sealapi.PublicKey()
        seal_files.load(self.public, ring.context(SUM), key_members(SUM, np.frombuffer(raw, np.uint8), b""))
        self._encryptor = sealapi.Encryptor(ring.context(SUM), self.public)
        self._encoder = sealapi.CKKSEncoder(ring.context(SUM))

    def __repr__(self) -> str:
        return "EncryptionKey()"

    @classmethod
    def from_bytes(cls, raw: bytes) -> EncryptionKey:
        """Check a key that arrived; Malformed."""
        check_public_key(SUM, raw)
        try:
            return cls(raw)
        except (ValueError, RuntimeError):
            raise Malformed("a public key that is not one of this parameter set") from None

    def encrypt(self, train: npt.NDArray[np.float64], others: npt.NDArray[np.float64], largest: float) -> bytes:
        """Encrypt values (N_train, K) and (N_others, K), each |value| at most `largest`; `Layout.fit_bytes` long.

        Raises:
            Unsuitable: a value is not finite or too large.
        """
        for values in (train, others):
            if values.size and not np.abs(values).max() <= largest:
                raise Unsuitable("values", f"they must be finite and at most {largest:g} in size to be encrypted")
        return self._encrypt(TRAINING, train) + self._encrypt(ROWS, others)

    def _encrypt(self, params: ParameterSet, values: npt.NDArray[np.float64]) -> bytes:
        parms, table = ring.level(params, params.reply_levels), Packing(params, *values.shape)
        out = []
        for index in range(table.ciphertexts):
            plain, ciphertext = sealapi.Plaintext(), sealapi.Ciphertext()
            self._encoder.encode(table.slots(values, index).tolist(), parms, params.reply_scale, plain)
            self._encryptor.encrypt(plain, ciphertext)
            sealapi.Evaluator(ring.context(params)).transform_from_ntt_inplace(ciphertext)
            saved = seal_files.save(ciphertext)
            residues, _ = seal_files.split_ciphertext(saved, params.reply_levels, params.n, seeded=False)
            out.append(write_reply(params, residues).tobytes())
        return b"".join(out)


class ProductKeys:
    """What the combiner needs: the public key, to re-randomise; relinearisation; and conjugation."""

    def __init__(self, raw: bytes) -> None:
        body, context = np.frombuffer(raw, dtype=np.uint8), ring.context(SUM)
        self.public, self.relin, self.galois = sealapi.PublicKey(), sealapi.RelinKeys(), sealapi.GaloisKeys()
        relin, conjugation = body[PUBLIC_BYTES:][:_SWITCH_BYTES], body[PUBLIC_BYTES + _SWITCH_BYTES :]
        seal_files.load(self.public, context, key_members(SUM, body[:PUBLIC_BYTES], b""))
        parms = tuple(context.key_parms_id())
        seal_files.load(self.relin, context, seal_files.galois_members(parms, 1, {0: _switch_parts(relin)}))
        keys = {SUM.n - 1: _switch_parts(conjugation)}  # Galois element 2n - 1 has index n - 1
        seal_files.load(self.galois, context, seal_files.galois_members(parms, SUM.n, keys))

    def __repr__(self) -> str:
        return "ProductKeys()"

    @classmethod
    def from_bytes(cls, raw: bytes) -> ProductKeys:
        """Check keys that arrived; Malformed."""
        if len(raw) != PRODUCT_KEYS_BYTES:
            raise Malformed(f"product keys of {len(raw)} bytes; {PRODUCT_KEYS_BYTES} are due")
        check_public_key(SUM, raw[:PUBLIC_BYTES])
        try:
            return cls(raw)
        except (ValueError, RuntimeError):
            raise Malformed("a product key is not one of this parameter set") from None


def _switch_parts(body: Bytes) -> list[bytes]:
    each = len(body) // SUM.levels
    rows = [body[j * each : (j + 1) * each] for j in range(SUM.levels)]
    return [key_members(SUM, row[:-SEED_BYTES], row[-SEED_BYTES:].tobytes()) for row in rows]
