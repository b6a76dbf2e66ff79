"""Plaintext polynomials of slots: they need the parameter set and nobody's key."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from tenseal import sealapi

from crypto.ckks import ring
from crypto.ckks.params import ParameterSet

Slots = npt.NDArray[np.complex128]


class Encoder:
    """SEAL's encoder, on all primes of a request."""

    def __init__(self, params: ParameterSet) -> None:
        self.params = params
        context = ring.context(params)
        self._encoder, self._top = sealapi.CKKSEncoder(context), tuple(context.first_parms_id())

    def encode(self, slots: Slots, bits: int) -> sealapi.Plaintext | None:
        """The polynomial of these slots at scale 2**bits; None if it is zero, by which SEAL refuses to multiply."""
        if not slots.any():
            return None
        plain = sealapi.Plaintext()
        self._encoder.encode(slots.tolist(), self._top, 2.0**bits, plain)
        return None if plain.is_zero() else plain
