"""Ciphertexts as they travel: requests, the key owner's encryptions, and the replies that are computed of them.

Of each coefficient only the leading bytes travel (`wide`). What is cut off a request's first polynomial is the owner's
own choice after encrypting, and far below the noise that a fitted value has anyway; its second polynomial travels as
the seed that SEAL expands. Replies are flooded and then rounded.
"""

from __future__ import annotations

import functools

import numpy as np
import numpy.typing as npt
from tenseal import sealapi

from crypto.ckks import flooding, ring, sealapi_files, wide
from crypto.ckks.params import ParameterSet
from crypto.ckks.sealapi_files import SEED_BYTES, Bytes, Residues
from crypto.errors import Malformed


def write_request(params: ParameterSet, encrypted: sealapi_files.SealObject) -> Bytes:
    """uint8 (request_bytes,) of what SEAL's `encrypt_symmetric` returned, on all primes of a request."""
    residues, seed = sealapi_files.split_ciphertext(sealapi_files.save(encrypted), params.levels, params.n, seeded=True)
    carrier = _loaded(params, residues, 1.0, seed=seed)
    sealapi.Evaluator(ring.context(params)).transform_from_ntt_inplace(carrier)
    both, _ = sealapi_files.split_ciphertext(sealapi_files.save(carrier), params.levels, params.n, seeded=False)
    first = wide.leading(wide.compose(both[0], params.request_primes), params.request_primes, params.request_kept)
    return np.concatenate([first, np.frombuffer(seed, dtype=np.uint8)])


def read_request(params: ParameterSet, row: Bytes) -> sealapi.Ciphertext:
    """A request that arrived, ready to be computed with; Malformed."""
    residues, scale, evaluator = request_residues(params, row), 2.0**params.request_bits, _evaluator(params)
    carried = _loaded(params, np.concatenate([residues, _one(params)]), scale, ntt=False)
    evaluator.transform_to_ntt_inplace(carried)
    evaluator.add_inplace(carried, _loaded(params, np.zeros_like(residues), scale, seed=row[-SEED_BYTES:].tobytes()))
    evaluator.sub_inplace(carried, _second_one(params))
    return carried


def request_residues(params: ParameterSet, row: Bytes) -> Residues:
    """The first polynomial of one request, residues uint64 (1, levels, n) of its coefficients; Malformed."""
    return wide.residues(_numbers(params, row), params.request_primes)[None]


def _numbers(params: ParameterSet, row: Bytes) -> wide.Limbs:
    limbs = wide.extend(row[:-SEED_BYTES], params.request_primes, params.n)
    if limbs is None:
        raise Malformed("a ciphertext with a number that is not below its modulus")
    return limbs


def check_requests(params: ParameterSet, array: Bytes) -> None:
    """Refuse requests that are not ciphertexts of the parameter set; `array` uint8 (count, request_bytes).

    Under which key a ciphertext is cannot be seen: to whoever lacks the key, any numbers look alike.

    Raises:
        Malformed: another shape, or a number that is not below the product of the primes.
    """
    if array.dtype != np.uint8 or array.ndim != 2 or array.shape[1] != params.request_bytes:
        raise Malformed(f"a ciphertext that has not the {params.request_bytes} bytes of a request")
    for row in array:
        _numbers(params, row)


@functools.cache
def _evaluator(params: ParameterSet) -> sealapi.Evaluator:
    return sealapi.Evaluator(ring.context(params))


def _one(params: ParameterSet) -> Residues:
    """The polynomial 1, by coefficients: SEAL refuses to transform a ciphertext whose second polynomial is zero."""
    out = np.zeros((1, params.levels, params.n), dtype=np.uint64)
    out[:, :, 0] = 1
    return out


@functools.cache
def _second_one(params: ParameterSet) -> sealapi.Ciphertext:
    """(0, 1), transformed: 1 at every place."""
    both = np.stack([np.zeros((params.levels, params.n)), np.ones((params.levels, params.n))]).astype(np.uint64)
    return _loaded(params, both, 2.0**params.request_bits)


def _loaded(
    params: ParameterSet, residues: Residues, scale: float, *, ntt: bool = True, seed: bytes | None = None
) -> sealapi.Ciphertext:
    out, context = sealapi.Ciphertext(), ring.context(params)
    parms = tuple(context.first_parms_id())
    members = sealapi_files.ciphertext_members(parms, params.n, scale, residues, ntt=ntt, seed=seed)
    sealapi_files.load(out, context, members)
    return out


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
