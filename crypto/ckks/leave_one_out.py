"""Leave-one-out values of the training rows instead of fitted ones: what has to be known of U, and one product more.

With S = U U' and the leverage h_i = S_ii = |u_i|^2, a ridge fit of all rows but i gives row i the value
(f_i - h_i r_i) / (1 - h_i), exactly (Allen, Technometrics 16, 1974; for ridge Golub, Heath and Wahba, Technometrics 21,
1979). Row by row that is D_i f_i - D_i h_i r_i with D_i = 1 / (1 - h_i): the second U has its rows scaled by D, and
the residual itself, times D h, is subtracted from the result. A caller may leave a share s of h_i r_i out instead of
all of it, D_i (f_i - s_i h_i r_i): rows may keep some of what they say of themselves.

The noise bound counts the squared lengths of all rows of a ciphertext, n at most (decision 0020). So rows of D U are
no longer than `longest_row`, m, and D is bounded: D_i = min(1 / (1 - h_i), 1 / (1 - MAX_LEVERAGE), m / |u_i|). A row of
more leverage than that gets its leave-one-out value *shrunk* by D_i (1 - h_i), which depends on h_i alone: never a part
of its own residual, which clipping h in both places would leave in it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from tenseal import sealapi

from crypto.ckks import dithering
from crypto.ckks.calculator import Calculator
from crypto.ckks.params import ParameterSet
from crypto.ckks.sealapi_files import Bytes
from crypto.ckks.slots import in_halves

Array = npt.NDArray[np.float64]
MAX_LEVERAGE = 0.95
"""Leverage up to which values are exact leave-one-out values wherever the noise bound leaves room; no value grows by
more than 1 / (1 - MAX_LEVERAGE)."""
GRID_BITS = 44
"""D h is dithered on a grid of 2**-44, which doubles resolve; its scale is beyond that, and multiplies no ciphertext
but r."""


def longest_row(params: ParameterSet, train: int, rows: int) -> float:
    """m: how long rows of D U may be; 1 where rows fill a ciphertext, more where they leave room.

    Args:
        params: the parameter set.
        train: training rows, which come first; at least one.
        rows: all that are fitted; those that are not for training have norm 1 at most.
    """
    room = params.n // params.packed(rows)
    return math.sqrt((room - (rows - train)) / train) if rows <= room else 1.0


def growth(params: ParameterSet, train: int, rows: int) -> float:
    """The most by which leave-one-out values can be longer than their residual; arguments as for `longest_row`.

    0 <= S <= 1 and 0 <= H <= 1 for H = diag(s h), so ||S - H|| <= 1; and D_i <= 1 / (1 - h) at the h with
    sqrt(h) / (1 - h) = m. For m = 1 that is the golden ratio, 1.62, at h = 0.38.
    """
    there = (1 + math.sqrt(1 + 4 * longest_row(params, train, rows) ** 2)) / 2
    return min(there, 1 / (1 - MAX_LEVERAGE))


def factors(u_train: Array, longest: float, share: Array | float = 1.0) -> Array:
    """D, then s D h, float64 (2, N_train).

    Args:
        u_train: (N_train, p), the basis of a ridge fit.
        longest: m.
        share: s, 0 to 1, (N_train,) or one for all rows; 1 is leave-one-out.
    """
    leverage = np.einsum("ij,ij->i", u_train, u_train).clip(0.0, 1.0)
    with np.errstate(divide="ignore"):  # no leverage, no limit
        scales = np.minimum(1 / (1 - leverage.clip(max=MAX_LEVERAGE)), longest / np.sqrt(leverage))
    return np.stack([scales, share * scales * leverage])


def shrunk(u_train: Array, longest: float) -> int:
    """How many training rows have so much leverage that their values are shrunk; arguments as for `factors`."""
    scales, own = factors(u_train, longest)
    return int(np.sum(scales - own < 1 - 1e-9))  # D (1 - h)


class OwnResiduals:
    """s D h r of blocks of training rows, ready to be subtracted.

    A request holds z = r_a + i r_b of two half blocks, whose c = s D h differ:
    c_a r_a + i c_b r_b = (c_a + c_b) / 2 z + conj((c_a - c_b) / 2 z). What is conjugated is the product, so that the
    noise of switching keys meets no data.

    Args:
        calculator: of the fit.
        weights: c, float64 (N_train,).
        room: bytes of encodings that may be kept.
    """

    def __init__(self, calculator: Calculator, weights: Array, room: int) -> None:
        self._calculator, self._weights, params = calculator, weights, calculator.params
        self._left = room // (2 * params.levels * params.n * 8)
        self._kept: dict[int, list[sealapi.Plaintext | None]] = {}
        self._packed, self._blocks = params.packed(len(weights)), -(-len(weights) // params.n)

    def subtract(
        self, total: sealapi.Ciphertext | None, requests: Bytes, block: int, outputs: Sequence[int], of: int
    ) -> sealapi.Ciphertext | None:
        """total - s D h r, in total's place; None is zero.

        Args:
            total: D U g of the ciphertext that carries these outputs of this block.
            requests: uint8 (blocks of training rows * of, request_bytes).
            block: of n rows; one without training rows has nothing to subtract.
            outputs: k of those that share the ciphertext, each at its place in its request.
            of: K.
        """
        if block >= self._blocks:
            return total
        residual: sealapi.Ciphertext | None = None
        for k in outputs:
            residual = self._calculator.add(residual, self._calculator.read_request(requests[block * of + k]))
        if residual is None:
            return total
        straight, turned = self._plains(block)
        total = self._calculator.add_products(total, [residual], [straight])
        crossed = self._calculator.add_products(None, [residual], [turned])
        return total if crossed is None else self._calculator.add(total, self._calculator.conjugate(crossed))

    def _plains(self, block: int) -> list[sealapi.Plaintext | None]:
        """Minus half the sum and minus half the difference of c_a and c_b, in every segment."""
        if block in self._kept:
            return self._kept[block]
        params = self._calculator.params
        both = in_halves(self._weights[block * params.n : (block + 1) * params.n], params.slots // self._packed)
        both = np.tile(both, self._packed)
        plains = [self._encode((both.real + sign * both.imag) / -2) for sign in (1, -1)]
        if self._left > 0:
            self._kept[block] = plains
            self._left -= 1
        return plains

    def _encode(self, real: Array) -> sealapi.Plaintext | None:
        params = self._calculator.params
        bits = 1 + params.first_bits + params.second_bits  # what a request lacks to the scale of f
        slots = dithering.dithered(real.astype(np.complex128), min(bits, GRID_BITS), dithering.SUMMED)
        return self._calculator.encode(slots, bits)
