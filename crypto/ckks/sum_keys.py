"""The keys of the ring `sum`: to encrypt fits made in the clear, and to multiply and add up fits (decision 0010).

A combiner's keys are those of any evaluator of its width, the conjugation key always, and then the relinearisation key.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from tenseal import sealapi

from crypto.ckks import ring, sealapi_files
from crypto.ckks.ciphertexts import write_reply
from crypto.ckks.fits import ROWS, SUM, TRAINING
from crypto.ckks.keys import PublicKeys, load_public, switch_members
from crypto.ckks.params import ParameterSet
from crypto.ckks.slots import Packing
from crypto.errors import Malformed, Unsuitable

PUBLIC_BYTES = SUM.public_key_bytes
_SWITCH_BYTES = SUM.galois_key_bytes
PRODUCT_KEYS_BYTES = PUBLIC_BYTES + 2 * _SWITCH_BYTES
"""Public key, conjugation key, relinearisation key: all that a combiner has that fits in the clear."""


def evaluation_part(raw: bytes, *, fits: bool) -> bytes:
    """What a combiner computes its own fits with, of its keys.

    Args:
        fits: on ciphertexts; else it only encrypts what it fitted.

    Raises:
        Malformed: too few; or too many, for one that does not fit. Whoever reads the others finds the rest.
    """
    if len(raw) < PRODUCT_KEYS_BYTES or not (fits or len(raw) == PRODUCT_KEYS_BYTES):
        raise Malformed(f"a combiner's evaluation keys of {len(raw)} bytes")
    return raw[:-_SWITCH_BYTES] if fits else raw[:PUBLIC_BYTES]


class EncryptionKey:
    """The key owner's public key alone: for whoever fits in the clear and encrypts what it found.

    Raises:
        Malformed: as `PublicKeys.from_bytes`.
    """

    def __init__(self, raw: bytes) -> None:
        self._keys = PublicKeys.from_bytes(SUM, 0, raw)
        self._encryptor = sealapi.Encryptor(ring.context(SUM), self._keys.public)
        self._encoder = sealapi.CKKSEncoder(ring.context(SUM))

    def __repr__(self) -> str:
        return "EncryptionKey()"

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
            saved = sealapi_files.save(ciphertext)
            residues, _ = sealapi_files.split_ciphertext(saved, params.reply_levels, params.n, seeded=False)
            out.append(write_reply(params, residues).tobytes())
        return b"".join(out)


class ProductKeys:
    """What a combiner adds up with, of its keys: the public key, to re-randomise; conjugation; and relinearisation.

    Raises:
        Malformed: too few bytes, or a residue that is not below its prime.
    """

    def __init__(self, raw: bytes) -> None:
        if len(raw) < PRODUCT_KEYS_BYTES:
            raise Malformed(f"a combiner's evaluation keys of {len(raw)} bytes")
        body, context = np.frombuffer(raw, dtype=np.uint8), ring.context(SUM)
        conjugation, relin = body[PUBLIC_BYTES:][:_SWITCH_BYTES], body[-_SWITCH_BYTES:]
        parms = tuple(context.key_parms_id())
        self.relin, self.galois = sealapi.RelinKeys(), sealapi.GaloisKeys()
        try:
            self.public = load_public(SUM, body[:PUBLIC_BYTES])
            keys = {SUM.n - 1: switch_members(SUM, conjugation)}  # Galois element 2n - 1 has index n - 1
            sealapi_files.load(self.galois, context, sealapi_files.galois_members(parms, SUM.n, keys))
            sealapi_files.load(
                self.relin, context, sealapi_files.galois_members(parms, 1, {0: switch_members(SUM, relin)})
            )
        except (ValueError, RuntimeError):
            raise Malformed("a product key is not one of this parameter set") from None

    def __repr__(self) -> str:
        return "ProductKeys()"
