"""What a protocol object is given: who it is in which study, and the data and learner behind it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

import numpy as np
import numpy.typing as npt

from crypto.identity import Card, Identity
from secure_gal.holdings.kept_keys import KeptKeys, NothingKept
from secure_gal.settings.study import Study

if TYPE_CHECKING:
    from secure_gal.gal.ensemble import Ensemble
    from secure_gal.holdings.budget import Budget
    from secure_gal.measures.evaluation import Evaluation


@dataclass(frozen=True, slots=True)
class Context:
    """Everything fixed about this party in this study.

    `max_rows` is an assistor's own cap on predictions, `budget` counts what its data gives away; `beyond` are the
    limits that a person let this party go beyond (`secure_gal.settings.limits`), each with the number accepted instead;
    `kept_keys` are the sponsor's evaluation keys of an earlier run of this study.
    """

    study: Study
    digest: str
    canonical: bytes
    identity: Identity
    cards: dict[str, Card]
    max_rows: int | None = None
    beyond: Mapping[str, float] = field(default_factory=dict)
    budget: Budget | None = None
    kept_keys: KeptKeys = field(default_factory=NothingKept)


class SponsorHolding(Protocol):
    """The sponsor's data, label and learner behind the protocol; every method may take long."""

    @property
    def ids(self) -> tuple[str, ...]: ...
    @property
    def fits(self) -> bool:
        """Whether the sponsor has features of its own."""
        ...

    def prepare(self, rows: npt.NDArray[np.int64], train: npt.NDArray[np.bool_]) -> bytes:
        """Fit the encoder and the label's coding on the training rows; returns what predicting needs later."""
        ...

    def ensemble(self, parties: tuple[str, ...]) -> Ensemble:
        """A new ensemble at F^0 over these parties; only after `prepare`."""
        ...

    def fit_round(
        self, round_: int, residual: npt.NDArray[np.float32], withheld: float = 1.0
    ) -> tuple[bytes, npt.NDArray[np.float32]]:
        """Fit one local model: (saved model, fitted values float32 (N, K)); `withheld` as `LocalParty.fit_round`."""
        ...

    def metric_unit(self) -> float:
        """The target's standard deviation for regression, else 1."""
        ...

    def class_names(self) -> tuple[str, ...]:
        """The classes in the order of their codes; none for a regression."""
        ...

    def true_metric(self, outputs: npt.NDArray[np.float64]) -> float | None:
        """The metric of F (N, K) on true labels where the study learns from released ones; None elsewhere."""
        ...

    def alone(self) -> Ensemble:
        """M=1 GAL with the same learner and rounds, run to its end."""
        ...

    @property
    def own_libraries(self) -> tuple[str, ...]:
        """What must be imported, in this order, before `by_itself` may run beside other jobs: two threads that import
        one library at once may each find the other's half. None where there is nothing to do beside."""
        ...

    def by_itself(self) -> None:
        """Make what `evaluate` measures against, as far as it may be beside the rounds; only after the first fit."""
        ...

    def evaluate(self, made: Ensemble, alone: Ensemble) -> Evaluation | None:
        """What `made` is worth on true labels beside `alone`, for the sponsor's eyes; None without rows to judge
        by."""
        ...


Fit = npt.NDArray[np.float32] | npt.NDArray[np.uint8]
"""Values of n rows as they leave a holding: float32 (n, K), or ciphertexts, uint8. A mode's ports agree on which, and
the message that takes them checks it."""


class AssistorHolding(Protocol):
    """The assistor's data and what fits residuals to them; every method may take long.

    Of `clear`, `encrypted` and `keyed` there is what the study's protections ask for; StateError for the others.
    """

    @property
    def ids(self) -> Sequence[str]: ...
    def current_ids(self) -> Sequence[str]:
        """The ids in `[data] path` as it is on disk now."""
        ...

    def prepare(self, positions: npt.NDArray[np.int64], train: npt.NDArray[np.bool_]) -> bytes:
        """Fit the encoder on the training rows; returns what must be saved to predict later."""
        ...

    @property
    def clear(self) -> LocalFits:
        """Fits to residuals in the clear."""
        ...

    @property
    def encrypted(self) -> EncryptedFits:
        """Fits to residuals that are ciphertexts."""
        ...

    @property
    def keyed(self) -> Keyed:
        """What computes with keys that the sponsor sends."""
        ...


class LocalFits(Protocol):
    """One local model a round, of any kind."""

    def fit_round(self, round_: int, residual: npt.NDArray[np.float32], withheld: float = 1.0) -> tuple[bytes, Fit]:
        """Fit one local model: (saved model, fitted values (N, K)); `withheld` as `LocalParty.fit_round`."""
        ...

    def predict(
        self,
        ids: tuple[str, ...],
        encoder: bytes,
        models: list[bytes],
        coefficients: npt.NDArray[np.float64],
        k: int,
    ) -> tuple[npt.NDArray[np.uint8], Fit]:
        """(known (n,), part (n, K)) for new ids, from the data as it is on disk now."""
        ...


class Keyed(Protocol):
    """Whatever computes with the sponsor's evaluation keys, or encrypts under its public key."""

    @property
    def padded(self) -> int:
        """P, the padded width that keys are asked for; 0: a public key is enough. Only after `prepare`."""
        ...

    @property
    def width(self) -> int:
        """Columns by which a sum of fits hides this party's data; only after `prepare`."""
        ...

    @property
    def fresh(self) -> bool:
        """Whether every round has an encrypted head of its own."""
        ...

    def check_keys(self, raw: bytes, peer: str) -> None:
        """Refuse keys that nothing could be computed with; PeerViolation."""
        ...

    def use_keys(self, raw: bytes, peer: str) -> None:
        """Check the sponsor's keys and use them from now on; PeerViolation."""
        ...


class EncryptedFits(Protocol):
    """A ridge a round, on ciphertexts; what the peer sent wrong is a PeerViolation."""

    @property
    def fresh(self) -> bool:
        """As `Keyed.fresh`."""
        ...

    def encode(self) -> None:
        """Make what fits need besides keys, while these are on their way; only after `prepare`."""
        ...

    def fit(self, round_: int, ciphertexts: npt.NDArray[np.uint8], outputs: int, peer: str) -> npt.NDArray[np.uint8]:
        """Enc(f^t) of all rows, training rows first, from Enc(r^t) of the training rows; sanitised."""
        ...

    def head(self, ciphertexts: npt.NDArray[np.uint8], outputs: int, peer: str) -> bytes:
        """The encrypted head, for this party's own disk, from Enc(R_m); where `fresh`, from its terms."""
        ...

    def answer(
        self, ids: tuple[str, ...], encoder: bytes, keys: bytes, head: bytes, outputs: int, peer: str
    ) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]:
        """(known (n,), Enc(part)) for new ids, from the data as it is on disk now; sanitised."""
        ...
