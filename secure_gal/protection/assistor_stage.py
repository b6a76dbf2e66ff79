"""An assistor's learning and serving, as the ports see it."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from secure_gal import events
from secure_gal.effects import Effect
from secure_gal.errors import PeerViolation
from secure_gal.holdings.budget import Account
from secure_gal.holdings.roles import AssistorHolding, Context, Fit
from secure_gal.phases import Phases
from secure_gal.state import ARRAY, MARK, MASK, NUMBER, RAW, REAL, TEXT, Entries, Entry, State, json_of

if TYPE_CHECKING:
    from secure_gal.protection.ports import FittedSide, ResidualSide
from secure_gal.protection.sponsor_stage import Mask


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
