"""What the combiner computes on fits it cannot read: their inner products, and their weighted sum (decision 0010).

With d_m = f_m - r, the weights of GAL's step e follow from the Gram matrix of the d_m alone, because they add up to
one. A block's product z_i conj(z_j), summed over its slots, is the constant coefficient of the product polynomial, up
to a
factor: so nothing is rotated, and what is released is one LWE sample (a polynomial and *one* number), in which no other
coefficient can be seen (sample extraction: Chillotti et al., ASIACRYPT 2016, section 4.2).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np
import numpy.typing as npt
from tenseal import sealapi

from crypto import ckks, flooding, release, seal_files, wide
from crypto.ckks import ParameterSet
from crypto.ckks_fits import DIFFERENCE_BYTES, MAX_VALUE, ROWS, SUM, TRAINING, WEIGHT_BITS, Layout, ProductKeys
from crypto.ckks_slots import Slots, Table
from crypto.errors import Malformed, Misuse
from crypto.seal_files import SEED_BYTES, Bytes

Values = npt.NDArray[np.float64]
PRODUCT_LEVELS = 2
"""Primes of a released number."""
PRODUCT_PRIMES = ckks.primes(SUM)[:PRODUCT_LEVELS]
KEPT = 9
"""Leading bytes of every coefficient of a released number's polynomial that travel."""
CONSTANT_BYTES = wide.whole_bytes(PRODUCT_PRIMES)
PRODUCT_BYTES = KEPT * SUM.n + CONSTANT_BYTES
"""One released number: the second polynomial, and the constant coefficient of the first."""
PRODUCT_KAPPA = 36
"""Released numbers may add no more than 2**-36 to the key owner's view."""
COST_BITS = 70
"""Distances are counted in steps of 2**-70."""
MAX_PRODUCTS_COST = 2 ** (COST_BITS - PRODUCT_KAPPA)
"""The most that everything released about the same data may cost together."""
MAX_PRODUCT_CIPHERTEXTS = 4096
"""Ciphertexts of a fit of training rows, at most: an inner product of more would be told too coarsely."""
RIDGE_DIFFERENCE = 2.0
"""||f|| <= ||r|| for a ridge fit, so ||f - r|| <= 2 ||r||."""
ANY_DIFFERENCE = MAX_VALUE + 1
"""Fits of any learner are bounded value by value when they are encrypted."""
LIFT_BITS = 1 + TRAINING.first_bits + TRAINING.second_bits
"""A request times 2**79 has the scale of a fit of training rows, before primes are dropped."""


@dataclass(frozen=True)
class Products:
    """Scale and noise of released numbers, from what is public about them; both ends compute the same.

    A difference d = f - r is brought to scale 2**`bits` on two primes, the largest with which no inner product can
    wrap. Its rounding e there, of deviation sqrt(n / 18) a coefficient, is 2**-`bits` of a value; the coefficients it
    meets have L2 norm `length`, so that an inner product holds v = <d_i, e_j> + <e_i, d_j> of deviation `rounding`. All
    noise is sized by it.

    Attributes:
        values: of one fit of training rows, N_train * K.
        ciphertexts: that they lie in.
        longest: bound on ||d|| / sqrt(values), for residuals of at most 1: `RIDGE_DIFFERENCE` or `ANY_DIFFERENCE`.
    """

    values: int
    ciphertexts: int
    longest: float

    @classmethod
    def of(cls, table: Table, ridge: bool) -> Products:
        """Of training rows that lie in `table`; `ridge`: fits are made on ciphertexts, and so are ridge fits."""
        longest = RIDGE_DIFFERENCE if ridge else ANY_DIFFERENCE
        return cls(table.rows * table.outputs, table.ciphertexts, longest)

    @property
    def bits(self) -> int:
        """log2 of the scale of a difference: its mean product over the slots is at most 2 * longest**2 *
        ciphertexts."""
        largest = math.log2(2 * self.longest**2 * self.ciphertexts)
        return math.floor((math.log2(math.prod(PRODUCT_PRIMES)) - 1 - largest) / 2)

    @property
    def scale(self) -> float:
        """What 1.0 in the mean of d_i d_j over a ciphertext's slots becomes."""
        return self.lifted_scale**2

    @property
    def lift(self) -> int:
        """log2 of the whole number that a fit of training rows is multiplied with before its third prime is dropped."""
        return self.bits + ckks.primes(SUM)[2].bit_length() - round(math.log2(TRAINING.reply_scale))

    @property
    def lifted_scale(self) -> float:
        """The scale of a difference, 2**`bits` but for the primes' distance from 2**60."""
        return TRAINING.reply_scale * 2.0**self.lift / ckks.primes(SUM)[2]

    @property
    def rounding(self) -> float:
        """The deviation of v, at most."""
        length = self.lifted_scale * self.longest * math.sqrt(2 * self.values / SUM.n)
        return math.sqrt(2 * SUM.n / 18) * length

    @property
    def flooding_bits(self) -> int:
        """log2 of the deviation of the combiner's noise."""
        return math.ceil(math.log2(self.rounding)) + 29

    @property
    def key_noise(self) -> float:
        """The error of a released number that depends on the key: v, and the bytes left out of its polynomial."""
        unit = 2.0 ** (8 * (CONSTANT_BYTES - KEPT))
        return math.hypot(self.rounding, unit * math.sqrt(SUM.n / 18))

    @property
    def release_bits(self) -> int:
        """log2 of the deviation of the noise at decryption: at least 40 bits (`crypto.release`) after SUM.tau
        numbers."""
        return math.ceil(math.log2(self.key_noise) + (40 + release.MARGIN - 1 + math.log2(SUM.tau)) / 2)

    def distance(self, rounds: int, numbers: int) -> float:
        """Bound on the statistical distance between the released numbers of any two data sets with the same products.

        v is independent of the data but for its *size*, symmetric about zero, and unknown to the key owner. With N the
        density of the flooding noise and E v = 0, Taylor's theorem gives |E N(x - v) - N(x)|_1 <= E v^2 |N''|_1 / 2,
        |N''|_1 <= 0.97 / sigma^2, so total variation is at most 0.243 E v^2 / sigma^2, and twice that between two data
        sets. The J numbers of a round share the same e: J^2 covers every correlation. Rounds add up (decision 0010).

        Args:
            rounds: T.
            numbers: J, released in a round.
        """
        return rounds * numbers**2 * 2 * 0.243 * (self.rounding / 2.0**self.flooding_bits) ** 2


class NoDifference(Exception):
    """A fit is the very ciphertext of the residual, or next to it, which no model's fit is; `author` is its place among
    all."""

    def __init__(self, author: int) -> None:
        super().__init__(author)
        self.author = author


class SumCalculator:
    """SEAL's public objects under the combiner's keys."""

    def __init__(self, keys: ProductKeys) -> None:
        context = ckks.context(SUM)
        self._context, self._keys = context, keys
        self._evaluator, self._encoder = sealapi.Evaluator(context), sealapi.CKKSEncoder(context)
        self._encryptor = sealapi.Encryptor(context, keys.public)

    # reading

    def _fit(self, params: ParameterSet, row: Bytes) -> sealapi.Ciphertext:
        out = self._load(params, ckks.reply_residues(params, row), None)
        self._evaluator.transform_to_ntt_inplace(out)
        return out

    def _difference(self, row: Bytes) -> sealapi.Ciphertext:
        residues = ckks.checked(TRAINING, row[:-SEED_BYTES], 1, TRAINING.reply_levels)
        return self._load(TRAINING, residues, row[-SEED_BYTES:].tobytes())

    def _load(self, params: ParameterSet, residues: seal_files.Residues, seed: bytes | None) -> sealapi.Ciphertext:
        out, parms = sealapi.Ciphertext(), ckks.level(SUM, params.reply_levels)
        members = seal_files.ciphertext_members(
            parms, params.n, params.reply_scale, residues, ntt=seed is not None, seed=seed
        )
        seal_files.load(out, self._context, members)
        return out

    def _lifted(self, rows: Bytes) -> sealapi.Ciphertext:
        """The sum of requests Enc(r) that share a ciphertext, at the scale and on the primes of a fit of training
        rows."""
        out, one = self._request(rows[0]), sealapi.Plaintext()
        for row in rows[1:]:
            self._evaluator.add_inplace(out, self._request(row))
        self._encoder.encode(1.0, ckks.level(SUM, SUM.levels), 2.0**LIFT_BITS, one)
        self._evaluator.multiply_plain_inplace(out, one)
        for _ in range(SUM.levels - TRAINING.reply_levels):
            self._evaluator.rescale_to_next_inplace(out)
        out.scale = TRAINING.reply_scale
        return out

    def _request(self, row: Bytes) -> sealapi.Ciphertext:
        residues, parms = ckks.request_residues(SUM, row), ckks.level(SUM, SUM.levels)
        scale, seed, out = 2.0**SUM.request_bits, row[-SEED_BYTES:].tobytes(), sealapi.Ciphertext()
        seal_files.load(out, self._context, seal_files.ciphertext_members(parms, SUM.n, scale, residues, seed=seed))
        return out

    # inner products

    def products(
        self,
        fits: Sequence[Bytes],
        residual: Bytes | Values,
        difference: Bytes,
        table: Table,
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
        plain, parms = sealapi.Plaintext(), ckks.level(SUM, TRAINING.reply_levels)
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
        self._encoder.encode(1.0, ckks.level(SUM, TRAINING.reply_levels), 2.0**scaling.lift, factor)
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
        parms = ckks.level(SUM, params.reply_levels)
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
        return ckks.write_reply(SUM, self._residues(total, SUM.reply_levels))

    def _zero(self, kept: int, scale: float) -> sealapi.Ciphertext:
        out = sealapi.Ciphertext()
        self._encryptor.encrypt_zero(ckks.level(SUM, kept), out)
        out.scale = scale
        return out

    def _residues(self, ciphertext: sealapi.Ciphertext, levels: int) -> seal_files.Residues:
        """uint64 (2, levels, n) coefficients of a ciphertext."""
        self._evaluator.transform_from_ntt_inplace(ciphertext)
        return seal_files.split_ciphertext(seal_files.save(ciphertext), levels, SUM.n, seeded=False)[0]


def read_products(array: Bytes, count: int) -> list[tuple[int, wide.Limbs]]:
    """(constant coefficient, polynomial) of each released number, uint8 (count, PRODUCT_BYTES).

    Raises:
        Malformed: another shape, a number that is not below its modulus, or a polynomial that hides nothing.
    """
    if array.dtype != np.uint8 or array.shape != (count, PRODUCT_BYTES):
        raise Malformed(f"inner products of shape {array.shape}; {(count, PRODUCT_BYTES)} is due")
    return [_product_parts(row) for row in array]


def _product_parts(row: Bytes) -> tuple[int, wide.Limbs]:
    constant, kept = int.from_bytes(row[-CONSTANT_BYTES:].tobytes(), "little"), row[:-CONSTANT_BYTES]
    if not ckks.spread(kept[KEPT - 1 :: KEPT]):
        raise Malformed("an inner product whose polynomial is zero or small: it hides nothing")
    second = wide.extend(kept, PRODUCT_PRIMES, SUM.n)
    if second is None or constant >= math.prod(PRODUCT_PRIMES):
        raise Malformed("an inner product with a number that is not below its modulus")
    return constant, second


def pairs(fits: int, own: bool) -> list[tuple[int, int]]:
    """(i, j) of the released products; i = `fits` is the key owner's own difference."""
    inner = [(i, j) for i in range(fits) for j in range(i, fits)]
    return [*inner, *((fits, j) for j in range(fits) if own)]


def products_problem(layout: Layout, rounds: int, fits: int, ridge: bool) -> str:
    """Why there can be no inner products, or empty; the key owner counts as having a fit of its own.

    Args:
        ridge: fits are made on ciphertexts, and so are ridge fits.
    """
    ciphertexts, numbers = layout.training.ciphertexts, len(pairs(fits, True))
    if ciphertexts > MAX_PRODUCT_CIPHERTEXTS:
        return f"{layout.train} training rows and {layout.outputs} outputs are too many for inner products"
    if Products.of(layout.training, ridge).distance(rounds, numbers) > 2.0**-PRODUCT_KAPPA:
        return (
            f"{rounds} rounds of {numbers} inner products are more than the parameter set hides the data "
            f"behind, to {PRODUCT_KAPPA} bits"
        )
    return ""


def products_cost(layout: Layout, rounds: int, fits: int, ridge: bool) -> int:
    """What the inner products of all rounds take of `MAX_PRODUCTS_COST`; costs on the same data add up."""
    distance = Products.of(layout.training, ridge).distance(rounds, len(pairs(fits, True)))
    return math.ceil(distance * 2.0**COST_BITS)
