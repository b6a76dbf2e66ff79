"""Settings: TOML literals in, one validated and frozen object out, or an error that names the field.

`study.toml` is the same for every party; each party has its own private party file beside it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Literal, TypeVar, assert_never

import msgspec

from secure_gal.settings import digest as study_digest
from secure_gal.settings.classes import outputs_of

MAX_SETTINGS_BYTES = 1 << 20
"""Bytes of a settings file; a real one has a few hundred."""
MAX_ASSISTORS = 64
MAX_ROUNDS = 1000
T = TypeVar("T")
IdForm = Literal["text", "lower", "digits"]
"""How ids are normalised before they are compared (`secure_gal.data.ids`)."""
Task = Literal["classification", "regression"]
LossName = Literal["cross_entropy", "l2", "l1", "huber", "quantile", "poisson", "gamma"]
"""Overarching losses, `auto` resolved."""
Weighting = Literal["fitted", "uniform", "paper"]
"""`fitted` and `uniform` weigh values that fits have not seen the rows for; `paper`, the paper's own rule, weighs
fitted values."""
WhichRows = Literal["common", "sponsor"]
RowWeights = Literal["equal", "sponsor"]
"""`sponsor`: the sponsor may weigh rows, and tells nobody how; residuals are then scaled by its weights."""


class Protect(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How the three private things of a study travel. Only modes that are built can be named."""

    ids: Literal["psi", "clear"] = "psi"
    residuals: Literal["none", "rounded", "ckks", "dp", "ip"] = "none"
    predictions: Literal["none", "noise", "sum"] = "none"
    parameters: Literal["standard", "strict"] = "standard"
    """The CKKS parameter set (`crypto.ckks.PARAMETER_SETS`); only used where something is encrypted."""

    epsilon: float | None = None
    """`dp`: label differential privacy of every row, for everything that follows."""
    classes: tuple[str | int, ...] | None = None
    """`dp`, classification: all classes; public, since taken from the labels they could depend on one."""
    label_range: tuple[float, float] | None = None
    """`dp` and `ip`, regression: public range of the target in its own unit."""
    noise: float | None = None
    """`noise`: standard deviation, in the unit of the residual (at most about 1 in size)."""
    clip: float = 1.0
    """`noise`: fitted values are clipped to [-clip, clip] first."""

    @property
    def privatised(self) -> bool:
        """Whether everything that others observe is computed from released labels."""
        match self.residuals:
            case "dp" | "ip":
                return True
            case "none" | "rounded" | "ckks":
                return False
            case _:
                assert_never(self.residuals)

    @property
    def encrypted(self) -> bool:
        """Whether residuals travel as ciphertexts."""
        match self.residuals:
            case "ckks":
                return True
            case "none" | "rounded" | "dp" | "ip":
                return False
            case _:
                assert_never(self.residuals)

    @property
    def summed(self) -> bool:
        """Whether the sponsor sees sums over assistors only."""
        match self.predictions:
            case "sum":
                return True
            case "none" | "noise":
                return False
            case _:
                assert_never(self.predictions)

    @property
    def keyed(self) -> bool:
        """Whether the sponsor decrypts anything under a CKKS key."""
        return self.encrypted or self.summed

    @property
    def parameter_set(self) -> str:
        """The CKKS parameter set in use: sums need a ring of their own depth."""
        return "sum" if self.summed else self.parameters


class Study(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The settings that every party must share, with defaults filled in."""

    name: str
    task: Task
    sponsor: str
    address: str
    assistors: tuple[str, ...]
    loss: Literal["auto", "cross_entropy", "l2", "l1", "huber", "quantile", "poisson", "gamma"] = "auto"
    outputs: int | None = None
    """K as the file gives it; `k` is what counts. Which classes there are, and in which order, stays with the
    sponsor."""
    rounds: int = 10
    weights: Weighting = "fitted"
    learning_rate: Literal["search"] | float = "search"
    validation: float = 0.0
    patience: int = 3
    patience_seconds: float = 600.0
    seed: int = 0
    rows: WhichRows = "common"
    id_form: IdForm = "text"
    max_ids: int = 2_000_000
    max_queries: int = 10_000_000
    aggregator: str = ""
    """`predictions = "sum"`: the assistor that adds up; the first one if the file names none."""
    leakage_threshold: float | None = None
    """`secure-gal leakage` fails where an attack gains more than this share (0 to 1) of what was left to learn."""
    protect: Protect = Protect()
    row_weights: RowWeights = "equal"
    quantile_level: float = 0.5
    """`loss = "quantile"`: the share of rows that should lie below what is predicted."""

    @property
    def parties(self) -> tuple[str, ...]:
        """All party names: the sponsor first, then the assistors as the file lists them."""
        return (self.sponsor, *self.assistors)

    @property
    def cross_fitted(self) -> bool:
        """Whether what is reported of a training row comes from fits without it (decision 0019)."""
        match self.weights:
            case "fitted" | "uniform":
                return True
            case "paper":
                return False
            case _:
                assert_never(self.weights)

    @property
    def local_loss(self) -> Literal["l1", "l2"]:
        """Of a party's fits where its file names none. The paper's rule takes l1 under l1; otherwise l2, since a
        residual of signs has a mean worth fitting, and a median that is one of them."""
        return "l1" if self.weights == "paper" and self.loss_name == "l1" else "l2"

    @property
    def fixed_share(self) -> bool:
        """Whether a party's values leave out the same share of a row's own residual in all rounds (decision 0019):
        told how much, it would learn when learning ends encrypted, and a loss of kinks has no curvature to tell by."""
        return self.protect.encrypted or self.loss_name in ("l1", "quantile")

    @property
    def partly_withheld(self) -> bool:
        """Whether every party is told how much of a row's own residual its values of later rounds leave out."""
        return self.cross_fitted and not self.fixed_share

    @property
    def keeps_back(self) -> bool:
        """Whether some training rows' residual is kept back from assistors, so that their fits can be held against it:
        where a ciphertext hides which, and the sponsor sees fits one by one."""
        return self.cross_fitted and self.protect.encrypted and not self.protect.summed

    @property
    def adder(self) -> str:
        """The aggregator of a study with `predictions = "sum"`, else empty."""
        return (self.aggregator or self.assistors[0]) if self.protect.summed else ""

    @property
    def form(self) -> IdForm | None:
        """How ids are normalised before they are compared; None keeps them verbatim (`ids = "clear"`)."""
        match self.protect.ids:
            case "psi":
                return self.id_form
            case "clear":
                return None
            case _:
                assert_never(self.protect.ids)

    @property
    def loss_name(self) -> LossName:
        """The overarching loss after `auto` is resolved by the task."""
        if self.loss != "auto":
            return self.loss
        match self.task:
            case "classification":
                return "cross_entropy"
            case "regression":
                return "l2"
            case _:
                assert_never(self.task)

    @property
    def k(self) -> int:
        """K, the number of outputs: the file's, else that of the public classes, else 1."""
        if self.outputs is not None:
            return self.outputs
        return outputs_of(len(self.protect.classes)) if self.protect.classes else 1

    def canonical(self, fingerprints: Mapping[str, str]) -> bytes:
        """The bytes that the study digest covers: everything but the address, and all card fingerprints."""
        body = study_digest.covered(self, study_digest.STUDY_FIELDS)
        del body["address"]
        body |= {"loss": self.loss_name, "outputs": self.k, "aggregator": self.adder, "version": study_digest.VERSION}
        body["protect"] = study_digest.covered(self.protect, study_digest.PROTECT_FIELDS)
        body["fingerprints"] = {name: fingerprints[name] for name in self.parties}
        return msgspec.json.encode(body, order="deterministic")

    def digest(self, fingerprints: Mapping[str, str]) -> str:
        """SHA-256 (64 hex digits) that every party computes offline from study.toml and its pinned cards."""
        return hashlib.sha256(study_digest.LABEL + self.canonical(fingerprints)).hexdigest()
