"""What travels where the sponsor sees sums only (`predictions = "sum"`)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

import msgspec
import numpy as np
import numpy.typing as npt

from secure_gal.messages.fields import CIPHERTEXTS, SEALED, FieldSpec
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


@dataclass(frozen=True, slots=True)
class Declared:
    """Step 6a under `predictions = "sum"`, assistor to sponsor: width, and the aggregator's sealing key."""

    KIND: ClassVar[str] = "declared"
    FIELDS: ClassVar[tuple[FieldSpec, ...]] = (FieldSpec("declaration", "public", "json", json_type=Declaration),)
    declaration: Declaration
    round: int = 0


@dataclass(frozen=True, slots=True)
class Declarations:
    """Step 6b under `predictions = "sum"`, sponsor to assistor: every assistor's declaration by name."""

    KIND: ClassVar[str] = "declarations"
    FIELDS: ClassVar[tuple[FieldSpec, ...]] = (
        FieldSpec("declarations", "public", "json", json_type=dict[str, Declaration]),
    )
    declarations: dict[str, Declaration]
    round: int = 0


@dataclass(frozen=True, slots=True)
class ProductKeys:
    """Step 6c under `predictions = "sum"`, sponsor to aggregator: public, relinearisation and conjugation key."""

    KIND: ClassVar[str] = "product-keys"
    FIELDS: ClassVar[tuple[FieldSpec, ...]] = (FieldSpec("keys", "public", "|u1", 1, bounds=("key_bytes",)),)
    keys: npt.NDArray[np.uint8] = field(repr=False)
    round: int = 0


@dataclass(frozen=True, slots=True)
class SealedFitted:
    """Step 8a, assistor to sponsor: Enc(f_m^t) of all rows, sealed to the aggregator."""

    KIND: ClassVar[str] = "sealed-fitted"
    FIELDS: ClassVar[tuple[FieldSpec, ...]] = (FieldSpec("sealed", "sealed", "|u1", 1, bounds=SEALED),)
    sealed: npt.NDArray[np.uint8] = field(repr=False)
    round: int


@dataclass(frozen=True, slots=True)
class RelayedFitted:
    """Step 8b, sponsor to aggregator: the same bytes, and who sealed them."""

    KIND: ClassVar[str] = "relayed-fitted"
    FIELDS: ClassVar[tuple[FieldSpec, ...]] = (
        FieldSpec("author", "public", "json", json_type=Author),
        FieldSpec("sealed", "sealed", "|u1", 1, bounds=SEALED),
    )
    author: Author
    sealed: npt.NDArray[np.uint8] = field(repr=False)
    round: int


@dataclass(frozen=True, slots=True)
class OwnDifference:
    """Step 8c, sponsor to aggregator: Enc(f_1^t - r^t) of the training rows; no ciphertexts without features."""

    KIND: ClassVar[str] = "own-difference"
    FIELDS: ClassVar[tuple[FieldSpec, ...]] = (FieldSpec("ciphertexts", "ckks", "|u1", 2, bounds=CIPHERTEXTS),)
    ciphertexts: npt.NDArray[np.uint8] = field(repr=False)
    round: int


@dataclass(frozen=True, slots=True)
class InnerProducts:
    """Step 8d, aggregator to sponsor: the encrypted inner products of the differences f_m^t - r^t; uint8 (J, b)."""

    KIND: ClassVar[str] = "inner-products"
    FIELDS: ClassVar[tuple[FieldSpec, ...]] = (FieldSpec("ciphertexts", "ckks", "|u1", 2, bounds=CIPHERTEXTS),)
    ciphertexts: npt.NDArray[np.uint8] = field(repr=False)
    round: int


@dataclass(frozen=True, slots=True)
class Weights:
    """Step 8e, sponsor to aggregator: w_m^t of the assistors in the study's order, float64 (A,)."""

    KIND: ClassVar[str] = "weights"
    FIELDS: ClassVar[tuple[FieldSpec, ...]] = (FieldSpec("weights", "clear", "<f8", 1),)
    weights: npt.NDArray[np.float64] = field(repr=False)
    round: int


@dataclass(frozen=True, slots=True)
class WeightedSum:
    """Step 8f, aggregator to sponsor: Enc(sum of w_m^t f_m^t over the assistors), all rows; uint8 (C, b)."""

    KIND: ClassVar[str] = "weighted-sum"
    FIELDS: ClassVar[tuple[FieldSpec, ...]] = (FieldSpec("ciphertexts", "ckks", "|u1", 2, bounds=CIPHERTEXTS),)
    ciphertexts: npt.NDArray[np.uint8] = field(repr=False)
    round: int


@dataclass(frozen=True, slots=True)
class KnownRequest:
    """Step 12a under `predictions = "sum"` and `ids = "clear"`, sponsor to assistor: which of these ids do you know?"""

    KIND: ClassVar[str] = "known-request"
    FIELDS: ClassVar[tuple[FieldSpec, ...]] = (
        FieldSpec("batch", "public", "json", json_type=Batch),
        FieldSpec("ids", "clear", "json", json_type=tuple[str, ...], many_ids=True),
    )
    batch: Batch
    ids: tuple[str, ...] = field(repr=False)
    round: int = 0


@dataclass(frozen=True, slots=True)
class KnownReply:
    """Step 12b, assistor to sponsor: 1 for each id that it knows, uint8 (n,)."""

    KIND: ClassVar[str] = "known-reply"
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


@dataclass(frozen=True, slots=True)
class PartKey:
    """Step 12c, aggregator to sponsor and sponsor to the other assistors: what parts of this batch are sealed to."""

    KIND: ClassVar[str] = "part-key"
    FIELDS: ClassVar[tuple[FieldSpec, ...]] = (
        FieldSpec("batch", "public", "json", json_type=Batch),
        FieldSpec("announcement", "public", "json", json_type=Announcement),
    )
    batch: Batch
    announcement: Announcement
    round: int = 0


@dataclass(frozen=True, slots=True)
class SealedPart:
    """Step 13a, assistor to sponsor: Enc(its part) of the rows asked for, sealed to the aggregator; or a refusal."""

    KIND: ClassVar[str] = "sealed-part"
    FIELDS: ClassVar[tuple[FieldSpec, ...]] = (
        FieldSpec("batch", "public", "json", json_type=Batch),
        FieldSpec("sealed", "sealed", "|u1", 1, bounds=SEALED),
    )
    batch: Batch
    sealed: npt.NDArray[np.uint8] = field(repr=False)
    round: int = 0


@dataclass(frozen=True, slots=True)
class RelayedPart:
    """Step 13b, sponsor to aggregator: the same bytes, and who sealed them."""

    KIND: ClassVar[str] = "relayed-part"
    FIELDS: ClassVar[tuple[FieldSpec, ...]] = (
        FieldSpec("batch", "public", "json", json_type=Batch),
        FieldSpec("author", "public", "json", json_type=Author),
        FieldSpec("sealed", "sealed", "|u1", 1, bounds=SEALED),
    )
    batch: Batch
    author: Author
    sealed: npt.NDArray[np.uint8] = field(repr=False)
    round: int = 0


@dataclass(frozen=True, slots=True)
class SummedPart:
    """Step 13c, aggregator to sponsor: Enc(sum of all assistors' parts) of the batch; uint8 (C, b)."""

    KIND: ClassVar[str] = "summed-part"
    FIELDS: ClassVar[tuple[FieldSpec, ...]] = (
        FieldSpec("batch", "public", "json", json_type=Batch),
        FieldSpec("ciphertexts", "ckks", "|u1", 2, bounds=CIPHERTEXTS),
    )
    batch: Batch
    ciphertexts: npt.NDArray[np.uint8] = field(repr=False)
    round: int = 0
