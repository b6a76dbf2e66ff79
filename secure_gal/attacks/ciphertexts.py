"""What ciphertexts give to whoever lacks the key, and replies that were not sanitised to whoever has it.

Arrays of residues only: whoever calls knows the parameter set. `row_features` must leave label inference at its
baseline. `unsanitised_plaintexts` is a negative control: it recovers an assistor's data exactly from replies that were
not re-randomised, and must fail on those that were.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from crypto.ckks.embedding import slot_values
from secure_gal.attacks.finding import Array

Residues = npt.NDArray[np.uint64]


def row_features(raw: Residues, polynomials: Residues, primes: Sequence[int], rows: int, outputs: int) -> Array:
    """Everything a ciphertext has at a person's place, float64 (rows, 2 * outputs * levels).

    Two readings of the first polynomial: the residue at the row's place, as it travelled; and the value in the row's
    slot if the polynomial is taken for a message in the clear, which it is where encryption forgot its mask.

    Args:
        raw: as they travelled, (ciphertexts, levels, n), ciphertext block * outputs + k; a block carries n rows.
        polynomials: the same in coefficient form.
        primes: by level.
    """
    moduli = np.array(primes, dtype=np.float64)[:, None]
    halves = np.where(polynomials > moduli / 2, moduli, 0.0)
    centred = polynomials.astype(np.float64) - halves
    return np.hstack([_by_row(raw / moduli, rows, outputs), _by_row(slot_values(centred) / moduli, rows, outputs)])


def _by_row(values: Array, rows: int, outputs: int) -> Array:
    """(blocks * outputs, levels, n) to (rows, outputs * levels)."""
    _, levels, n = values.shape
    blocks = values.reshape(-1, outputs, levels, n).transpose(0, 3, 1, 2)
    return blocks.reshape(-1, outputs * levels)[:rows]


def unsanitised_plaintexts(requests: npt.NDArray[Any], replies: npt.NDArray[Any], prime: int) -> npt.NDArray[Any]:
    """The assistor's plaintexts u_d from replies sum_d u_d * a_d, in number-theoretic-transform form.

    Multiplying by a plaintext multiplies the second polynomial of a ciphertext, which the sponsor drew itself (and
    which it can rotate itself, having made the keys). Position by position that is a linear system modulo the prime.

    Args:
        requests: second polynomials a_d of T requests and their D rotations, (T, D, n) integers, T >= D.
        replies: second polynomials of T replies on the same prime, (T, n).
        prime: below 2**62.

    Returns:
        (D, n) integers: exactly u_d if the replies were not sanitised, else uniform residues.

    Raises:
        ValueError: fewer requests than plaintexts, or requests that depend on each other at some position.
    """
    rounds, unknowns, n = requests.shape
    if rounds < unknowns:
        raise ValueError(f"{unknowns} plaintexts need as many requests, not {rounds}")
    table = np.concatenate([requests, replies[:, None, :]], axis=1).astype(object) % prime
    for d in range(unknowns):  # Gauss and Jordan, all positions at once
        usable = table[d:, d, :] != 0
        if not usable.any(axis=0).all():
            raise ValueError("requests that depend on each other")
        pivot, every = d + usable.argmax(axis=0), np.arange(n)
        table[d, :, every], table[pivot, :, every] = table[pivot, :, every], table[d, :, every]
        inverse = np.array([pow(int(v), -1, prime) for v in table[d, d]], dtype=object)
        table[d] = table[d] * inverse % prime
        for other in range(rounds):
            if other != d:
                table[other] = (table[other] - table[other, d] * table[d]) % prime
    return np.asarray(table[:unknowns, unknowns])
