"""Requests: the key owner's encryptions, as they travel and as SEAL's ciphertexts.

Of the first polynomial only the leading bytes of each coefficient travel (`wide`): what is cut off is the owner's own
choice after encrypting, and far below the noise that a fitted value has anyway. The second polynomial travels as the
seed that SEAL expands.
"""

from __future__ import annotations

import functools

import numpy as np
from tenseal import sealapi

from crypto.ckks import ring, sealapi_files, wide
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
