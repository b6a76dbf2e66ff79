"""The sponsor's open prediction batch, as the ports see it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import numpy.typing as npt

from secure_gal.data.align import Match
from secure_gal.effects import Done, Effect
from secure_gal.errors import PeerViolation
from secure_gal.messages import Message
from secure_gal.protection.stages import Values
from secure_gal.settings.study import Study
from secure_gal.state import ARRAY, REAL, TEXT, Entries, Entry, State


@dataclass(frozen=True, slots=True)
class Part:
    """One assistor's part of a batch: known (n,) 0/1, and values float64 (n, K), 0 for unknown ids."""

    known: npt.NDArray[np.uint8] = field(repr=False)
    values: npt.NDArray[np.float64] = field(repr=False)


class Pairs(Protocol):
    """The private alignment of a batch with each assistor (`secure_gal.protocol.alignment_sponsor`)."""

    kinds: frozenset[str]

    def begin(self) -> list[Effect]: ...
    def receive(self, peer: str, message: Message) -> list[Effect]: ...
    def waiting_for(self) -> list[str]: ...
    def match(self, peer: str) -> Match: ...


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
        pairs: Pairs | None,
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
