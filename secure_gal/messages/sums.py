"""What travels where the sponsor sees sums only (`predictions = "sum"`)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

import msgspec
import numpy as np
import numpy.typing as npt

from secure_gal.messages.encrypted import Held
from secure_gal.messages.fields import CIPHERTEXTS, SEALED, FieldSpec
from secure_gal.messages.kinds import DOWN, FROM_AGGREGATOR, RELAYED, TO_AGGREGATOR, UP, Message, message
from secure_gal.messages.prediction import Batch


class Declaration(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What an assistor says before the first round of a study with `predictions = "sum"`, signed by itself.

    `padded` is P of its encrypted head, 0 where it fits in the clear; `width` the exact number of its features, which
    the limit on sums needs. `fresh`: its map, and so its encrypted head, is another one in every round. The aggregator
    adds its sealing key for fits (hex) and its signature over it.
    """

    padded: int
    width: int
    signature: str
    sealing_key: str = ""
    sealing_signature: str = ""
    fresh: bool = False


class Author(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Who sealed what is relayed here."""

    name: str


@message("declared", step="6a", phase="Assistance rounds", route=UP, setting='predictions = "sum"')
@dataclass(frozen=True, slots=True)
class Declared(Message):
    """Padded width, number of features, whether its map is fresh every round; signed. The aggregator adds its signed
    sealing key for fits. For the sponsor alone: the digest of keys that an earlier run of this study left here."""

    FIELDS: ClassVar[tuple[FieldSpec, ...]] = (
        FieldSpec("declaration", "public", "json", json_type=Declaration),
        FieldSpec("held", "public", "json", json_type=Held),
    )
    declaration: Declaration
    held: Held = field(default_factory=Held)
    round: int = 0


@message("declarations", step="6b", phase="Assistance rounds", route=DOWN, setting='predictions = "sum"')
@dataclass(frozen=True, slots=True)
class Declarations(Message):
    """All of them by name; each assistor checks signatures, and T*K against all widths and its own."""

    FIELDS: ClassVar[tuple[FieldSpec, ...]] = (
        FieldSpec("declarations", "public", "json", json_type=dict[str, Declaration]),
    )
    declarations: dict[str, Declaration]
    round: int = 0


@message("sealed-fitted", step="8a", phase="Assistance rounds", route=UP, setting='predictions = "sum"')
@dataclass(frozen=True, slots=True)
class SealedFitted(Message):
    """Enc(f_m^t) of all rows, sealed to the aggregator."""

    FIELDS: ClassVar[tuple[FieldSpec, ...]] = (FieldSpec("sealed", "sealed", "|u1", 1, bounds=SEALED),)
    sealed: npt.NDArray[np.uint8] = field(repr=False)
    round: int


@message("relayed-fitted", step="8b", phase="Assistance rounds", route=TO_AGGREGATOR, setting='predictions = "sum"')
@dataclass(frozen=True, slots=True)
class RelayedFitted(Message):
    """The same bytes, with their author."""

    FIELDS: ClassVar[tuple[FieldSpec, ...]] = (
        FieldSpec("author", "public", "json", json_type=Author),
        FieldSpec("sealed", "sealed", "|u1", 1, bounds=SEALED),
    )
    author: Author
    sealed: npt.NDArray[np.uint8] = field(repr=False)
    round: int


@message("own-difference", step="8c", phase="Assistance rounds", route=TO_AGGREGATOR, setting='predictions = "sum"')
@dataclass(frozen=True, slots=True)
class OwnDifference(Message):
    """Enc(f_1^t - r^t) of the training rows; no ciphertexts without features."""

    FIELDS: ClassVar[tuple[FieldSpec, ...]] = (FieldSpec("ciphertexts", "ckks", "|u1", 2, bounds=CIPHERTEXTS),)
    ciphertexts: npt.NDArray[np.uint8] = field(repr=False)
    round: int


@message("inner-products", step="8d", phase="Assistance rounds", route=FROM_AGGREGATOR, setting='predictions = "sum"')
@dataclass(frozen=True, slots=True)
class InnerProducts(Message):
    """The inner products of the differences f_m^t - r^t over all training rows, flooded; uint8 (J, b)."""

    FIELDS: ClassVar[tuple[FieldSpec, ...]] = (FieldSpec("ciphertexts", "ckks", "|u1", 2, bounds=CIPHERTEXTS),)
    ciphertexts: npt.NDArray[np.uint8] = field(repr=False)
    round: int


@message("weights", step="8e", phase="Assistance rounds", route=TO_AGGREGATOR, setting='predictions = "sum"')
@dataclass(frozen=True, slots=True)
class Weights(Message):
    """w_m^t of the assistors in the study's order, float64 (A,)."""

    FIELDS: ClassVar[tuple[FieldSpec, ...]] = (FieldSpec("weights", "clear", "<f8", 1),)
    weights: npt.NDArray[np.float64] = field(repr=False)
    round: int


@message("weighted-sum", step="8f", phase="Assistance rounds", route=FROM_AGGREGATOR, setting='predictions = "sum"')
@dataclass(frozen=True, slots=True)
class WeightedSum(Message):
    """Enc(sum_m w_m^t f_m^t) over all assistors, all rows, flooded; uint8 (C, b)."""

    FIELDS: ClassVar[tuple[FieldSpec, ...]] = (FieldSpec("ciphertexts", "ckks", "|u1", 2, bounds=CIPHERTEXTS),)
    ciphertexts: npt.NDArray[np.uint8] = field(repr=False)
    round: int


@message("known-request", step="12a", phase="Prediction", route=DOWN, setting='predictions = "sum"')
@dataclass(frozen=True, slots=True)
class KnownRequest(Message):
    """With `ids = "clear"`: which of these ids do you know? (`"psi"`: its alignment tells)"""

    FIELDS: ClassVar[tuple[FieldSpec, ...]] = (
        FieldSpec("batch", "public", "json", json_type=Batch),
        FieldSpec("ids", "clear", "json", json_type=tuple[str, ...], many_ids=True),
    )
    batch: Batch
    ids: tuple[str, ...] = field(repr=False)
    round: int = 0


@message("known-reply", step="12b", phase="Prediction", route=UP, setting='predictions = "sum"')
@dataclass(frozen=True, slots=True)
class KnownReply(Message):
    """1 for each id that it knows, uint8 (n,)."""

    FIELDS: ClassVar[tuple[FieldSpec, ...]] = (
        FieldSpec("batch", "public", "json", json_type=Batch),
        FieldSpec("known", "clear", "|u1", 1),
    )
    batch: Batch
    known: npt.NDArray[np.uint8] = field(repr=False)
    round: int = 0


class Announcement(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A sealing key of the aggregator's and its signature over it, both hex."""

    key: str
    signature: str


@message("part-key", step="12c", phase="Prediction", route=RELAYED, setting='predictions = "sum"')
@dataclass(frozen=True, slots=True)
class PartKey(Message):
    """The sealing key for the parts of this batch, signed; step 12 to the other assistors follows."""

    FIELDS: ClassVar[tuple[FieldSpec, ...]] = (
        FieldSpec("batch", "public", "json", json_type=Batch),
        FieldSpec("announcement", "public", "json", json_type=Announcement),
    )
    batch: Batch
    announcement: Announcement
    round: int = 0


@message("sealed-part", step="13a", phase="Prediction", route=UP, setting='predictions = "sum"')
@dataclass(frozen=True, slots=True)
class SealedPart(Message):
    """Enc(part of each row that all assistors know), sealed to the aggregator; or a refusal."""

    FIELDS: ClassVar[tuple[FieldSpec, ...]] = (
        FieldSpec("batch", "public", "json", json_type=Batch),
        FieldSpec("sealed", "sealed", "|u1", 1, bounds=SEALED),
    )
    batch: Batch
    sealed: npt.NDArray[np.uint8] = field(repr=False)
    round: int = 0


@message("relayed-part", step="13b", phase="Prediction", route=TO_AGGREGATOR, setting='predictions = "sum"')
@dataclass(frozen=True, slots=True)
class RelayedPart(Message):
    """The same bytes, with their author."""

    FIELDS: ClassVar[tuple[FieldSpec, ...]] = (
        FieldSpec("batch", "public", "json", json_type=Batch),
        FieldSpec("author", "public", "json", json_type=Author),
        FieldSpec("sealed", "sealed", "|u1", 1, bounds=SEALED),
    )
    batch: Batch
    author: Author
    sealed: npt.NDArray[np.uint8] = field(repr=False)
    round: int = 0


@message("summed-part", step="13c", phase="Prediction", route=FROM_AGGREGATOR, setting='predictions = "sum"')
@dataclass(frozen=True, slots=True)
class SummedPart(Message):
    """Enc(sum of all parts) of the batch, flooded, never for fewer than all assistors; uint8 (C, b)."""

    FIELDS: ClassVar[tuple[FieldSpec, ...]] = (
        FieldSpec("batch", "public", "json", json_type=Batch),
        FieldSpec("ciphertexts", "ckks", "|u1", 2, bounds=CIPHERTEXTS),
    )
    batch: Batch
    ciphertexts: npt.NDArray[np.uint8] = field(repr=False)
    round: int = 0
