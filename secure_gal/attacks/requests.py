"""What an assistor can read out of encrypted residuals: every number that a ciphertext has at a person's place."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from crypto.ckks.ciphertexts import request_residues
from crypto.ckks.params import ParameterSet
from secure_gal.attacks.ciphertexts import row_features
from secure_gal.attacks.finding import Array

Bytes = npt.NDArray[np.uint8]


def readable(requests: Bytes, params: ParameterSet, rows: int, outputs: int) -> Array:
    """`row_features` (rows, d) of requests uint8 (blocks * outputs, request_bytes)."""
    polynomials = np.stack([request_residues(params, row)[0] for row in requests])
    return row_features(polynomials, polynomials, params.request_primes, rows, outputs)
