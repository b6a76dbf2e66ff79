"""The secret side of sum-only predictions: the sponsor's key in the ring `sum` (decision 0010).

As with `ckks_secret`, no assistor ever imports this file.
"""

from __future__ import annotations

import numpy as np
from tenseal import sealapi

from crypto import ckks, seal_files
from crypto.ckks_fits import DIFFERENCE_BYTES, SUM, TRAINING, Layout
from crypto.ckks_products import PRODUCT_BYTES, product_scale
from crypto.ckks_secret import SecretContext, Values
from crypto.ckks_slots import Table
from crypto.seal_files import Bytes
from secure_gal.errors import DataError, PeerViolation, StateError


class SumContext(SecretContext):
    """A `SecretContext` of the parameter set `sum`."""

    __slots__ = ()

    def public_key(self) -> bytes:
        """The public key alone, fresh at every call."""
        public = sealapi.PublicKey()
        self._generator().create_public_key(public)
        residues, _ = seal_files.split_ciphertext(seal_files.save(public), SUM.levels + 1, SUM.n, seeded=False)
        return seal_files.pack(residues).tobytes()

    def product_keys(self) -> bytes:
        """What `ckks_fits.ProductKeys` reads: public key, relinearisation key, conjugation key."""
        generator = self._generator()
        out = [self.public_key()]
        for keys in (generator.create_relin_keys(), generator.create_galois_keys([2 * SUM.n - 1])):
            for residues, seed in seal_files.split_galois(seal_files.save(keys), SUM.levels, SUM.n):
                out += [seal_files.pack(residues).tobytes(), seed]
        return b"".join(out)

    def _generator(self) -> sealapi.KeyGenerator:
        if self.params != SUM:
            raise StateError(f"a key of the parameter set {self.params.name!r} cannot serve sum-only predictions")
        return sealapi.KeyGenerator(ckks.context(SUM), self._secret)

    def encrypt_difference(self, values: Values) -> Bytes:
        """The sponsor's own f_1 - r, float64 (N_train, K), for the aggregator: uint8 (C, DIFFERENCE_BYTES).

        Raises:
            DataError: a value is not finite.
        """
        if not np.isfinite(values).all():
            raise DataError("[learner]", "the sponsor's own fitted values are not finite")
        table = Table(TRAINING, *values.shape)
        out = np.empty((table.ciphertexts, DIFFERENCE_BYTES), dtype=np.uint8)
        for index, row in enumerate(out):
            self._encrypt(table.slots(values, index), TRAINING.reply_levels, TRAINING.reply_scale, row)
        return out

    def decrypt_products(self, products: Bytes, count: int, peer: str) -> Values:
        """Inner products float64 (count,), summed over rows and outputs.

        Raises:
            PeerViolation: another count or length, or residues that are not below the prime.
        """
        if products.dtype != np.uint8 or products.shape != (count, PRODUCT_BYTES):
            raise PeerViolation(peer, f"inner products of shape {products.shape}; {(count, PRODUCT_BYTES)} is due")
        return np.array([self._decrypt_product(row, peer) for row in products]) * SUM.slots

    def _decrypt_product(self, row: Bytes, peer: str) -> float:
        """The constant coefficient: the mean of all slots' real parts. All other coefficients are meaningless."""
        context = ckks.context(SUM)
        residues = np.zeros((2, 1, SUM.n), dtype=np.uint64)
        residues[1] = ckks.checked(SUM, row[:-8], 1, 1, peer)[0]
        residues[0, 0, 0] = int.from_bytes(row[-8:].tobytes(), "little")
        if residues[0, 0, 0] >= ckks.primes(SUM)[0]:
            raise PeerViolation(peer, "an inner product with a residue that is not below its prime")
        ciphertext, plain = sealapi.Ciphertext(), sealapi.Plaintext()
        members = seal_files.ciphertext_members(
            tuple(context.last_parms_id()), SUM.n, product_scale(), residues, ntt=False
        )
        seal_files.load(ciphertext, context, members)
        sealapi.Evaluator(context).transform_to_ntt_inplace(ciphertext)
        self._decryptor.decrypt(ciphertext, plain)
        return float(np.mean(np.array(self._encoder.decode_complex(plain)).real))

    def decrypt_sum(self, replies: Bytes, layout: Layout, peer: str) -> Values:
        """A weighted sum float64 (N, K), training rows first. Raises as `decrypt`."""
        cut, outputs = layout.training.ciphertexts, layout.outputs
        parts = [(replies[:cut], layout.train), (replies[cut:], layout.others)]
        return np.concatenate([self.decrypt(part, rows, outputs, peer) for part, rows in parts])
