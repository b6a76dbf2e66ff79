"""Steps 6a to 10 under encryption (`residuals = "ckks"`)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

import msgspec
import numpy as np
import numpy.typing as npt

from secure_gal.messages.fields import CIPHERTEXTS, FieldSpec
from secure_gal.messages.kinds import DOWN, UP, Message, message
from secure_gal.messages.rounds import Ending


class Width(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The padded number of features P of an encrypted head: a power of two, so that only its size class shows."""

    padded: int


class Held(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which evaluation keys an assistor has of an earlier run of the study, by digest (`keys_digest`); empty: none."""

    digest: str = ""


@message("features", step="6a", phase="Assistance rounds", route=UP, setting='residuals = "ckks"')
@dataclass(frozen=True, slots=True)
class PaddedWidth(Message):
    """P: the width of U padded to a power of two; and the digest of keys for it that an earlier run of this study
    left here."""

    FIELDS: ClassVar[tuple[FieldSpec, ...]] = (
        FieldSpec("width", "public", "json", json_type=Width),
        FieldSpec("held", "public", "json", json_type=Held),
    )
    width: Width
    held: Held = field(default_factory=Held)
    round: int = 0


@message("evaluation-keys", step="6b", phase="Assistance rounds", route=DOWN, setting='residuals = "ckks"')
@dataclass(frozen=True, slots=True)
class EvaluationKeys(Message):
    """Public key and the Galois keys in use for P, packed; the parameter set is the study's, by name. No bytes if the
    sponsor made those of step 6a: they are used again."""

    FIELDS: ClassVar[tuple[FieldSpec, ...]] = (FieldSpec("keys", "public", "|u1", 1, bounds=("key_bytes",)),)
    keys: npt.NDArray[np.uint8] = field(repr=False)
    round: int = 0


@message("encrypted-residual", step="7", phase="Assistance rounds", route=DOWN, setting='residuals = "ckks"')
@dataclass(frozen=True, slots=True)
class EncryptedResidual(Message):
    """Enc(r^t / max|r^t|) of the training rows; one encryption serves all assistors; uint8 (C K, b)."""

    FIELDS: ClassVar[tuple[FieldSpec, ...]] = (FieldSpec("ciphertexts", "ckks", "|u1", 2, bounds=CIPHERTEXTS),)
    ciphertexts: npt.NDArray[np.uint8] = field(repr=False)
    round: int


@message("encrypted-fitted", step="8", phase="Assistance rounds", route=UP, setting='residuals = "ckks"')
@dataclass(frozen=True, slots=True)
class EncryptedFitted(Message):
    """Enc(f_m^t / max|r^t|), training rows then validation rows; re-randomised and flooded; uint8 (C K, b)."""

    FIELDS: ClassVar[tuple[FieldSpec, ...]] = (FieldSpec("ciphertexts", "ckks", "|u1", 2, bounds=CIPHERTEXTS),)
    ciphertexts: npt.NDArray[np.uint8] = field(repr=False)
    round: int


@message("encrypted-finish", step="10", phase="End of learning", route=DOWN, setting='residuals = "ckks"')
@dataclass(frozen=True, slots=True)
class EncryptedFinish(Message):
    """Enc(R_m / max|R_m|), `R_m = sum_t eta^t w_m^t r^t` over the kept rounds; to an assistor with fresh features
    instead its terms Enc(eta^t w_m^t r^t) of every round that was run, Enc(0) where it is not kept.

    The sum is over the kept rounds and scaled to max|R_m| = 1 (or 0 throughout), so it shows neither w nor eta nor how
    many rounds were kept. To an assistor with fresh features instead of R_m its terms, one for each round that was run,
    0 for one that is not kept: (T C K, b).
    """

    FIELDS: ClassVar[tuple[FieldSpec, ...]] = (
        FieldSpec("ciphertexts", "ckks", "|u1", 2, bounds=CIPHERTEXTS),
        FieldSpec("ending", "public", "json", json_type=Ending),
    )
    ciphertexts: npt.NDArray[np.uint8] = field(repr=False)
    ending: Ending
    round: int = 0
