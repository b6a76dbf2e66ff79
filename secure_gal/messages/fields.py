"""What one payload field of a message must look like, how it is protected, and what bounds it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from secure_gal.settings.caps import MAX_OUTPUTS as MAX_OUTPUTS
from secure_gal.settings.caps import MAX_ROWS as MAX_ROWS

Protection = Literal["public", "clear", "privatised", "noised", "ckks", "sealed", "psi"]
"""`public`: says nothing about any person. `clear`: data about persons, readable by the receiver.
`privatised`: computed from labels that were released once through the study's privacy mechanism.
`noised`: clear values with the study's noise; no epsilon is claimed.
`ckks`: ciphertexts under the sponsor's key, of the parameter set that the study names.
`sealed`: ciphertexts of the class `ckks`, sealed end to end to the aggregator.
`psi`: ids masked by a secret scalar of this run."""

MAX_JSON_BYTES = 1 << 30
"""Bytes of a list of ids; the largest is one of MAX_ROWS short ids."""
MAX_SMALL_JSON_BYTES = 4 << 20
"""Bytes of any other structured field. The largest holds the study's text, which has at most 1 MiB, as JSON in JSON."""


@dataclass(frozen=True, slots=True)
class FieldSpec:
    """What one payload field must look like on the wire."""

    name: str
    protection: Protection
    dtype: Literal["<f4", "<f8", "<i8", "<u4", "|u1", "json"]
    ndim: int = 0
    json_type: object = None
    bounds: tuple[str, ...] = ("rows", "outputs")
    """Which of the receiver's limits (`transport.wire.Limits`) bounds each dimension of a tensor."""
    many_ids: bool = False
    """A structured field that lists ids: it may be as long as a study has rows; every other one is small."""


CIPHERTEXTS = ("ciphertexts", "ciphertext_bytes")
SEALED = ("sealed_bytes",)
MASKED = ("rows", "masked_bytes")
