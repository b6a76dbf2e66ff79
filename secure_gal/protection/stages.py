"""What the ports see of either role: rows, rounds and records, and how it goes on. One class for each place."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from secure_gal import events
from secure_gal.effects import Effect
from secure_gal.errors import PeerViolation, StateError
from secure_gal.events import RoundRecord
from secure_gal.gal.ensemble import Ensemble
from secure_gal.holdings.budget import Account
from secure_gal.holdings.roles import AssistorHolding, Context, Fit, SponsorHolding
from secure_gal.messages import Message
from secure_gal.phases import Phases
from secure_gal.state import ARRAY, MARK, MASK, NUMBER, RAW, REAL, TEXT, Entries, Entry, State, json_of

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
        model: SponsorHolding,
        state: State,
        begin: Callable[[], list[Effect]],
        committed: Callable[[RoundRecord], list[Effect]],
    ) -> None:
        self.context, self.model, self.state, self.begin, self.committed = context, model, state, begin, committed
        self.study, self.assistors = context.study, context.study.assistors
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
        self.fits = Entries(state, "fitted/", ARRAY)
        """Of this round so far, where the sponsor sees each, (N, K)."""
        self._ensemble = Entries(state, "ensemble/", ARRAY)
        self._true_metric = Entries(state, "true-metric/", REAL, digits=4)

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

    @functools.cached_property
    def train(self) -> Mask:
        """Which of the study's rows train, (N,); only after the alignment, and always the same."""
        return Entry(self.state, "train", MASK).get()

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

    def take_fit(self, peer: str, values: npt.NDArray[np.float32]) -> list[Effect]:
        """Keep an assistor's fit (N, K); commit the round if it was the last."""
        self.fits[peer] = values
        return [events.PeerFitted(peer, self.round), *self.commit_if_complete()]

    def commit_if_complete(self) -> list[Effect]:
        """Step 9, when every party's fit is there (GAL, steps e to g)."""
        if self.own_fit_due or any(p not in self.fits for p in self.assistors):
            return []
        fitted = {p: self.fits[p] for p in self.assistors}
        if self.model.fits:
            fitted[self.study.sponsor] = self.own.get()
        record = self.ensemble.commit(fitted)
        self.fits.clear()
        return self.committed(record)

    @property
    def own_fit_due(self) -> bool:
        """Whether the sponsor's own fit of this round is not there yet."""
        return self.model.fits and not self.own.there

    def save(self) -> None:
        """Keep F and its history; and for the sponsor's results the metric on true labels, which decides nothing."""
        for key, value in self.ensemble.state().items():
            self._ensemble[key] = value
        true = self.model.true_metric(self.ensemble.F)
        if true is not None:
            self._true_metric[len(self.ensemble.history)] = true


class AssistorStage:
    """An assistor's learning and serving, between the ports that a study has."""

    def __init__(
        self,
        context: Context,
        model: AssistorHolding,
        state: State,
        phases: Phases,
        residuals: ResidualSide,
        fits: FittedSide,
    ) -> None:
        self.context, self.model, self.state, self.phases = context, model, state, phases
        self.residuals, self.fits = residuals, fits
        self.study, self.name = context.study, context.identity.card.name
        self.sponsor, self.outputs = context.study.sponsor, context.study.k
        self._run = Entry(state, "run", TEXT)
        self.account = Account(context, lambda: self.run)
        self.encoder = Entry(state, "encoder", RAW)
        self.prepared = Entry(state, "prepared", MARK)
        self.positions = Entry(state, "positions", ARRAY)
        self.residual = Entry(state, "residual", ARRAY)
        self.withheld = Entry(state, "withheld", REAL)
        """Of a residual in the clear."""
        self._round = Entry(state, "round", NUMBER)
        self.models = Entries(state, "model/", RAW, digits=4)
        self.requests = Entries(state, "request/", json_of(tuple[str, ...]))

    @property
    def run(self) -> str:
        """The agreed run, or empty before the agreement."""
        return self._run.get_or("")

    @functools.cached_property
    def train(self) -> Mask:
        """Which of this party's rows train, (N_m,); only after the alignment, and always the same."""
        return Entry(self.state, "train", MASK).get()

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

    def take_residual(self, residual: npt.NDArray[Any], withheld: float | None = None) -> list[Effect]:
        """Keep a residual that was checked, and fit it as soon as may be; ConsentError if it may not be."""
        self.fits.spend_fit(self)
        self.residual.set(residual)
        if withheld is not None:
            self.withheld.set(withheld)
        return self.fit_if_due()

    def fit_if_due(self) -> list[Effect]:
        """Fit a residual that waits, once nothing else is waited for."""
        due = self.residual.there and self.prepared.there and self.fits.may_fit(self)
        return [self.residuals.fit(self)] if due else []

    def leave(self, round_: int, fit: Fit) -> list[Effect]:
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

    def answer(self, number: int) -> Effect:
        """Compute what was asked for in a batch."""
        return self.residuals.answer(self, number, self.requests[number])

    def leave_part(self, number: int, known: npt.NDArray[np.uint8], part: Fit) -> list[Effect]:
        """A part of a batch goes on its way."""
        ids = self.requests[number]
        self.requests.drop(number)
        return self.fits.leave_part(self, number, ids, known, part)
