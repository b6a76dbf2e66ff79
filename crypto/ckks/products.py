"""Inner products of fits as they are released: how many, at which scale, with how much noise (decision 0010)."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from crypto.ckks import release, wide
from crypto.ckks.ciphertexts import spread
from crypto.ckks.fits import MAX_VALUE, SUM, TRAINING, Layout
from crypto.ckks.leave_one_out import growth
from crypto.ckks.sealapi_files import Bytes
from crypto.ckks.slots import Packing
from crypto.errors import Malformed

PRODUCT_LEVELS = 2
"""Primes of a released number."""
PRODUCT_PRIMES = SUM.primes[:PRODUCT_LEVELS]
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
ANY_DIFFERENCE = MAX_VALUE + 1
"""Fits of any learner are bounded value by value when they are encrypted."""


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
        longest: bound on ||d|| / sqrt(values), for residuals of at most 1: `ANY_DIFFERENCE`, or for ridge fits and
            their leave-one-out values 1 + `growth`, since ||f|| <= growth ||r||.
    """

    values: int
    ciphertexts: int
    longest: float

    @classmethod
    def of(cls, table: Packing, ridge: bool) -> Products:
        """Of training rows that lie in `table`; `ridge`: fits are made on ciphertexts, and so are ridge fits."""
        longest = 1 + growth(table.params, table.rows, table.rows) if ridge else ANY_DIFFERENCE
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
        return self.bits + SUM.primes[2].bit_length() - round(math.log2(TRAINING.reply_scale))

    @property
    def lifted_scale(self) -> float:
        """The scale of a difference, 2**`bits` but for the primes' distance from 2**60."""
        return TRAINING.reply_scale * 2.0**self.lift / SUM.primes[2]

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
        """log2 of the deviation of the noise at decryption: at least 40 bits (`crypto.ckks.release`) after SUM.tau
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
    if not spread(kept[KEPT - 1 :: KEPT]):
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
