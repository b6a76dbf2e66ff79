"""Residues, keys and numbers that look random and are the same for ever, and what SEAL holds after it read some."""

from __future__ import annotations

import math
import struct
from collections.abc import Sequence
from typing import Any

import numpy as np
from tenseal import sealapi

from crypto.ckks import sealapi_files
from crypto.ckks.params import ParameterSet
from crypto.ckks.secret import SecretContext
from tests.support.frozen import stream


def residues(what: str, params: ParameterSet, polynomials: int, levels: int) -> sealapi_files.Residues:
    """Residues (polynomials, levels, n) that look random, each below its prime."""
    words = np.frombuffer(stream(what, 8 * polynomials * levels * params.n), dtype="<u8")
    primes = np.array(params.primes[:levels], dtype=np.uint64)[:, None]
    return np.asarray((words >> np.uint64(4)).reshape(polynomials, levels, params.n) % primes)


def packed(values: sealapi_files.Residues) -> bytes:
    """As the layer `packing of residues` has it."""
    return sealapi_files.pack(values).tobytes()


def numbers(what: str, n: int, primes: Sequence[int]) -> list[int]:
    """n numbers below the product of the primes."""
    product, size = math.prod(primes), 40
    raw = stream(what, size * n)
    return [int.from_bytes(raw[i : i + size], "little") % product for i in range(0, len(raw), size)]


def held(thing: Any, params: ParameterSet, levels: int) -> sealapi_files.Residues:
    """Both polynomials of a SEAL ciphertext or public key."""
    return sealapi_files.split_ciphertext(sealapi_files.save(thing), levels, params.n, seeded=False)[0]


def held_keys(thing: Any, params: ParameterSet) -> dict[int, list[sealapi_files.Residues]]:
    """Both polynomials of every digit of SEAL's Galois or relinearisation keys, by SEAL's index."""
    members, at, found = sealapi_files.save(thing), 40, {}
    each = 16 + sealapi_files.ciphertext_bytes(params.levels + 1, params.n, seeded=False)
    for index in range(struct.unpack_from("<Q", members, 32)[0]):
        (count,) = struct.unpack_from("<Q", members, at)
        parts = [members[at + 8 + i * each :][16:each] for i in range(count)]
        at += 8 + count * each
        if count:
            found[index] = [
                sealapi_files.split_ciphertext(p, params.levels + 1, params.n, seeded=False)[0] for p in parts
            ]
    return found


def decrypted(secret: SecretContext, ciphertext: sealapi.Ciphertext) -> Any:
    plain = sealapi.Plaintext()
    secret._decryptor.decrypt(ciphertext, plain)
    return np.array(secret._encoder.decode_complex(plain))


def by_hand(primes: Sequence[int], polynomials: list[list[int]], kept: Sequence[int]) -> bytes:
    """So many leading bytes of each coefficient of c0, then of c1; each little-endian."""
    total = (math.prod(primes).bit_length() + 7) // 8
    return b"".join(
        number.to_bytes(total, "little")[total - count :]
        for count, polynomial in zip(kept, polynomials, strict=True)
        for number in polynomial
    )


def middle(primes: Sequence[int], number: int, kept: int) -> int:
    """A number after its lower bytes were left out."""
    dropped = 8 * ((math.prod(primes).bit_length() + 7) // 8 - kept)
    return (number >> dropped << dropped) + (1 << dropped >> 1)


def as_residues(primes: Sequence[int], polynomials: list[list[int]]) -> sealapi_files.Residues:
    return np.array([[[x % q for x in numbers] for q in primes] for numbers in polynomials], dtype=np.uint64)
