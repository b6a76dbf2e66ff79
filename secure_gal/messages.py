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

from crypto.certificate import Certificate, LogHead

Protection = Literal["public", "clear", "privatised", "noised", "ckks", "sealed", "psi"]
"""`public`: says nothing about any person. `clear`: data about persons, readable by the receiver.
`privatised`: computed from labels that were released once through the study's privacy mechanism.
`noised`: clear values with the study's noise; no epsilon is claimed.
`ckks`: ciphertexts under the sponsor's key, of the parameter set that the study names.
`sealed`: ciphertexts of the class `ckks`, sealed end to end to the aggregator.
`psi`: ids masked by a secret scalar of this run."""

MAX_ROWS = 16_777_216
"""Rows a study may align (2^24): bounds every tensor before it is allocated."""
MAX_OUTPUTS = 1024
"""Outputs K a study may have: bounds the width of residuals and fitted values."""
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
    json_type: Any = None
    bounds: tuple[str, ...] = ("rows", "outputs")
    """Which of the receiver's limits (`transport.wire.Limits`) bounds each dimension of a tensor."""
    many_ids: bool = False
    """A structured field that lists ids: it may be as long as a study has rows; every other one is small."""


CIPHERTEXTS = ("ciphertexts", "ciphertext_bytes")
SEALED = ("sealed_bytes",)
MASKED = ("rows", "masked_bytes")


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


class Width(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The padded number of features P of an encrypted head: a power of two, so that only its size class shows."""

    padded: int


class Declaration(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What an assistor says before the first round of a study with `predictions = "sum"`, signed by itself.

    `padded` is P of its encrypted head, 0 where it fits in the clear; `width` the exact number of its features, which
    the limit on sums needs. The aggregator adds its sealing key (hex) and its signature over it.
    """

    padded: int
    width: int
    signature: str
    sealing_key: str = ""
    sealing_signature: str = ""


class Author(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Who sealed what is relayed here."""

    name: str


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
    FIELDS: ClassVar[tuple[FieldSpec, ...]] = (
        FieldSpec("ids", "clear", "json", json_type=tuple[str, ...], many_ids=True),
    )
    ids: tuple[str, ...] = field(repr=False)
    round: int = 0


class Step(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which private alignment a message belongs to.

    `batch` is 0 for the learning stage, else a prediction batch. `attempt` counts the assistor's fresh scalars over all
    of them; 0 where the sponsor asks for one.
    """

    batch: int
    attempt: int


IN_THE_CLEAR = Step(0, 0)
"""The step of rows that were aligned in the clear."""


@dataclass(frozen=True, slots=True)
class Realign:
    """Step 5a (`ids = "psi"`), sponsor to assistor: begin a private alignment, or begin it anew."""

    KIND: ClassVar[str] = "realign"
    FIELDS: ClassVar[tuple[FieldSpec, ...]] = (FieldSpec("step", "public", "json", json_type=Step),)
    step: Step
    round: int = 0


@dataclass(frozen=True, slots=True)
class MaskedIds:
    """Step 5b, assistor to sponsor: its ids masked by its scalar, in a secret order; uint8 (N_m, 32)."""

    KIND: ClassVar[str] = "masked-ids"
    FIELDS: ClassVar[tuple[FieldSpec, ...]] = (
        FieldSpec("points", "psi", "|u1", 2, bounds=MASKED),
        FieldSpec("step", "public", "json", json_type=Step),
    )
    points: npt.NDArray[np.uint8] = field(repr=False)
    step: Step
    round: int = 0


@dataclass(frozen=True, slots=True)
class MaskedQuery:
    """Step 5c, sponsor to assistor: the sponsor's ids masked by its scalar, in a secret order; uint8 (N_1, 32)."""

    KIND: ClassVar[str] = "masked-query"
    FIELDS: ClassVar[tuple[FieldSpec, ...]] = (
        FieldSpec("points", "psi", "|u1", 2, bounds=MASKED),
        FieldSpec("step", "public", "json", json_type=Step),
    )
    points: npt.NDArray[np.uint8] = field(repr=False)
    step: Step
    round: int = 0


@dataclass(frozen=True, slots=True)
class Tags:
    """Step 5d, assistor to sponsor: short tags of the doubly masked query, in its order; uint8 (N_1, b)."""

    KIND: ClassVar[str] = "tags"
    FIELDS: ClassVar[tuple[FieldSpec, ...]] = (
        FieldSpec("tags", "psi", "|u1", 2, bounds=MASKED),
        FieldSpec("step", "public", "json", json_type=Step),
    )
    tags: npt.NDArray[np.uint8] = field(repr=False)
    step: Step
    round: int = 0


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
class Rows:
    """Step 6, sponsor to assistor: positions (N,) in the id list it sent (masked or not), in the study's row order.

    `train` (N,) is 1 for training rows and 0 for validation rows; it was drawn without looking at labels.
    """

    KIND: ClassVar[str] = "rows"
    FIELDS: ClassVar[tuple[FieldSpec, ...]] = (
        FieldSpec("positions", "clear", "<u4", 1),
        FieldSpec("train", "public", "|u1", 1),
        FieldSpec("shape", "public", "json", json_type=Shape),
        FieldSpec("step", "public", "json", json_type=Step),
    )
    positions: npt.NDArray[np.uint32] = field(repr=False)
    train: npt.NDArray[np.uint8] = field(repr=False)
    shape: Shape
    step: Step = IN_THE_CLEAR
    round: int = 0


@dataclass(frozen=True, slots=True)
class Residual:
    """Step 7, sponsor to assistor: the pseudo-residual r^t of the training rows, float32 (N_train, K)."""

    KIND: ClassVar[str] = "residual"
    FIELDS: ClassVar[tuple[FieldSpec, ...]] = (FieldSpec("values", "clear", "<f4", 2),)
    values: npt.NDArray[np.float32] = field(repr=False)
    round: int


@dataclass(frozen=True, slots=True)
class PrivatisedResidual(Residual):
    """Step 7 under `residuals = "dp"` or `"ip"`: a residual that saw released labels only."""

    KIND: ClassVar[str] = "privatised-residual"
    FIELDS: ClassVar[tuple[FieldSpec, ...]] = (FieldSpec("values", "privatised", "<f4", 2),)


@dataclass(frozen=True, slots=True)
class Fitted:
    """Step 8, assistor to sponsor: fitted values f_m^t of all aligned rows, float32 (N, K)."""

    KIND: ClassVar[str] = "fitted"
    FIELDS: ClassVar[tuple[FieldSpec, ...]] = (FieldSpec("values", "clear", "<f4", 2),)
    values: npt.NDArray[np.float32] = field(repr=False)
    round: int


@dataclass(frozen=True, slots=True)
class NoisedFitted(Fitted):
    """Step 8 under `predictions = "noise"`: clipped fitted values with Gaussian noise."""

    KIND: ClassVar[str] = "noised-fitted"
    FIELDS: ClassVar[tuple[FieldSpec, ...]] = (FieldSpec("values", "noised", "<f4", 2),)


@dataclass(frozen=True, slots=True)
class HeadRequest:
    """Step 9a, sponsor to assistor: a round is committed; give your ledger's head."""

    KIND: ClassVar[str] = "head-request"
    FIELDS: ClassVar[tuple[FieldSpec, ...]] = ()
    round: int


@dataclass(frozen=True, slots=True)
class LedgerHead:
    """Step 9b, assistor to sponsor: its ledger's head."""

    KIND: ClassVar[str] = "ledger-head"
    FIELDS: ClassVar[tuple[FieldSpec, ...]] = (FieldSpec("head", "public", "json", json_type=LogHead),)
    head: LogHead
    round: int


@dataclass(frozen=True, slots=True)
class LedgerHeads:
    """Step 9c, sponsor to assistor: every party's head by name, to be signed."""

    KIND: ClassVar[str] = "ledger-heads"
    FIELDS: ClassVar[tuple[FieldSpec, ...]] = (FieldSpec("heads", "public", "json", json_type=dict[str, LogHead]),)
    heads: dict[str, LogHead]
    round: int


@dataclass(frozen=True, slots=True)
class HeadsSignature:
    """Step 9d, assistor to sponsor: its signature (hex) over all heads."""

    KIND: ClassVar[str] = "heads-signature"
    FIELDS: ClassVar[tuple[FieldSpec, ...]] = (FieldSpec("signature", "public", "json", json_type=str),)
    signature: str
    round: int


@dataclass(frozen=True, slots=True)
class LedgerCertificate:
    """Step 9e, sponsor to assistor: the certificate of a round, signed by every party."""

    KIND: ClassVar[str] = "ledger-certificate"
    FIELDS: ClassVar[tuple[FieldSpec, ...]] = (FieldSpec("certificate", "public", "json", json_type=Certificate),)
    certificate: Certificate
    round: int


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
    many rounds were kept.
    """

    KIND: ClassVar[str] = "encrypted-finish"
    FIELDS: ClassVar[tuple[FieldSpec, ...]] = (
        FieldSpec("ciphertexts", "ckks", "|u1", 2, bounds=CIPHERTEXTS),
        FieldSpec("ending", "public", "json", json_type=Ending),
    )
    ciphertexts: npt.NDArray[np.uint8] = field(repr=False)
    ending: Ending
    round: int = 0


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
    """Step 8f, aggregator to sponsor: Enc(sum of w_m^t f_m^t over the assistors), all rows; uint8 (C K, b)."""

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
    """Step 13c, aggregator to sponsor: Enc(sum of all assistors' parts) of the batch; uint8 (C K, b)."""

    KIND: ClassVar[str] = "summed-part"
    FIELDS: ClassVar[tuple[FieldSpec, ...]] = (
        FieldSpec("batch", "public", "json", json_type=Batch),
        FieldSpec("ciphertexts", "ckks", "|u1", 2, bounds=CIPHERTEXTS),
    )
    batch: Batch
    ciphertexts: npt.NDArray[np.uint8] = field(repr=False)
    round: int = 0


Message = (
    Hello | RunOffer | RunSignature | RunAgreement | Ids | Realign | MaskedIds | MaskedQuery | Tags | PredictRows
    | Rows | Residual | PrivatisedResidual | Fitted | NoisedFitted
    | Features | EvaluationKeys | EncryptedResidual | EncryptedFitted | EncryptedFinish | EncryptedPredictReply
    | HeadRequest | LedgerHead | LedgerHeads | HeadsSignature | LedgerCertificate
    | Finish | Finished | PredictRequest | PredictReply | NoisedPredictReply
    | Declared | Declarations | ProductKeys | SealedFitted | RelayedFitted | OwnDifference | InnerProducts | Weights
    | WeightedSum | KnownRequest | KnownReply | SealedPart | RelayedPart | SummedPart
)  # fmt: skip

MESSAGES: dict[str, type[Message]] = {
    kind.KIND: kind
    for kind in (
        Hello, RunOffer, RunSignature, RunAgreement, Ids, Realign, MaskedIds, MaskedQuery, Tags, PredictRows,
        Rows, Residual, PrivatisedResidual, Fitted, NoisedFitted,
        Features, EvaluationKeys, EncryptedResidual, EncryptedFitted, EncryptedFinish, EncryptedPredictReply,
        HeadRequest, LedgerHead, LedgerHeads, HeadsSignature, LedgerCertificate,
        Finish, Finished, PredictRequest, PredictReply, NoisedPredictReply,
        Declared, Declarations, ProductKeys, SealedFitted, RelayedFitted, OwnDifference, InnerProducts, Weights,
        WeightedSum, KnownRequest, KnownReply, SealedPart, RelayedPart, SummedPart,
    )
}  # fmt: skip
