"""What the ports see of the protocol: rows, rounds and records, and how it goes on. One class for each place."""

from __future__ import annotations

import functools
from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from secure_gal import events
from secure_gal.effects import Effect
from secure_gal.errors import PeerViolation, StateError
from secure_gal.events import RoundRecord
from secure_gal.gal.ensemble import Ensemble
from secure_gal.holdings.roles import Context, SponsorHolding
from secure_gal.messages import Message
from secure_gal.state import ARRAY, MARK, MASK, REAL, TEXT, Entries, Entry, State

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
