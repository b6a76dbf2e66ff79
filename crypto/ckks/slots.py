"""Where a table of values lies in ciphertexts: by blocks of rows, or several outputs of few rows in one ciphertext.

A ciphertext has n / 2 complex slots: the first half of a column's values in the real parts, the second in the imaginary
parts. Where a parameter set lets outputs share a ciphertext, each of them has a segment of the slots to itself.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from crypto.ckks.params import ParameterSet

Values = npt.NDArray[np.floating]
Slots = npt.NDArray[np.complex128]


@dataclass(frozen=True)
class Packing:
    """The layout of values (rows, outputs); both ends know it from these public numbers.

    A request carries one output of one block, its row number being block * outputs + k. All other ciphertexts carry
    every output that shares them.

    Attributes:
        params: of the ciphertexts.
        rows: N.
        outputs: K.
    """

    params: ParameterSet
    rows: int
    outputs: int

    @property
    def packed(self) -> int:
        """Outputs that share a ciphertext; more than 1 only where there is one block."""
        return self.params.packed(self.rows)

    @property
    def blocks(self) -> int:
        """Blocks of n rows."""
        return math.ceil(self.rows / self.params.n)

    @property
    def requests(self) -> int:
        """Ciphertexts of a request for this table."""
        return self.blocks * self.outputs

    @property
    def ciphertexts(self) -> int:
        """Ciphertexts of everything else."""
        return self.blocks * self._groups

    @property
    def _groups(self) -> int:
        return math.ceil(self.outputs / self.packed)

    def sharing(self, index: int) -> range:
        """Row numbers, as of a request, of what lies in a ciphertext."""
        block, group = divmod(index, self._groups)
        start, stop = group * self.packed, min((group + 1) * self.packed, self.outputs)
        return range(block * self.outputs + start, block * self.outputs + stop)

    def request(self, values: Values, row: int) -> Slots:
        """Complex slots (n / 2,) of one output of one block, alone and at its place; values (rows, outputs)."""
        block, k = divmod(row, self.outputs)
        out = np.zeros(self.params.slots, dtype=np.complex128)
        out[self._segment(k)] = in_halves(values[self._of(block), k], self.params.slots // self.packed)
        return out

    def slots(self, values: Values, index: int) -> Slots:
        """Complex slots (n / 2,) of all that lies in a ciphertext; values (rows, outputs)."""
        out = np.zeros(self.params.slots, dtype=np.complex128)
        for row in self.sharing(index):
            out += self.request(values, row)
        return out

    def values(self, ciphertexts: Iterable[Slots]) -> npt.NDArray[np.float64]:
        """Values (rows, outputs) from the slots of every ciphertext; what lies behind the rows is left out."""
        out = np.empty((self.rows, self.outputs))
        for index, slots in enumerate(ciphertexts):
            for row in self.sharing(index):
                block, k = divmod(row, self.outputs)
                found, due = slots[self._segment(k)], out[self._of(block), k]
                due[:] = np.concatenate([found.real, found.imag])[: len(due)]
        return out

    def used(self, index: int) -> npt.NDArray[np.bool_]:
        """Which real parts, then which imaginary parts, of a ciphertext's slots carry values, (n,)."""
        ones = self.slots(np.ones((self.rows, self.outputs)), index)
        return np.concatenate([ones.real, ones.imag]) > 0

    def _of(self, block: int) -> slice:
        return slice(block * self.params.n, (block + 1) * self.params.n)

    def _segment(self, k: int) -> slice:
        """The second of those that share comes last: a rotation, which puts it there, moves slots down."""
        each = self.params.slots // self.packed
        start = -k % self.packed * each
        return slice(start, start + each)


def in_halves(values: Values, slots: int) -> Slots:
    """Up to 2 * slots values in complex slots: the first half real, the second imaginary."""
    out = np.zeros(2 * slots)
    out[: len(values)] = values
    return np.asarray(out[:slots] + 1j * out[slots:])
