"""What the combiner computes on fits it cannot read: their inner products, and their weighted sum (decision 0010).

With d_m = f_m - r, weights that add up to one and bring sum_m w_m f_m nearest to r follow from the Gram matrix of the
d_m alone. A block's product z_i conj(z_j), summed over its slots, is the constant coefficient of the product
polynomial, up to a factor: so nothing is rotated, and what is released is one LWE sample (a polynomial and *one*
number), in which no other coefficient can be seen (sample extraction: Chillotti et al., ASIACRYPT 2016, section 4.2).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import cast

import numpy as np
import numpy.typing as npt
from tenseal import sealapi

from crypto.ckks import flooding, ring, sealapi_files, wide
from crypto.ckks.ciphertexts import checked, read_request, reply_residues, write_reply
from crypto.ckks.fits import DIFFERENCE_BYTES, ROWS, SUM, TRAINING, WEIGHT_BITS
from crypto.ckks.params import ParameterSet
from crypto.ckks.products import (
    CONSTANT_BYTES,
    KEPT,
    MAX_PRODUCT_CIPHERTEXTS,
    PRODUCT_LEVELS,
    PRODUCT_PRIMES,
    Products,
    pairs,
)
from crypto.ckks.sealapi_files import SEED_BYTES, Bytes
from crypto.ckks.slots import Packing, Slots
from crypto.ckks.sum_keys import ProductKeys
from crypto.errors import CryptoError, Malformed, Misuse

Values = npt.NDArray[np.float64]
LIFT_BITS = 1 + TRAINING.first_bits + TRAINING.second_bits
"""A request times 2**79 has the scale of a fit of training rows, before primes are dropped."""


class NoDifference(CryptoError):
    """A fit is the very ciphertext of the residual, or next to it, which no model's fit is; `author` is its place among
    all."""

    def __init__(self, author: int) -> None:
        super().__init__(author)
        self.author = author


class SumCalculator:
    """SEAL's public objects under the combiner's keys."""

    def __init__(self, keys: ProductKeys) -> None:
        context = ring.context(SUM)
        self._context, self._keys = context, keys
        self._evaluator, self._encoder = sealapi.Evaluator(context), sealapi.CKKSEncoder(context)
        self._encryptor = sealapi.Encryptor(context, keys.public)

    # reading

    def _fit(self, params: ParameterSet, row: Bytes) -> sealapi.Ciphertext:
        out = self._load(params, reply_residues(params, row), None)
        self._evaluator.transform_to_ntt_inplace(out)
        return out

    def _difference(self, row: Bytes) -> sealapi.Ciphertext:
        residues = checked(TRAINING, row[:-SEED_BYTES], TRAINING.reply_levels)
        return self._load(TRAINING, residues, row[-SEED_BYTES:].tobytes())

    def _load(self, params: ParameterSet, residues: sealapi_files.Residues, seed: bytes | None) -> sealapi.Ciphertext:
        out, parms = sealapi.Ciphertext(), ring.level(SUM, params.reply_levels)
        members = sealapi_files.ciphertext_members(
            parms, params.n, params.reply_scale, residues, ntt=seed is not None, seed=seed
        )
        sealapi_files.load(out, self._context, members)
        return out

    def _lifted(self, rows: Bytes) -> sealapi.Ciphertext:
        """The sum of requests Enc(r) that share a ciphertext, at the scale and on the primes of a fit of training
        rows."""
        out, one = read_request(SUM, rows[0]), sealapi.Plaintext()
        for row in rows[1:]:
            self._evaluator.add_inplace(out, read_request(SUM, row))
        self._encoder.encode(1.0, ring.level(SUM, SUM.levels), 2.0**LIFT_BITS, one)
        self._evaluator.multiply_plain_inplace(out, one)
        for _ in range(SUM.levels - TRAINING.reply_levels):
            self._evaluator.rescale_to_next_inplace(out)
        out.scale = TRAINING.reply_scale
        return out

    # inner products

    def products(
        self,
        fits: Sequence[Bytes],
        residual: Bytes | Values,
        difference: Bytes,
        table: Packing,
    ) -> Bytes:
        """Mean products of the differences from the residual, each released as one number.

        Args:
            fits: training fits of the A evaluators, uint8 (C, reply_bytes of `sum-training`) each.
            residual: requests uint8 (blocks * K, request_bytes), or r itself, float64 (N_train, K), where it travels in
                the clear; scaled as the fits are.
            difference: the key owner's own f_1 - r, uint8 (C, DIFFERENCE_BYTES), or no rows if it has none.
            table: how the training rows lie in C ciphertexts.

        Returns:
            uint8 (A (A + 1) / 2 [+ A], PRODUCT_BYTES): <d_i, d_j> for i <= j, then <d_1, d_j> for all j.

        Raises:
            Malformed: a wrong count, or residues that are not below their primes.
            NoDifference: a fit is the ciphertext of the residual itself.
        """
        count, requests = table.ciphertexts, residual.dtype == np.uint8
        due = (count, DIFFERENCE_BYTES)
        if len(difference) and difference.shape != due:
            raise Malformed(f"the key owner's own difference must have the shape {due}")
        if count > MAX_PRODUCT_CIPHERTEXTS:
            raise Misuse(f"{count} ciphertexts; inner products of more than {MAX_PRODUCT_CIPHERTEXTS} would wrap")
        scaling = Products.of(table, requests)
        sums: dict[tuple[int, int], sealapi.Ciphertext] = {}
        for row in range(count):
            plain = None if requests else self._residual_plain(table.slots(cast(Values, residual), row))
            lifted = self._lifted(cast(Bytes, residual)[table.sharing(row)]) if requests else None
            found = self._differences([fit[row] for fit in fits], lifted, plain, scaling)
            turned = [self._conjugate(d) for d in found]
            left = [
                *found,
                *([self._narrow(self._difference(difference[row]), scaling)] if len(difference) else []),
            ]
            for i, j in pairs(len(fits), bool(len(difference))):
                self._accumulate(sums, (i, j), left[i], turned[j])
        return np.stack([self._release(sums[pair], scaling) for pair in pairs(len(fits), bool(len(difference)))])

    def _residual_plain(self, slots: Slots) -> sealapi.Plaintext:
        plain, parms = sealapi.Plaintext(), ring.level(SUM, TRAINING.reply_levels)
        self._encoder.encode(slots.tolist(), parms, TRAINING.reply_scale, plain)
        return plain

    def _differences(
        self,
        rows: Sequence[Bytes],
        lifted: sealapi.Ciphertext | None,
        plain: sealapi.Plaintext | None,
        scaling: Products,
    ) -> list[sealapi.Ciphertext]:
        out = []
        for author, row in enumerate(rows):
            fit = self._fit(TRAINING, row)
            try:
                out.append(self._narrow(self._minus(fit, lifted, plain), scaling))
            except RuntimeError:  # SEAL's "transparent"
                raise NoDifference(author) from None
        return out

    def _minus(
        self, fit: sealapi.Ciphertext, lifted: sealapi.Ciphertext | None, plain: sealapi.Plaintext | None
    ) -> sealapi.Ciphertext:
        if lifted is not None:
            out = sealapi.Ciphertext()
            self._evaluator.sub(fit, lifted, out)
            return out
        self._evaluator.sub_plain_inplace(fit, plain)
        return fit

    def _narrow(self, difference: sealapi.Ciphertext, scaling: Products) -> sealapi.Ciphertext:
        """A difference on the two primes, and at the scale, at which two are multiplied."""
        factor = sealapi.Plaintext()
        self._encoder.encode(1.0, ring.level(SUM, TRAINING.reply_levels), 2.0**scaling.lift, factor)
        self._evaluator.multiply_plain_inplace(difference, factor)
        self._evaluator.rescale_to_next_inplace(difference)
        difference.scale = scaling.lifted_scale
        return difference

    def _conjugate(self, ciphertext: sealapi.Ciphertext) -> sealapi.Ciphertext:
        out = sealapi.Ciphertext()
        self._evaluator.apply_galois(ciphertext, 2 * SUM.n - 1, self._keys.galois, out)
        return out

    def _accumulate(
        self,
        sums: dict[tuple[int, int], sealapi.Ciphertext],
        pair: tuple[int, int],
        a: sealapi.Ciphertext,
        b: sealapi.Ciphertext,
    ) -> None:
        product = sealapi.Ciphertext()
        self._evaluator.multiply(a, b, product)
        if pair in sums:
            self._evaluator.add_inplace(sums[pair], product)
        else:
            sums[pair] = product

    def _release(self, product: sealapi.Ciphertext, scaling: Products) -> Bytes:
        """One number: relinearised once, re-randomised, flooded; every coefficient but the constant is left out."""
        self._evaluator.relinearize_inplace(product, self._keys.relin)
        self._evaluator.add_inplace(product, self._zero(PRODUCT_LEVELS, product.scale))
        first, second = (wide.compose(r, PRODUCT_PRIMES) for r in self._residues(product, PRODUCT_LEVELS))
        constant = int(first[0][0]) + (int(first[1][0]) << 64)
        noisy = (constant + flooding.one(scaling.flooding_bits)) % math.prod(PRODUCT_PRIMES)
        tail = np.frombuffer(noisy.to_bytes(CONSTANT_BYTES, "little"), dtype=np.uint8)
        return np.concatenate([wide.leading(second, PRODUCT_PRIMES, KEPT), tail])

    # sums

    def weighted_sum(self, fits: Sequence[tuple[Bytes, Bytes]], weights: Sequence[int]) -> Bytes:
        """sum_m w_m f_m of all rows, sanitised for the key owner.

        Args:
            fits: (training, others) of every evaluator, as `Layout.split` gives them.
            weights: w_m in units of 2**-WEIGHT_BITS; at least one is not 0.

        Returns:
            uint8 (ciphertexts, reply_bytes of `sum`), training rows first.

        Raises:
            Malformed: a residue that is not below its prime.
        """
        out = []
        for part, params in ((0, TRAINING), (1, ROWS)):
            for row in range(len(fits[0][part])):
                terms = [
                    self._times(self._fit(params, fit[part][row]), params, weight)
                    for fit, weight in zip(fits, weights, strict=True)
                    if weight
                ]
                out.append(self._sanitise(terms, params))
        return np.stack(out)

    def _times(self, ciphertext: sealapi.Ciphertext, params: ParameterSet, weight: int) -> sealapi.Ciphertext:
        factor, bits = sealapi.Plaintext(), SUM.second_bits - params.second_bits
        parms = ring.level(SUM, params.reply_levels)
        self._encoder.encode(weight / 2.0**WEIGHT_BITS, parms, 2.0**bits, factor)
        self._evaluator.multiply_plain_inplace(ciphertext, factor)
        return ciphertext

    def _sanitise(self, terms: Sequence[sealapi.Ciphertext], params: ParameterSet) -> Bytes:
        total = terms[0]
        for term in terms[1:]:
            self._evaluator.add_inplace(total, term)
        for _ in range(params.reply_levels - SUM.reply_levels):
            self._evaluator.rescale_to_next_inplace(total)
        self._evaluator.add_inplace(total, self._zero(SUM.reply_levels, total.scale))
        return write_reply(SUM, self._residues(total, SUM.reply_levels))

    def _zero(self, kept: int, scale: float) -> sealapi.Ciphertext:
        out = sealapi.Ciphertext()
        self._encryptor.encrypt_zero(ring.level(SUM, kept), out)
        out.scale = scale
        return out

    def _residues(self, ciphertext: sealapi.Ciphertext, levels: int) -> sealapi_files.Residues:
        """uint64 (2, levels, n) coefficients of a ciphertext."""
        self._evaluator.transform_from_ntt_inplace(ciphertext)
        return sealapi_files.split_ciphertext(sealapi_files.save(ciphertext), levels, SUM.n, seeded=False)[0]
