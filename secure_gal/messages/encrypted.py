"""Steps 6a to 10 under encryption (`residuals = "ckks"`)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

import msgspec
import numpy as np
import numpy.typing as npt

from secure_gal.messages.fields import CIPHERTEXTS, FieldSpec
from secure_gal.messages.rounds import Ending


class Width(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The padded number of features P of an encrypted head: a power of two, so that only its size class shows."""

    padded: int


@dataclass(frozen=True, slots=True)
class Features:
    """Step 6a (`residuals = "ckks"`), assistor to sponsor: the padded width of its encrypted head."""

    KIND: ClassVar[str] = "features"
    FIELDS: ClassVar[tuple[FieldSpec, ...]] = (FieldSpec("width", "public", "json", json_type=Width),)
    width: Width
    round: int = 0


@dataclass(frozen=True, slots=True)
class EvaluationKeys:
    """Step 6b, sponsor to assistor: public key and the Galois keys in use for that width, packed bytes (b,)."""

    KIND: ClassVar[str] = "evaluation-keys"
    FIELDS: ClassVar[tuple[FieldSpec, ...]] = (FieldSpec("keys", "public", "|u1", 1, bounds=("key_bytes",)),)
    keys: npt.NDArray[np.uint8] = field(repr=False)
    round: int = 0


@dataclass(frozen=True, slots=True)
class EncryptedResidual:
    """Step 7 under encryption: Enc(r^t) of the training rows, scaled to max|r| = 1; ciphertexts uint8 (C K, b)."""

    KIND: ClassVar[str] = "encrypted-residual"
    FIELDS: ClassVar[tuple[FieldSpec, ...]] = (FieldSpec("ciphertexts", "ckks", "|u1", 2, bounds=CIPHERTEXTS),)
    ciphertexts: npt.NDArray[np.uint8] = field(repr=False)
    round: int


@dataclass(frozen=True, slots=True)
class EncryptedFitted:
    """Step 8 under encryption: Enc(f_m^t), training rows first, then validation rows; uint8 (C K, b)."""

    KIND: ClassVar[str] = "encrypted-fitted"
    FIELDS: ClassVar[tuple[FieldSpec, ...]] = (FieldSpec("ciphertexts", "ckks", "|u1", 2, bounds=CIPHERTEXTS),)
    ciphertexts: npt.NDArray[np.uint8] = field(repr=False)
    round: int


@dataclass(frozen=True, slots=True)
class EncryptedFinish:
    """Step 10 under encryption: the learning stage is over, and Enc(R_m), R_m = sum_t eta^t w_m^t r^t.

    The sum is over the kept rounds and scaled to max|R_m| = 1 (or 0 throughout), so it shows neither w nor eta nor how
    many rounds were kept. To an assistor with fresh features instead of R_m its terms, one for each round that was run,
    0 for one that is not kept: (T C K, b).
    """

    KIND: ClassVar[str] = "encrypted-finish"
    FIELDS: ClassVar[tuple[FieldSpec, ...]] = (
        FieldSpec("ciphertexts", "ckks", "|u1", 2, bounds=CIPHERTEXTS),
        FieldSpec("ending", "public", "json", json_type=Ending),
    )
    ciphertexts: npt.NDArray[np.uint8] = field(repr=False)
    ending: Ending
    round: int = 0
