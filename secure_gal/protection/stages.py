"""What the ports see of the protocol: rows, rounds and records, and how it goes on. One class for each place."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from secure_gal import events
from secure_gal.alignment_sponsor import PrivateAlignment
from secure_gal.assistance import Ensemble, RoundRecord
from secure_gal.budget import Account
from secure_gal.effects import Compute, Done, Effect
from secure_gal.errors import PeerViolation, StateError
from secure_gal.messages import Message
from secure_gal.phases import Phases
from secure_gal.roles import Context, SponsorModel
from secure_gal.state import ARRAY, MARK, MASK, NUMBER, RAW, REAL, TEXT, Entries, Entry, State, json_of
from secure_gal.study import Study

if TYPE_CHECKING:
    from secure_gal.protection.ports import FittedSide, ResidualSide

Mask = npt.NDArray[np.bool_]
Values = npt.NDArray[np.float64]


class SponsorStage:
    """The sponsor's learning stage.

    Args:
        begin: begins the first round.
        committed: goes on after a round.
    """

    def __init__(
        self,
        context: Context,
        model: SponsorModel,
        state: State,
        begin: Callable[[], list[Effect]],
        committed: Callable[[RoundRecord], list[Effect]],
    ) -> None:
        self.context, self.model, self.state, self.begin, self.committed = context, model, state, begin, committed
        self.ensemble_or_none: Ensemble | None = None
        self.phase = Entry(state, "phase", TEXT)
        self.run = Entry(state, "run", TEXT)
        self.coverage = Entries(state, "coverage/", ARRAY)
        self.residuals = Entries(state, "residual/", ARRAY, digits=4)
        self.scales = Entries(state, "scale/", REAL)
        self.units = Entries(state, "unit/", REAL, digits=4)
        """max|r^t| of each round, where fits travel in that unit."""
        self.keyed = Entries(state, "keyed/", MARK)
        """The assistors that were sent keys."""
        self.own = Entry(state, "own", ARRAY)
        self._train = Entry(state, "train", MASK)

    @property
    def study(self) -> Study:
        """Its settings."""
        return self.context.study

    @property
    def assistors(self) -> tuple[str, ...]:
        """In the study's order."""
        return self.study.assistors

    @property
    def ensemble(self) -> Ensemble:
        """F and its history; StateError before the data are prepared."""
        if self.ensemble_or_none is None:
            raise StateError("the ensemble is used before it is prepared")
        return self.ensemble_or_none

    @property
    def round(self) -> int:
        """The assistance round in progress, from 1."""
        return len(self.ensemble.history) + 1

    @property
    def learners(self) -> tuple[str, ...]:
        """The parties that fit: all, or the assistors alone when the sponsor has no features."""
        return self.study.parties if self.model.fits else self.assistors

    @property
    def train(self) -> Mask:
        """Which of the study's rows train, (N,)."""
        return self._train.get()

    def train_of(self, peer: str) -> Mask:
        """Which of an assistor's rows train, (N_m,)."""
        train: Mask = self.train[self.coverage[peer]]
        return train

    def held(self, peer: str) -> Mask:
        """Which training rows this assistor holds, (N_train,)."""
        train = self.train
        held = np.zeros(len(train), dtype=np.bool_)
        held[self.coverage[peer]] = True
        return held[train]

    def over_all_rows(self, peer: str, values: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Fitted values (N, K), 0 for the rows that this assistor does not hold."""
        fitted = np.zeros(self.ensemble.F.shape, dtype=np.float32)
        fitted[self.coverage[peer]] = values
        return fitted

    def check_round(self, peer: str, message: Message) -> None:
        """Refuse an answer to a residual that was not sent, or not in this round; PeerViolation."""
        asked = self.ensemble_or_none is not None and self.round in self.residuals
        if not asked or message.round != self.round:
            raise PeerViolation(peer, f"{message.KIND} of round {message.round}, which was not asked for")

    @property
    def own_fit_due(self) -> bool:
        """Whether the sponsor's own fit of this round is not there yet."""
        return self.model.fits and not self.own.there

    def save(self) -> None:
        """Keep F and its history; and for the sponsor's results the metric on true labels, which decides nothing."""
        for key, value in self.ensemble.state().items():
            Entry(self.state, f"ensemble/{key}", ARRAY).set(value)
        true = self.model.true_metric(self.ensemble.F)
        if true is not None:
            Entries(self.state, "true-metric/", REAL, digits=4)[len(self.ensemble.history)] = true


class AssistorStage:
    """An assistor's learning and serving, between the ports that a study has."""

    def __init__(
        self,
        context: Context,
        model: Any,
        state: State,
        phases: Phases,
        residuals: ResidualSide,
        fits: FittedSide,
    ) -> None:
        self.context, self.model, self.state, self.phases = context, model, state, phases
        self.residuals, self.fits = residuals, fits
        self._run = Entry(state, "run", TEXT)
        self.account = Account(context, lambda: self.run)
        self.encoder = Entry(state, "encoder", RAW)
        self.prepared = Entry(state, "prepared", MARK)
        self.positions = Entry(state, "positions", ARRAY)
        self._train = Entry(state, "train", MASK)
        self.residual = Entry(state, "residual", ARRAY)
        self._round = Entry(state, "round", NUMBER)
        self.models = Entries(state, "model/", RAW, digits=4)
        self.requests = Entries(state, "request/", json_of(tuple[str, ...]))

    @property
    def study(self) -> Study:
        """Its settings."""
        return self.context.study

    @property
    def name(self) -> str:
        """This party's."""
        return self.context.identity.card.name

    @property
    def sponsor(self) -> str:
        """The only peer an assistor has."""
        return self.study.sponsor

    @property
    def run(self) -> str:
        """The agreed run, or empty before the agreement."""
        return self._run.get_or("")

    @property
    def outputs(self) -> int:
        """K."""
        return self.study.k

    @property
    def train(self) -> Mask:
        """Which of this party's rows train, (N_m,)."""
        return self._train.get()

    @property
    def rounds(self) -> int:
        """Rounds this party has fitted so far."""
        return self._round.get_or(0)

    def enter(self, phase: str) -> None:
        """Go on to a phase; with the first after learning, what only learning needs is erased."""
        self.phases.enter(phase)
        if phase in ("concluding", "serving"):
            self.fits.end_learning(self)

    def check_round(self, round_: int) -> None:
        """Refuse a residual out of turn; PeerViolation."""
        if round_ != self.rounds + 1 or self.residual.there:
            raise PeerViolation(self.sponsor, f"residual of round {round_} after round {self.rounds}")
        if round_ > self.study.rounds:
            raise PeerViolation(self.sponsor, f"a residual beyond the study's {self.study.rounds} rounds")
        self.fits.check_round(self, round_)

    def take_residual(self, residual: npt.NDArray[Any]) -> list[Effect]:
        """Keep a residual that was checked, and fit it as soon as may be; ConsentError if it may not be."""
        self.fits.spend_fit(self)
        self.residual.set(residual)
        return self.fit_if_due()

    def fit_if_due(self) -> list[Effect]:
        """Fit a residual that waits, once nothing else is waited for."""
        due = self.residual.there and self.prepared.there and self.fits.may_fit(self)
        return [self.residuals.fit(self)] if due else []

    def leave(self, round_: int, fit: Any) -> list[Effect]:
        """A fit of this round goes on its way."""
        residual = self.residual.get()
        self._round.set(round_)
        self.residual.drop()
        return [events.RoundFitted(round_), *self.fits.leave(self, round_, fit, residual)]

    def check_end(self) -> None:
        """Refuse the end of the learning stage inside a round; PeerViolation."""
        if self.residual.there:
            raise PeerViolation(self.sponsor, "the learning stage cannot end inside a round")
        self.fits.check_end(self)

    def answer(self, number: int) -> Compute[Any]:
        """Compute what was asked for in a batch."""
        return self.residuals.answer(self, number, self.requests[number])

    def leave_part(self, number: int, known: npt.NDArray[np.uint8], part: Any) -> list[Effect]:
        """A part of a batch goes on its way."""
        ids = self.requests[number]
        self.requests.drop(number)
        return self.fits.leave_part(self, number, ids, known, part)


@dataclass(frozen=True, slots=True)
class Part:
    """One assistor's part of a batch: known (n,) 0/1, and values float64 (n, K), 0 for unknown ids."""

    known: npt.NDArray[np.uint8] = field(repr=False)
    values: npt.NDArray[np.float64] = field(repr=False)


class Batched:
    """The sponsor's open prediction batch.

    Attributes:
        number: of the batch; ids: n of them; outputs: K.
        pairs: their private alignment, where ids are private.
        asked: rows of the batch that an assistor was asked for, once they are known.
        parts: of the assistors that have answered.
    """

    def __init__(
        self,
        study: Study,
        state: State,
        ids: tuple[str, ...],
        outputs: int,
        number: int,
        pairs: PrivateAlignment | None,
    ) -> None:
        self.study, self.state, self.ids, self.outputs = study, state, ids, outputs
        self.number, self.pairs = number, pairs
        self._run = Entry(state, "run", TEXT)
        self.asked: dict[str, npt.NDArray[np.int64]] = {}
        self.parts: dict[str, Part] = {}
        self.scales = Entries(state, "scale/", REAL)
        self._known = Entries(state, "batch/known/", ARRAY)
        self._values = Entries(state, "batch/values/", ARRAY)

    @property
    def run(self) -> str:
        """The run that the model was learnt in."""
        return self._run.get()

    @property
    def assistors(self) -> tuple[str, ...]:
        """In the study's order."""
        return self.study.assistors

    def resume(self) -> None:
        """Take up the parts that were answered."""
        for peer in self.assistors:
            if peer in self._known and peer in self._values:
                self.parts[peer] = Part(self._known[peer], self._values[peer])

    def check_known(self, peer: str, known: npt.NDArray[np.uint8]) -> None:
        """Refuse what does not say 0 or 1 of every row that was asked for; PeerViolation."""
        asked = len(self.asked[peer])
        if known.shape != (asked,) or not np.isin(known, (0, 1)).all():
            raise PeerViolation(peer, f"`known` must hold 0 or 1 for each of {asked} ids")

    def over_all_ids(self, peer: str, known: npt.NDArray[np.uint8], values: Values) -> Part:
        """A reply's rows put where they belong in the batch."""
        part = self.nothing()
        part.known[self.asked[peer]] = known
        part.values[self.asked[peer]] = values
        return part

    def nothing(self) -> Part:
        """The part of an assistor that knows no row."""
        return Part(np.zeros(len(self.ids), np.uint8), np.zeros((len(self.ids), self.outputs)))

    def take(self, peer: str, part: Part) -> list[Effect]:
        """Keep an assistor's part; the last one ends the batch."""
        self.parts[peer] = part
        self._known[peer] = part.known
        self._values[peer] = part.values
        return [] if len(self.parts) < len(self.assistors) else [Done()]
