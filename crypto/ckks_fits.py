"""Fitted values on their way to the combiner, who adds up those of several evaluators, and its keys (decision 0010).

One ring, `sum`. Training rows and all other rows have ciphertexts of their own: a fit of training rows keeps three
primes, because it is multiplied by another one; every other row keeps two. Nothing here needs the secret key.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from tenseal import sealapi

from crypto import ckks, seal_files
from crypto.ckks import SUM_SETS
from crypto.ckks_slots import Table
from crypto.errors import Malformed, Unsuitable
from crypto.seal_files import SEED_BYTES, Bytes

SUM, TRAINING, ROWS = (SUM_SETS[name] for name in ("sum", "sum-training", "sum-rows"))
"""What the key owner gets; fits of training rows; validation rows and predictions."""
WEIGHT_BITS = 20
"""Weights are multiples of 2**-20."""
MAX_VALUE = 8.0
"""Largest |fitted value|, in units of the largest residual, that is encrypted."""
MAX_PART = 16.0
"""Largest |sum of all parts| of a prediction in the key owner's unit, so each of A evaluators may encrypt 16 / A."""
DIFFERENCE_BYTES = seal_files.packed_bytes(1, TRAINING.reply_levels, TRAINING.n) + SEED_BYTES
"""The key owner's own f_1 - r: encrypted with the secret key, so its second polynomial is a seed."""
PUBLIC_BYTES = SUM._public_key_bytes
_SWITCH_BYTES = SUM._galois_key_bytes
PRODUCT_KEYS_BYTES = PUBLIC_BYTES + 2 * _SWITCH_BYTES
"""Public key, relinearisation key, conjugation key."""


@dataclass(frozen=True)
class Layout:
    """How N rows lie in ciphertexts: training rows in theirs, then the others in theirs.

    Attributes:
        train: training rows.
        others: validation rows, or rows to predict.
        outputs: K.
    """

    train: int
    others: int
    outputs: int

    @property
    def training(self) -> Table:
        """Of fits of the training rows, also of the key owner's own and of what is released about them."""
        return Table(TRAINING, self.train, self.outputs)

    @property
    def rest(self) -> Table:
        """Of all other rows."""
        return Table(ROWS, self.others, self.outputs)

    @property
    def ciphertexts(self) -> int:
        """Ciphertexts of one sum."""
        return self.training.ciphertexts + self.rest.ciphertexts

    @property
    def fit_bytes(self) -> int:
        """Bytes of one evaluator's fit."""
        return self.training.ciphertexts * TRAINING.reply_bytes + self.rest.ciphertexts * ROWS.reply_bytes

    def split(self, fit: bytes) -> tuple[Bytes, Bytes]:
        """(training, others) of a fit, uint8 (ciphertexts, reply_bytes) each.

        Raises:
            Malformed: another length; residues are for `check`.
        """
        if len(fit) != self.fit_bytes:
            raise Malformed(f"a fit of {len(fit)} bytes; {self.fit_bytes} are due")
        body = np.frombuffer(fit, dtype=np.uint8)
        cut = self.training.ciphertexts * TRAINING.reply_bytes
        return body[:cut].reshape(-1, TRAINING.reply_bytes), body[cut:].reshape(-1, ROWS.reply_bytes)

    def check(self, fit: bytes) -> None:
        """Refuse a fit that nothing could be computed with; raises as `crypto.ckks.check_replies`, and for its
        length."""
        for params, table, part in zip((TRAINING, ROWS), (self.training, self.rest), self.split(fit), strict=True):
            ckks.check_replies(params, part, table.ciphertexts)

    def check_difference(self, array: Bytes) -> None:
        """Refuse what is not the key owner's own difference, uint8 (ciphertexts, DIFFERENCE_BYTES); Malformed."""
        due = (self.training.ciphertexts, DIFFERENCE_BYTES)
        if array.dtype != np.uint8 or array.shape != due:
            raise Malformed(f"the key owner's own difference must have the shape {due}, not {array.shape}")
        for row in array:
            ckks.checked(TRAINING, row[:-SEED_BYTES], 1, TRAINING.reply_levels)


class EncryptionKey:
    """The key owner's public key alone: for whoever fits in the clear and encrypts what it found."""

    def __init__(self, raw: bytes) -> None:
        self.public = sealapi.PublicKey()
        seal_files.load(self.public, ckks.context(SUM), ckks._key_members(SUM, np.frombuffer(raw, np.uint8), b""))
        self._encryptor = sealapi.Encryptor(ckks.context(SUM), self.public)
        self._encoder = sealapi.CKKSEncoder(ckks.context(SUM))

    def __repr__(self) -> str:
        return "EncryptionKey()"

    @classmethod
    def from_bytes(cls, raw: bytes) -> EncryptionKey:
        """Check a key that arrived; Malformed."""
        ckks.check_public_key(SUM, raw)
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

    def _encrypt(self, params: ckks.ParameterSet, values: npt.NDArray[np.float64]) -> bytes:
        parms, table = ckks.level(params, params.reply_levels), Table(params, *values.shape)
        out = []
        for index in range(table.ciphertexts):
            plain, ciphertext = sealapi.Plaintext(), sealapi.Ciphertext()
            self._encoder.encode(table.slots(values, index).tolist(), parms, params.reply_scale, plain)
            self._encryptor.encrypt(plain, ciphertext)
            sealapi.Evaluator(ckks.context(params)).transform_from_ntt_inplace(ciphertext)
            saved = seal_files.save(ciphertext)
            residues, _ = seal_files.split_ciphertext(saved, params.reply_levels, params.n, seeded=False)
            out.append(ckks.write_reply(params, residues).tobytes())
        return b"".join(out)


class ProductKeys:
    """What the combiner needs: the public key, to re-randomise; relinearisation; and conjugation."""

    def __init__(self, raw: bytes) -> None:
        body, context = np.frombuffer(raw, dtype=np.uint8), ckks.context(SUM)
        self.public, self.relin, self.galois = sealapi.PublicKey(), sealapi.RelinKeys(), sealapi.GaloisKeys()
        relin, conjugation = body[PUBLIC_BYTES:][:_SWITCH_BYTES], body[PUBLIC_BYTES + _SWITCH_BYTES :]
        seal_files.load(self.public, context, ckks._key_members(SUM, body[:PUBLIC_BYTES], b""))
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
        ckks.check_public_key(SUM, raw[:PUBLIC_BYTES])
        try:
            return cls(raw)
        except (ValueError, RuntimeError):
            raise Malformed("a product key is not one of this parameter set") from None


def _switch_parts(body: Bytes) -> list[bytes]:
    each = len(body) // SUM.levels
    rows = [body[j * each : (j + 1) * each] for j in range(SUM.levels)]
    return [ckks._key_members(SUM, row[:-SEED_BYTES], row[-SEED_BYTES:].tobytes()) for row in rows]
