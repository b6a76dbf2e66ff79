"""What an assistor can read out of encrypted residuals: every number that a ciphertext has at a person's place."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from tenseal import sealapi

from crypto.ckks import ring, seal_files
from crypto.ckks.ciphertexts import request_residues
from crypto.ckks.params import ParameterSet
from secure_gal.attacks.ciphertexts import row_features
from secure_gal.attacks.finding import Array

Bytes = npt.NDArray[np.uint8]


def readable(requests: Bytes, params: ParameterSet, rows: int, outputs: int) -> Array:
    """`row_features` (rows, d) of requests uint8 (blocks * outputs, request_bytes)."""
    raw = np.stack([request_residues(params, row)[0] for row in requests])
    polynomials = np.stack([_coefficient_form(params, residues) for residues in raw])
    return row_features(raw, polynomials, params.primes[: params.levels], rows, outputs)


def _coefficient_form(params: ParameterSet, residues: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    """One polynomial (levels, n) out of number-theoretic-transform form."""
    context, ciphertext = ring.context(params), sealapi.Ciphertext()
    both = np.stack([residues, residues])
    parms = tuple(context.first_parms_id())
    seal_files.load(ciphertext, context, seal_files.ciphertext_members(parms, params.n, 1.0, both))
    sealapi.Evaluator(context).transform_from_ntt_inplace(ciphertext)
    back, _ = seal_files.split_ciphertext(seal_files.save(ciphertext), params.levels, params.n, seeded=False)
    return np.asarray(back[0])
