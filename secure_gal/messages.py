"""One frozen type per message; nothing here knows how bytes look or how they travel.

`docs/PROTOCOL.md` numbers the same messages. Each class lists its payload fields in `FIELDS`, in wire order;
the wire layer refuses anything whose dtype, number of dimensions or protection differs from that list.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

import msgspec
import numpy as np
import numpy.typing as npt

Protection = Literal["public", "clear"]
"""`public`: says nothing about any person. `clear`: data about persons, readable by the receiver."""

MAX_ROWS = 16_777_216
"""Rows a study may align (2^24): bounds every tensor before it is allocated."""
MAX_OUTPUTS = 1024
"""Outputs K a study may have: bounds the width of residuals and fitted values."""
MAX_JSON_BYTES = 1 << 30
"""Bytes of one structured field; the largest is an id list of MAX_ROWS short ids."""


@dataclass(frozen=True, slots=True)
class FieldSpec:
    """What one payload field must look like on the wire."""

    name: str
    protection: Protection
    dtype: Literal["<f4", "<f8", "<i8", "|u1", "json"]
    ndim: int = 0
    json_type: Any = None


class Greeting(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a party brings to the agreement on a run: its nonce (32 hex digits) and its reading of the study."""

    nonce: str
    study: str


class Nonces(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Every party's nonce by name; with the study digest they fix the run.

    `study` is the sponsor's canonical reading of the study. With no nonces at all the message says that the two
    readings differ, so that the assistor can print how.
    """

    nonces: dict[str, str]
    study: str


class Signatures(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Hex Ed25519 signatures by party name, all over the same (study digest, run)."""

    signatures: dict[str, str]


class Shape(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Number of outputs K of every residual in this run."""

    outputs: int


class Ending(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Why the learning stage ended: `finished`, `stopped` by a person, or `failed`; no detail goes to peers."""

    reason: Literal["finished", "stopped", "failed"]


class Batch(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The number of a prediction batch, and why it was not answered, if it was not."""

    number: int
    refused: str = ""


@dataclass(frozen=True, slots=True)
class Hello:
    """Step 1, assistor to sponsor: nonce and study, before anything else."""

    KIND: ClassVar[str] = "hello"
    FIELDS: ClassVar[tuple[FieldSpec, ...]] = (FieldSpec("greeting", "public", "json", json_type=Greeting),)
    greeting: Greeting
    round: int = 0


@dataclass(frozen=True, slots=True)
class RunOffer:
    """Step 2, sponsor to assistor: all nonces, hence the run."""

    KIND: ClassVar[str] = "run-offer"
    FIELDS: ClassVar[tuple[FieldSpec, ...]] = (FieldSpec("nonces", "public", "json", json_type=Nonces),)
    nonces: Nonces
    round: int = 0


@dataclass(frozen=True, slots=True)
class RunSignature:
    """Step 3, assistor to sponsor: its signature over (study digest, run)."""

    KIND: ClassVar[str] = "run-signature"
    FIELDS: ClassVar[tuple[FieldSpec, ...]] = (FieldSpec("signatures", "public", "json", json_type=Signatures),)
    signatures: Signatures
    round: int = 0


@dataclass(frozen=True, slots=True)
class RunAgreement:
    """Step 4, sponsor to assistor: all M signatures; each receiver checks every one."""

    KIND: ClassVar[str] = "run-agreement"
    FIELDS: ClassVar[tuple[FieldSpec, ...]] = (FieldSpec("signatures", "public", "json", json_type=Signatures),)
    signatures: Signatures
    round: int = 0


@dataclass(frozen=True, slots=True)
class Ids:
    """Step 5, assistor to sponsor: the ids of its rows, in its own order (`ids = "clear"`)."""

    KIND: ClassVar[str] = "ids"
    FIELDS: ClassVar[tuple[FieldSpec, ...]] = (FieldSpec("ids", "clear", "json", json_type=tuple[str, ...]),)
    ids: tuple[str, ...]
    round: int = 0


@dataclass(frozen=True, slots=True)
class Rows:
    """Step 6, sponsor to assistor: positions (N,) in the id list it sent, in the study's row order.

    `train` (N,) is 1 for training rows and 0 for validation rows; it was drawn without looking at labels.
    """

    KIND: ClassVar[str] = "rows"
    FIELDS: ClassVar[tuple[FieldSpec, ...]] = (
        FieldSpec("positions", "clear", "<i8", 1),
        FieldSpec("train", "public", "|u1", 1),
        FieldSpec("shape", "public", "json", json_type=Shape),
    )
    positions: npt.NDArray[np.int64] = field(repr=False)
    train: npt.NDArray[np.uint8] = field(repr=False)
    shape: Shape
    round: int = 0


@dataclass(frozen=True, slots=True)
class Residual:
    """Step 7, sponsor to assistor: the pseudo-residual r^t of the training rows, float32 (N_train, K)."""

    KIND: ClassVar[str] = "residual"
    FIELDS: ClassVar[tuple[FieldSpec, ...]] = (FieldSpec("values", "clear", "<f4", 2),)
    values: npt.NDArray[np.float32] = field(repr=False)
    round: int


@dataclass(frozen=True, slots=True)
class Fitted:
    """Step 8, assistor to sponsor: fitted values f_m^t of all aligned rows, float32 (N, K)."""

    KIND: ClassVar[str] = "fitted"
    FIELDS: ClassVar[tuple[FieldSpec, ...]] = (FieldSpec("values", "clear", "<f4", 2),)
    values: npt.NDArray[np.float32] = field(repr=False)
    round: int


@dataclass(frozen=True, slots=True)
class Finish:
    """Step 10, sponsor to assistor: the learning stage is over.

    `coefficients` float64 (T_kept,) are eta^t * w_m^t of the kept rounds for this assistor alone; with them it
    answers a prediction with one collapsed value a row (clear studies only).
    """

    KIND: ClassVar[str] = "finish"
    FIELDS: ClassVar[tuple[FieldSpec, ...]] = (
        FieldSpec("coefficients", "clear", "<f8", 1),
        FieldSpec("ending", "public", "json", json_type=Ending),
    )
    coefficients: npt.NDArray[np.float64] = field(repr=False)
    ending: Ending
    round: int = 0


@dataclass(frozen=True, slots=True)
class Finished:
    """Step 11, assistor to sponsor: the end of the learning stage is on this party's disk."""

    KIND: ClassVar[str] = "finished"
    FIELDS: ClassVar[tuple[FieldSpec, ...]] = (FieldSpec("ending", "public", "json", json_type=Ending),)
    ending: Ending
    round: int = 0


@dataclass(frozen=True, slots=True)
class PredictRequest:
    """Step 12, sponsor to assistor: ids to be predicted."""

    KIND: ClassVar[str] = "predict-request"
    FIELDS: ClassVar[tuple[FieldSpec, ...]] = (
        FieldSpec("batch", "public", "json", json_type=Batch),
        FieldSpec("ids", "clear", "json", json_type=tuple[str, ...]),
    )
    batch: Batch
    ids: tuple[str, ...]
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


Message = (
    Hello | RunOffer | RunSignature | RunAgreement | Ids | Rows | Residual | Fitted
    | Finish | Finished | PredictRequest | PredictReply
)  # fmt: skip

MESSAGES: dict[str, type[Message]] = {
    kind.KIND: kind
    for kind in (
        Hello, RunOffer, RunSignature, RunAgreement, Ids, Rows, Residual, Fitted,
        Finish, Finished, PredictRequest, PredictReply,
    )
}  # fmt: skip
