"""The homomorphic ridge fit over some blocks of rows, in one process.

With h = n/2 slots, P the padded width, and block c of U as complex U_c (h, P) (first h rows real, next h imaginary):

    z    = sum_d rot_d( sum_c conj(U_c)[s, s-d] * r_c[s] )         inner products, Halevi and Shoup's diagonals
    g    = 2 Re of z summed over the h/P repeats                   z[s] and g[s] belong to column s mod P
    f_c  = sum_d U_c[s, s+d] * rot_d(g)[s]                         fitted values of n rows at once
    f_c  = sum_d D U_c[s, s+d] * rot_d(g)[s] - D h r_c[s]          or leave-one-out values (`leave_one_out`)

columns modulo P, rot_d moves slot s + d to s. The first sum rotates nothing but sums of products over all blocks, so
that no noise of switching keys meets U before g (decision 0003); whoever shares the work takes some of the diagonals d
of every block. The second has baby steps and giant steps (Halevi and Shoup, CRYPTO 2018, section 4), d = gB + b: babies
rotate g by b before the product, a giant rotates a sum of products by gB, and the plaintexts are rotated the other way
in the clear. Outputs that share a ciphertext (`slots`) are rotated to their places at the end.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from tenseal import sealapi

from crypto.ckks import dithering
from crypto.ckks.calculator import Calculator
from crypto.ckks.encoder import Encoder, Slots
from crypto.ckks.leave_one_out import OwnResiduals
from crypto.ckks.params import ParameterSet
from crypto.ckks.ring import FOLD, giant_steps
from crypto.ckks.sealapi_files import Bytes

Rows = npt.NDArray[np.float32]
Scales = npt.NDArray[np.float64]
GROUP_BYTES = 2**28
"""Bytes of ciphertexts that a process holds at a time; outputs are worked on in groups that need no more."""
PRODUCT_SECONDS, ROTATION_SECONDS = 6.5e-9, 9e-8
"""Seconds a coefficient and prime of a plaintext product and of a rotation; measured on one x86-64 core, only a
guide."""


def scale_bits(params: ParameterSet, stage: str) -> int:
    """log2 of the scale of z, g or f before primes are dropped; z + conj(z) doubles."""
    z = params.request_bits + params.first_bits
    return {"z": z, "g": z + 1, "f": z + 1 + params.second_bits}[stage]


@dataclass(frozen=True)
class Split:
    """d = giant * babies + baby."""

    babies: int
    giants: int

    @classmethod
    def first(cls, padded: int) -> Split:
        """That of the inner products: no rotated copies of a request."""
        return cls(1, padded)

    @classmethod
    def second(cls, params: ParameterSet, padded: int, blocks: int) -> Split:
        """Fewest rotations of the fitted values: babies once, giants for each block."""
        sizes = [size for size in giant_steps(padded) if size * ciphertext_bytes(params) <= GROUP_BYTES]
        best = min(sizes, key=lambda size: size + blocks * (padded // size - 1))
        return cls(best, padded // best)


def ciphertext_bytes(params: ParameterSet) -> int:
    """Memory of a ciphertext on all primes of a request; a plaintext takes half."""
    return 2 * params.levels * params.n * 8


class Encodings:
    """Plaintexts of one stage by (block, giant, baby), dithered: kept, as long as there is room, since every round uses
    them.

    Those that are made again have fresh dither; either way the fit is that of U in expectation. `scales` (rows,)
    multiply the rows of U, where they are given.
    """

    def __init__(
        self,
        encoder: Encoder | Calculator,
        u: Rows,
        padded: int,
        split: Split,
        first: bool,
        room: int,
        scales: Scales | None = None,
    ) -> None:
        self._encoder, self._u, self._padded, self.split, self._first = encoder, u, padded, split, first
        self._scales = scales
        params = encoder.params
        self._bits = params.first_bits if first else params.second_bits
        self._left = 2 * room // ciphertext_bytes(params)
        self._kept: dict[tuple[int, int, int], sealapi.Plaintext | None] = {}
        self._index = np.arange(params.slots)
        self.packed = params.packed(len(u))
        self._segment = params.slots // self.packed

    def ahead(self, blocks: range) -> None:
        """Make those of these blocks that there is room for."""
        for block, giant in itertools.product(blocks, range(self.split.giants)):
            if self._left <= 0:
                return
            self.giant(block, giant)

    def giant(self, block: int, giant: int) -> list[sealapi.Plaintext | None]:
        """The plaintexts that meet each baby on its way to this giant."""
        return [self._get(block, giant, baby) for baby in range(self.split.babies)]

    def _get(self, block: int, giant: int, baby: int) -> sealapi.Plaintext | None:
        """One plaintext, None if it is zero.

        What comes first stays: all are used in the same order every round, where replacing the oldest would keep none.
        """
        key = (block, giant, baby)
        if key in self._kept:
            return self._kept[key]
        plain = self._encoder.encode(self._dithered(self._diagonal(*key)), self._bits)
        if self._left > 0:
            self._kept[key] = plain
            self._left -= plain is not None
        return plain

    def _dithered(self, slots: Slots) -> Slots:
        return dithering.dithered(slots, self._bits, dithering.SUMMED if self._first else dithering.SINGLE)

    def _diagonal(self, block: int, giant: int, baby: int) -> Slots:
        """conj(U[s + b, s - gB]) for the inner products, U[s - gB, s + b] for the fitted values.

        Where outputs share ciphertexts, a request has its residual in any segment, so U stands in all of them for the
        inner products; fitted values come out in the first.
        """
        ahead, back = self._index + baby, self._index - giant * self.split.babies
        rows, columns = (ahead, back) if self._first else (back, ahead)
        slots, columns = len(self._index), columns % self._padded
        rows = rows % (self._segment if self._first else slots)
        here = slice(2 * slots * block, 2 * slots * (block + 1))
        part, scales = self._u[here], None if self._scales is None else self._scales[here]
        out = np.zeros(slots, dtype=np.complex128)
        for half, target in ((rows, out.real), (rows + self._segment, out.imag)):
            there = (rows < self._segment) & (half < len(part)) & (columns < part.shape[1])
            target[there] = part[half[there], columns[there]]
            if scales is not None:
                target[there] *= scales[half[there]]
        return out.conj() if self._first else out


def inner_products(
    calculator: Calculator, encodings: Encodings, requests: Bytes, diagonals: range, outputs: int
) -> list[bytes | None]:
    """These diagonals' share of z, rotated to the place of the first of them.

    Args:
        requests: uint8 (blocks * outputs, request_bytes), of all blocks.

    Returns:
        one ciphertext an output (`Calculator.write_sum`), None for zero.
    """
    params, out = calculator.params, list[bytes | None]()
    together = min(len(diagonals), max(1, GROUP_BYTES // ciphertext_bytes(params)))
    for group in _groups(params, outputs, together + 1):
        totals: list[sealapi.Ciphertext | None] = [None for _ in group]
        for start in reversed(range(diagonals.start, diagonals.stop, together or 1)):
            part = range(start, min(start + together, diagonals.stop))
            sums = _over_blocks(calculator, encodings, requests, part, group, outputs)
            totals = [calculator.horner([*row, total], 1) for row, total in zip(sums, totals, strict=True)]
        out += [None if total is None else calculator.write_sum(total) for total in totals]
    return out


def _over_blocks(
    calculator: Calculator, encodings: Encodings, requests: Bytes, diagonals: range, group: range, outputs: int
) -> list[list[sealapi.Ciphertext | None]]:
    """The products with these diagonals, summed over all blocks, by output and diagonal."""
    sums: list[list[sealapi.Ciphertext | None]] = [[None] * len(diagonals) for _ in group]
    for block in range(len(requests) // outputs):
        read = [calculator.read_request(requests[block * outputs + k]) for k in group]
        for place, diagonal in enumerate(diagonals):
            plain = encodings.giant(block, diagonal)
            for row, request in zip(sums, read, strict=True):
                row[place] = calculator.add_products(row[place], [request], plain)
    return sums


def fold(calculator: Calculator, padded: int, shares: Sequence[bytes | None]) -> bytes:
    """g of one output from equal shares of its diagonals, in order: summed over the repeats of P slots, imaginary parts
    dropped."""
    params, bits = calculator.params, scale_bits(calculator.params, "z")
    read = [None if share is None else calculator.read_sum(share, bits) for share in shares]
    total = calculator.horner(read, padded // len(shares))
    if total is None:
        return calculator.write_sum(calculator.zero(scale_bits(params, "g"), params.levels))
    step = padded
    while step < params.slots:
        times = min(FOLD, params.slots // step)
        total = calculator.horner([total] * times, step)
        step *= times
    total = calculator.add(total, calculator.conjugate(total))
    return calculator.write_sum(total)


def fitted(
    calculator: Calculator,
    encodings: Encodings,
    heads: Sequence[bytes],
    blocks: range,
    own: tuple[OwnResiduals, Bytes] | None = None,
) -> Bytes:
    """Sanitised replies of these blocks, uint8 (len(blocks) * ceil(K / packed), reply_bytes), from g of K outputs.

    `own` is for leave-one-out values: what they take off, and the requests of all blocks of training rows.
    """
    params, outputs, split, packed = calculator.params, len(heads), encodings.split, encodings.packed
    groups = -(-outputs // packed)
    out = np.empty((len(blocks) * groups, params.reply_bytes), dtype=np.uint8)
    if not blocks:
        return out
    waiting: list[sealapi.Ciphertext | None] = []  # outputs of one ciphertext; where they share one, there is one block
    for group in _groups(params, outputs, split.babies + split.giants):
        babies = [
            calculator.rotations(calculator.read_sum(heads[k], scale_bits(params, "g")), split.babies) for k in group
        ]
        for i, block in enumerate(blocks):
            sums: list[list[sealapi.Ciphertext | None]] = [[None] * split.giants for _ in group]
            for giant in range(split.giants):
                plains = encodings.giant(block, giant)
                for row, turned in zip(sums, babies, strict=True):
                    row[giant] = calculator.add_products(row[giant], turned, plains)
            for k, row in zip(group, sums, strict=True):
                waiting.append(calculator.horner(row, split.babies))
                if len(waiting) == packed or k == outputs - 1:
                    total = calculator.horner(waiting, params.slots // packed)
                    if own is not None:
                        together = range(k + 1 - len(waiting), k + 1)
                        total = own[0].subtract(total, own[1], block, together, outputs)
                    out[i * groups + k // packed] = calculator.sanitise(total, scale_bits(params, "f"))
                    waiting.clear()
    return out


def _groups(params: ParameterSet, outputs: int, each: int) -> list[range]:
    """Outputs in groups whose ciphertexts, `each` an output, fit into GROUP_BYTES."""
    size = max(1, GROUP_BYTES // (each * ciphertext_bytes(params)))
    return [range(k, min(k + size, outputs)) for k in range(0, outputs, size)]
