"""The secret side of sums: the owner's key in the ring `sum` (decision 0010).

As with `secret`, no evaluator ever imports this file.
"""

from __future__ import annotations

import math

import numpy as np

from crypto.ckks import flooding, release, sealapi_files, wide
from crypto.ckks.fits import DIFFERENCE_BYTES, SUM, TRAINING, Layout
from crypto.ckks.products import PRODUCT_LEVELS, PRODUCT_PRIMES, Products, read_products
from crypto.ckks.sealapi_files import SEED_BYTES, Bytes
from crypto.ckks.secret import SecretContext, Values
from crypto.ckks.slots import Packing
from crypto.errors import Unsuitable


class SumContext(SecretContext):
    """A `SecretContext` of the parameter set `sum`."""

    __slots__ = ()

    def encrypt_difference(self, values: Values) -> Bytes:
        """The key owner's own f_1 - r, float64 (N_train, K), for the combiner: uint8 (C, DIFFERENCE_BYTES).

        Raises:
            Unsuitable: a value is not finite.
        """
        if not np.isfinite(values).all():
            raise Unsuitable("values", "they are not finite, so they cannot be encrypted")
        table = Packing(TRAINING, *values.shape)
        out = np.empty((table.ciphertexts, DIFFERENCE_BYTES), dtype=np.uint8)
        for index, row in enumerate(out):
            sent = self._encrypt(table.slots(values, index), TRAINING.reply_levels, TRAINING.reply_scale)
            saved, levels = sealapi_files.save(sent), TRAINING.reply_levels
            residues, seed = sealapi_files.split_ciphertext(saved, levels, SUM.n, seeded=True)
            row[:-SEED_BYTES] = sealapi_files.pack(residues)
            row[-SEED_BYTES:] = np.frombuffer(seed, dtype=np.uint8)
        return out

    def decrypt_products(self, products: Bytes, count: int, scaling: Products) -> Values:
        """Inner products float64 (count,), summed over rows and outputs.

        Raises:
            Malformed: as `read_products`; nothing was decrypted.
            KeyRetired: the key has ended.
        """
        parts = read_products(products, count)
        self.releases.admit([row.tobytes() for row in products])
        numbers = [self._product(*pair, row.tobytes(), scaling) for pair, row in zip(parts, products, strict=True)]
        return np.array(numbers) * SUM.slots

    def _product(self, constant: int, second: wide.Limbs, row: bytes, scaling: Products) -> float:
        """The constant coefficient, noise added: the mean of all slots' real parts. All others are meaningless."""
        seed, modulus = release.noise_seed(self._noise_key, "products", row), math.prod(PRODUCT_PRIMES)
        noisy = (constant + flooding.one(scaling.release_bits, seed)) % modulus
        residues = np.zeros((2, PRODUCT_LEVELS, SUM.n), dtype=np.uint64)
        residues[0, :, 0] = [noisy % prime for prime in PRODUCT_PRIMES]
        residues[1] = wide.residues(second, PRODUCT_PRIMES)
        plain = self._open(residues, scaling.scale)
        return float(np.mean(np.array(self._encoder.decode_complex(plain)).real))

    def decrypt_sum(self, replies: Bytes, layout: Layout, source: str) -> Values:
        """A weighted sum float64 (N, K), training rows first. Raises as `decrypt`."""
        cut, outputs = layout.training.ciphertexts, layout.outputs
        parts = [(replies[:cut], layout.train), (replies[cut:], layout.others)]
        return np.concatenate([self.decrypt(part, rows, outputs, source) for part, rows in parts])
