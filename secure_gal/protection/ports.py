"""The seams of the protocol: how a residual leaves and is fitted, and how a fit comes back and becomes F.

A mode of protection is some of these six objects; the protocol knows the ports, never a mode. `secure_gal.protection`
puts together the ones that a study asks for.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol, cast

import numpy as np
import numpy.typing as npt

from secure_gal.effects import Effect
from secure_gal.errors import PeerViolation, StateError
from secure_gal.holdings.budget import Charge
from secure_gal.holdings.roles import Fit
from secure_gal.messages import (
    Batch,
    EncryptedPredictReply,
    KnownReply,
    Message,
    PartKey,
    PredictReply,
    SealedPart,
    SummedPart,
)
from secure_gal.protection.batch import Batched, Part
from secure_gal.protection.stages import AssistorStage, SponsorStage

Known = npt.NDArray[np.uint8]
Reply = PredictReply | EncryptedPredictReply | KnownReply | PartKey | SealedPart | SummedPart
"""What an assistor sends about a prediction batch."""


def as_values(fit: Fit) -> npt.NDArray[np.float32]:
    """The values of a fit or part that is not encrypted; StateError for ciphertexts, which no mode sends as values."""
    if fit.dtype != np.float32:
        raise StateError(f"a fit of {fit.dtype} where the study's modes agreed on values")
    return cast("npt.NDArray[np.float32]", fit)


def as_ciphertexts(fit: Fit) -> npt.NDArray[np.uint8]:
    """The bytes of a fit or part that is encrypted; StateError for values in the clear, which must not leave."""
    if fit.dtype != np.uint8:
        raise StateError(f"a fit of {fit.dtype} where the study's modes agreed on ciphertexts")
    return cast("npt.NDArray[np.uint8]", fit)


class ResidualPort(Protocol):
    """At the sponsor: how r^t leaves, and what an assistor is given to predict with."""

    hides_rounds: bool
    """Whether every agreed round is run, so that nobody learns when learning ended."""

    def send(self, stage: SponsorStage) -> list[Effect]:
        """r^t to every assistor, for the training rows that it holds."""
        ...

    def resume(self, stage: SponsorStage) -> list[Effect]:
        """What a crash interrupted of `send`: what was sent is in the outbox."""
        ...

    def conclude(self, stage: SponsorStage, *, one_unit: bool, by_round: frozenset[str]) -> list[Effect]:
        """Give every assistor what it needs for its part sum_t eta^t w_m^t f_m^t(x) of a prediction.

        Args:
            one_unit: parts are added before the sponsor sees them, so all must be in one unit.
            by_round: assistors that need the terms of the sum apart.
        """
        ...

    def concluding(self, stage: SponsorStage) -> bool:
        """Whether what `conclude` sends is still being made."""
        ...


class FittedPort(Protocol):
    """At the sponsor: how f_m^t comes back and becomes F."""

    declares: bool
    """Whether the phase `declaring` lies between alignment and the first round."""
    one_unit: bool
    """As in `ResidualPort.conclude`."""

    def by_round(self, stage: SponsorStage) -> frozenset[str]:
        """As in `ResidualPort.conclude`."""
        ...

    def set_up(self, stage: SponsorStage) -> list[Effect]:
        """Settle what the first round needs, which `stage.begin` begins."""
        ...

    def waiting_for(self, stage: SponsorStage) -> list[str]:
        """Whose message the phase `declaring`, or this round, still needs."""
        ...

    def receive(self, stage: SponsorStage, peer: str, message: Message) -> list[Effect]:
        """A message of the phases `declaring` and `learning`; PeerViolation, and the state is unchanged."""
        ...

    def ready(self, stage: SponsorStage) -> list[Effect]:
        """What follows once the sponsor's own fit is there: the round ends with `stage.committed`."""
        ...

    def resume(self, stage: SponsorStage) -> list[Effect]:
        """The jobs that a crash interrupted, in `declaring` or in a round, but for `ready`."""
        ...


class ResidualSide(Protocol):
    """At an assistor: how r^t arrives and is fitted, and what this party predicts with."""

    kinds: frozenset[str]
    """The messages that `receive` takes."""

    def prepared(self, stage: AssistorStage) -> list[Effect]:
        """The data are in memory again: the jobs that waited for them, but for a fit."""
        ...

    def receive(self, stage: AssistorStage, message: Message) -> list[Effect]:
        """A residual, or the end of the learning stage.

        Raises:
            PeerViolation: illegal now, or a content that breaks a rule; the state is unchanged.
            ConsentError: beyond a limit or a budget of this party's data; the state is unchanged.
        """
        ...

    def fit(self, stage: AssistorStage) -> Effect:
        """Fit the residual of this round, and `stage.leave`."""
        ...

    def answer(self, stage: AssistorStage, number: int, ids: tuple[str, ...]) -> Effect:
        """This party's part of a batch, and `stage.leave_part`."""
        ...

    def heads(self, stage: AssistorStage) -> int:
        """Models whose parts are added up under encryption in one answer."""
        ...


class FittedSide:
    """At an assistor: how fits and parts leave, and what they cost of what its data may give away.

    What has a body here is what most modes do: nothing beyond the protocol's common rules.
    """

    declares = False
    """Whether the phase `declaring` lies between the rows and the first round."""

    def check_rows(self, stage: AssistorStage, train: int, others: int) -> None:
        """Refuse rows over which the rounds would give away too much.

        Raises:
            SettingsError: the study alone would.
            ConsentError: it would with what the data has given away before.
        """

    def taken_rows(self, stage: AssistorStage, ids: Sequence[str]) -> None:
        """The study's rows are these ids, in this order."""

    def start(self, stage: AssistorStage) -> list[Effect]:
        """What a restart takes up besides the data and the answers."""
        return []

    def prepared(self, stage: AssistorStage) -> list[Effect]:
        """The data are in memory: declare, once, and take up keys."""
        raise NotImplementedError

    def receive(self, stage: AssistorStage, message: Message) -> list[Effect]:
        """A message that is no residual and no end; raises as `ResidualSide.receive`."""
        raise PeerViolation(stage.sponsor, f"{message.KIND} is not for an assistor of this study")

    def may_fit(self, stage: AssistorStage) -> bool:
        """Whether a residual need not wait."""
        return True

    def check_round(self, stage: AssistorStage, round_: int) -> None:
        """Refuse a residual out of turn; PeerViolation."""

    def spend_fit(self, stage: AssistorStage) -> None:
        """Count what a fit will give away, last before its residual is taken; ConsentError."""

    def check_end(self, stage: AssistorStage) -> None:
        """Refuse the end of the learning stage inside a round; PeerViolation."""

    def end_learning(self, stage: AssistorStage) -> None:
        """No fit will be asked for any more."""

    def leave(self, stage: AssistorStage, round_: int, fit: Fit, residual: npt.NDArray[Any]) -> list[Effect]:
        """What was fitted goes where the study agreed on."""
        raise NotImplementedError

    def check_batch(self, stage: AssistorStage, number: int, rows: int) -> None:
        """Refuse a batch out of turn; PeerViolation."""

    def price(self, stage: AssistorStage, rows: int, heads: int) -> list[Charge]:
        """What an answer gives away besides rows and queries."""
        return []

    def taken_batch(self, stage: AssistorStage, number: int, ids: tuple[str, ...]) -> list[Effect]:
        """A batch was counted, and is being answered."""
        return []

    def leave_part(
        self, stage: AssistorStage, number: int, ids: tuple[str, ...], known: Known, part: Fit
    ) -> list[Effect]:
        """A part of a prediction goes where the study agreed on."""
        raise NotImplementedError

    def no_part(self, stage: AssistorStage, batch: Batch) -> Message:
        """What tells the sponsor that, and why, it gets none."""
        raise NotImplementedError


class PartPort(Protocol):
    """At the sponsor: how the assistors' parts of one prediction batch are asked for and come back."""

    def begin(self, batch: Batched) -> list[Effect]:
        """Ask, where ids are clear."""
        ...

    def aligned(self, batch: Batched) -> list[Effect]:
        """Where ids are private: what is asked for now that more common ids may be known."""
        ...

    def resume(self, batch: Batched) -> list[Effect]:
        """Take up a batch of an earlier process: what was asked is in the outbox."""
        ...

    def waiting_for(self, batch: Batched) -> list[str]:
        """Who must say something next; nobody: the batch is complete."""
        ...

    def receive(self, batch: Batched, peer: str, message: Message) -> list[Effect]:
        """A reply to this batch; PeerViolation."""
        ...

    def parts(self, batch: Batched) -> dict[str, Part]:
        """By assistor, of a complete batch; what is known as a sum alone stands at one of them."""
        ...
