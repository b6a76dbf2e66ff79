"""Steps 12 and 13: prediction on new ids."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

import msgspec
import numpy as np
import numpy.typing as npt

from secure_gal.messages.alignment import Step
from secure_gal.messages.fields import CIPHERTEXTS, FieldSpec
from secure_gal.messages.kinds import DOWN, UP, Message, message


class Batch(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The number of a prediction batch, and why it was not answered, if it was not."""

    number: int
    refused: str = ""


@message("predict-rows", step="12", phase="Prediction", route=DOWN, setting='ids = "psi"')
@dataclass(frozen=True, slots=True)
class PredictRows(Message):
    """Positions (n,) in the order of that batch's 5b, to be predicted; replaces `predict-request`."""

    FIELDS: ClassVar[tuple[FieldSpec, ...]] = (
        FieldSpec("positions", "clear", "<u4", 1),
        FieldSpec("step", "public", "json", json_type=Step),
    )
    positions: npt.NDArray[np.uint32] = field(repr=False)
    step: Step
    round: int = 0


@message("predict-request", step="12", phase="Prediction", route=DOWN)
@dataclass(frozen=True, slots=True)
class PredictRequest(Message):
    """Batch number, ids to be predicted."""

    FIELDS: ClassVar[tuple[FieldSpec, ...]] = (
        FieldSpec("batch", "public", "json", json_type=Batch),
        FieldSpec("ids", "clear", "json", json_type=tuple[str, ...], many_ids=True),
    )
    batch: Batch
    ids: tuple[str, ...] = field(repr=False)
    round: int = 0


@message("predict-reply", step="13", phase="Prediction", route=UP)
@dataclass(frozen=True, slots=True)
class PredictReply(Message):
    """Which ids it knows, and sum_t eta^t w_m^t f_m^t(x) for them, 0 for the others; float32 (n, K).

    `known` (n,) is 1 where the id was found. A refusal has n = 0 and a reason in `batch`.
    """

    FIELDS: ClassVar[tuple[FieldSpec, ...]] = (
        FieldSpec("batch", "public", "json", json_type=Batch),
        FieldSpec("known", "clear", "|u1", 1),
        FieldSpec("part", "clear", "<f4", 2),
    )
    batch: Batch
    known: npt.NDArray[np.uint8] = field(repr=False)
    part: npt.NDArray[np.float32] = field(repr=False)
    round: int = 0


@message("noised-predict-reply", step="13", phase="Prediction", route=UP, setting='predictions = "noise"')
@dataclass(frozen=True, slots=True)
class NoisedPredictReply(PredictReply):
    """A clipped part with the noise that sum_t c_t (clipped f_t + noise) would have; 0 for unknown ids."""

    FIELDS: ClassVar[tuple[FieldSpec, ...]] = (
        FieldSpec("batch", "public", "json", json_type=Batch),
        FieldSpec("known", "clear", "|u1", 1),
        FieldSpec("part", "noised", "<f4", 2),
    )


@message("encrypted-predict-reply", step="13", phase="Prediction", route=UP, setting='residuals = "ckks"')
@dataclass(frozen=True, slots=True)
class EncryptedPredictReply(Message):
    """Which ids it knows, and Enc(U_new G_m), `G_m = U' R_m` computed once; re-randomised and flooded; uint8 (C K, b).

    `known` (n,) is 1 where the id was found. A refusal has no rows, no ciphertexts, and a reason in `batch`.
    """

    FIELDS: ClassVar[tuple[FieldSpec, ...]] = (
        FieldSpec("batch", "public", "json", json_type=Batch),
        FieldSpec("known", "clear", "|u1", 1),
        FieldSpec("ciphertexts", "ckks", "|u1", 2, bounds=CIPHERTEXTS),
    )
    batch: Batch
    known: npt.NDArray[np.uint8] = field(repr=False)
    ciphertexts: npt.NDArray[np.uint8] = field(repr=False)
    round: int = 0
