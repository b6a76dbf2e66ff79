"""Steps 12 and 13: prediction on new ids."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

import msgspec
import numpy as np
import numpy.typing as npt

from secure_gal.messages.alignment import Step
from secure_gal.messages.fields import CIPHERTEXTS, FieldSpec


class Batch(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The number of a prediction batch, and why it was not answered, if it was not."""

    number: int
    refused: str = ""


@dataclass(frozen=True, slots=True)
class PredictRows:
    """Step 12 under `ids = "psi"`: positions (n,) in the secret order of that attempt's masked ids, to be predicted."""

    KIND: ClassVar[str] = "predict-rows"
    FIELDS: ClassVar[tuple[FieldSpec, ...]] = (
        FieldSpec("positions", "clear", "<u4", 1),
        FieldSpec("step", "public", "json", json_type=Step),
    )
    positions: npt.NDArray[np.uint32] = field(repr=False)
    step: Step
    round: int = 0


@dataclass(frozen=True, slots=True)
class PredictRequest:
    """Step 12, sponsor to assistor: ids to be predicted."""

    KIND: ClassVar[str] = "predict-request"
    FIELDS: ClassVar[tuple[FieldSpec, ...]] = (
        FieldSpec("batch", "public", "json", json_type=Batch),
        FieldSpec("ids", "clear", "json", json_type=tuple[str, ...], many_ids=True),
    )
    batch: Batch
    ids: tuple[str, ...] = field(repr=False)
    round: int = 0


@dataclass(frozen=True, slots=True)
class PredictReply:
    """Step 13, assistor to sponsor: its part sum_t eta^t w_m^t f_m^t(x), float32 (n, K); 0 for unknown ids.

    `known` (n,) is 1 where the id was found. A refusal has n = 0 and a reason in `batch`.
    """

    KIND: ClassVar[str] = "predict-reply"
    FIELDS: ClassVar[tuple[FieldSpec, ...]] = (
        FieldSpec("batch", "public", "json", json_type=Batch),
        FieldSpec("known", "clear", "|u1", 1),
        FieldSpec("part", "clear", "<f4", 2),
    )
    batch: Batch
    known: npt.NDArray[np.uint8] = field(repr=False)
    part: npt.NDArray[np.float32] = field(repr=False)
    round: int = 0


@dataclass(frozen=True, slots=True)
class NoisedPredictReply(PredictReply):
    """Step 13 under `predictions = "noise"`: a clipped part with Gaussian noise; 0 for unknown ids."""

    KIND: ClassVar[str] = "noised-predict-reply"
    FIELDS: ClassVar[tuple[FieldSpec, ...]] = (
        FieldSpec("batch", "public", "json", json_type=Batch),
        FieldSpec("known", "clear", "|u1", 1),
        FieldSpec("part", "noised", "<f4", 2),
    )


@dataclass(frozen=True, slots=True)
class EncryptedPredictReply:
    """Step 13 under encryption: Enc(its part) of all n ids asked for, 0 where unknown; uint8 (C K, b).

    `known` (n,) is 1 where the id was found. A refusal has no rows, no ciphertexts, and a reason in `batch`.
    """

    KIND: ClassVar[str] = "encrypted-predict-reply"
    FIELDS: ClassVar[tuple[FieldSpec, ...]] = (
        FieldSpec("batch", "public", "json", json_type=Batch),
        FieldSpec("known", "clear", "|u1", 1),
        FieldSpec("ciphertexts", "ckks", "|u1", 2, bounds=CIPHERTEXTS),
    )
    batch: Batch
    known: npt.NDArray[np.uint8] = field(repr=False)
    ciphertexts: npt.NDArray[np.uint8] = field(repr=False)
    round: int = 0
