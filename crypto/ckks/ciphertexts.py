"""Replies as they travel: what they must be, and how they are flooded and rounded."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from crypto.ckks import flooding, sealapi_files, wide
from crypto.ckks.params import ParameterSet
from crypto.ckks.sealapi_files import Bytes, Residues
from crypto.errors import Malformed


def write_reply(params: ParameterSet, residues: Residues, *, flooded: bool = True) -> Bytes:
    """A reply's bytes from residues uint64 (2, reply_levels, n): flooded, then rounded to what travels.

    Noise covers every coefficient of the first polynomial: all slots, real and imaginary parts, padding too. Rounding
    comes after it and needs no secret, so it says nothing more.
    """
    first, second = (wide.compose(polynomial, params.reply_primes) for polynomial in residues)
    if flooded and params.flooding_bits:
        noise = flooding.draw(params.n, params.flooding_bits)
        first = wide.add(first, noise, -flooding.centre(params.flooding_bits), params.reply_primes)
    kept = zip((first, second), params.reply_kept, strict=True)
    return np.concatenate([wide.leading(limbs, params.reply_primes, count) for limbs, count in kept])


def spread(leading: npt.NDArray[np.unsignedinteger]) -> bool:
    """Whether a polynomial may hide something, by its coefficients' leading digits (n,): half of them are not zero.

    What is encrypted honestly is uniform: of n = 8,192 digits of four bits or more, half are zero with probability
    below 2**-9000. A zero polynomial hides nothing, and SEAL will not compute with it; a small one may become zero on
    the way.
    """
    return bool(2 * np.count_nonzero(leading) > len(leading))


def read_reply(params: ParameterSet, row: Bytes) -> tuple[wide.Limbs, wide.Limbs]:
    """Both polynomials of a reply uint8 (reply_bytes,), as whole numbers.

    Raises:
        Malformed: a number that is not below the product of the primes; or a second polynomial of zero or next to
            it (`spread`), with which a ciphertext is no ciphertext.
    """
    cut = params.reply_kept[0] * params.n
    if not spread(row[cut + params.reply_kept[1] - 1 :: params.reply_kept[1]]):
        raise Malformed("a ciphertext whose second polynomial is zero or small: it hides nothing")
    found = [wide.extend(part, params.reply_primes, params.n) for part in (row[:cut], row[cut:])]
    if found[0] is None or found[1] is None:
        raise Malformed("a ciphertext with a number that is not below its modulus")
    return found[0], found[1]


def reply_residues(params: ParameterSet, row: Bytes) -> Residues:
    """A reply's residues uint64 (2, reply_levels, n); raises as `read_reply`."""
    return np.stack([wide.residues(limbs, params.reply_primes) for limbs in read_reply(params, row)])


def check_replies(params: ParameterSet, array: Bytes, count: int) -> None:
    """Refuse replies, uint8 (count, reply_bytes), that cannot be decrypted or computed with.

    Raises:
        Malformed: another shape; otherwise as `read_reply`.
    """
    due = (count, params.reply_bytes)
    if array.dtype != np.uint8 or array.shape != due:
        raise Malformed(f"replies of shape {array.shape}; {due} is due")
    for row in array:
        read_reply(params, row)


def checked(params: ParameterSet, packed: Bytes, levels: int, what: str = "a ciphertext") -> Residues:
    """Unpack residues uint64 (1, levels, n) of a polynomial whose fellow is expanded from a seed, so that it is not
    zero; each below its prime, or Malformed."""
    residues = sealapi_files.unpack(packed).reshape(1, levels, params.n)
    if (residues >= np.array(params.primes[:levels], dtype=np.uint64)[:, None]).any():
        raise Malformed(f"{what} with a residue that is not below its prime")
    return residues
