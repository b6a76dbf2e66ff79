"""The sponsor's side of a prediction batch (PROTOCOL.md steps 12 and 13)."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from secure_gal import events
from secure_gal.effects import Done, Effect
from secure_gal.errors import PeerViolation, StateError
from secure_gal.gal.doubt import beyond, credible
from secure_gal.gal.ensemble import PARTS
from secure_gal.messages import Message
from secure_gal.phases import Step
from secure_gal.protection.batch import Batched
from secure_gal.protection.ports import PartPort, Reply
from secure_gal.protocol.alignment_sponsor import PrivateAlignment
from secure_gal.settings.study import Study
from secure_gal.state import ARRAY, NUMBER, RAW, TEXT, Entries, Entry, State

Domain = Callable[[str, int, int], bytes]


class Prediction:
    """Asks every assistor for its part of one batch of ids; a reply to an earlier batch is ignored.

    With `ids = "psi"` the batch is aligned privately first, with fresh scalars, and each assistor is asked for rows by
    position only; an assistor that knows none of the ids is asked for no row.

    A batch is open, and what was answered is kept under `batch/`, until `close`. The same ids go on with it after a
    restart, so that no answer is asked for, counted or drawn twice; other ids give it up.

    Args:
        parts: how parts come back.
        table: the steps that are legal in this study.
        domain: (assistor, batch, attempt) to the bytes that separate a private alignment; None where ids are clear.
    """

    def __init__(
        self,
        study: Study,
        state: State,
        ids: tuple[str, ...],
        outputs: int,
        parts: PartPort,
        table: tuple[Step, ...],
        domain: Domain | None = None,
    ) -> None:
        self.state = state
        self._study, self._ids, self._outputs, self._domain = study, ids, outputs, domain
        self._parts, self._kinds = parts, frozenset(step.kind for step in table if step.role == "prediction")
        self._phase, self._run = Entry(state, "phase", TEXT), Entry(state, "run", TEXT)
        self._asked_ids, self._number = Entry(state, "batch/ids", RAW), Entry(state, "batches", NUMBER)
        self._learnt = Entries(state, f"ensemble/{PARTS[1]}", ARRAY)
        self._kept, self._matches = Entries(state, "batch/", RAW), Entries(state, "match/", RAW)
        self.resumed = False
        """Whether `start` went on with a batch of an earlier process."""

    @property
    def phase(self) -> str:
        """The learning stage's phase: predictions need it finished."""
        return self._phase.get_or("new")

    @property
    def run(self) -> str:
        """The run that the model was learnt in."""
        return self._run.get_or("")

    def waiting_for(self) -> list[str]:
        """Assistors that have not answered yet."""
        return self._parts.waiting_for(self.batch)

    def start(self) -> list[Effect]:
        """Ask, under a batch number that was never used before, or go on with the open batch of these ids."""
        asked = _digest(self._ids)
        self.resumed = self._asked_ids.get_or(b"") == asked
        if not self.resumed:
            self.close()
            self._asked_ids.set(asked)
            self._number.set(self._number.get_or(0) + 1)
        number, pairs = self._number.get(), None
        if self._domain is not None:
            pairs = PrivateAlignment(self._study, self._ids, self.state, number, self._domain, self._aligned)
        self.batch = Batched(self._study, self.state, self._ids, self._outputs, number, pairs)
        effects = [*(self._parts.resume(self.batch) if self.resumed else []), *self._begin()]
        return effects if self.waiting_for() else [*effects, Done()]

    def _begin(self) -> list[Effect]:
        """Private alignments begin anew after a restart; what else was asked is in the outbox."""
        if self.batch.pairs is not None:
            return self.batch.pairs.begin() if self.waiting_for() else []
        return [] if self.resumed else self._parts.begin(self.batch)

    def close(self) -> None:
        """The answer is where it was wanted, or nobody wants it any more: forget it."""
        self._kept.clear()
        self._matches.clear()

    def forget(self, peer: str) -> bool:
        """An assistor without the run's memory holds no models, so it cannot answer."""
        return False

    def receive(self, peer: str, message: Message) -> list[Effect]:
        """Take one reply, or a step of the private alignment.

        Raises:
            PeerViolation: another kind of message, or values of the wrong shape, size or content.
        """
        pairs = self.batch.pairs
        if message.KIND not in self._kinds or peer not in self._study.assistors:
            raise PeerViolation(peer, f"{message.KIND} is not legal during prediction")
        if pairs is not None and message.KIND in pairs.kinds:
            return [*pairs.receive(peer, message), *self._aligned()]
        if not isinstance(message, Reply):
            raise StateError(f"{message.KIND} is a reply to no batch")
        if message.batch.number < self.batch.number:
            return [events.Stale(peer)]
        if message.batch.number > self.batch.number:
            raise PeerViolation(peer, "a reply to a batch that was not asked for")
        return self._parts.receive(self.batch, peer, message)

    def _aligned(self) -> list[Effect]:
        return self._parts.aligned(self.batch)

    def combine(
        self, initial: npt.NDArray[np.float64], own: npt.NDArray[np.float32]
    ) -> tuple[npt.NDArray[np.float64], list[str]]:
        """F = F^0 + own part + the assistors' parts in study order; and per row the parties missing, `;`-separated.

        The part of an assistor whose fits had no weight in any kept round is 0, whatever it answers; parts further out
        than those of all rows that were learnt from are pulled back (`secure_gal.gal.doubt.credible`).
        """
        total = np.tile(initial, (len(self._ids), 1)) + own.astype(np.float64)
        missing, parts = [""] * len(self._ids), self._parts.parts(self.batch)
        for peer in self._study.assistors:
            part, longer = parts[peer], {"": peer}  # each text once, however many rows have it
            if not self._weightless(peer):
                total += self._counted(peer, part.known == 1, part.values)
            for i in np.flatnonzero(part.known == 0).tolist():
                before = missing[i]
                missing[i] = longer.setdefault(before, f"{before};{peer}")
        return total, missing

    def _counted(
        self, peer: str, known: npt.NDArray[np.bool_], values: npt.NDArray[np.float64]
    ) -> npt.NDArray[np.float64]:
        """Its parts (n, K) as they count; of rows that it does not know, 0."""
        if peer not in self._learnt:  # known in a sum alone
            return values
        counted = np.zeros_like(values)
        counted[known] = credible(self._learnt[peer], values[known])
        return counted

    def _weightless(self, peer: str) -> bool:
        """Whether nothing of this assistor's is in what was learnt; unknown of one that is known in a sum alone."""
        return peer in self._learnt and not self._learnt[peer].any()

    def unusual(self) -> list[str]:
        """Per row the assistors whose part lies beyond those of all rows that were learnt from, `;`-separated.

        Of assistors whose parts are known as a sum alone nothing is said.
        """
        named, parts = [""] * len(self._ids), self._parts.parts(self.batch)
        for peer in self._study.assistors:
            if peer not in self._learnt or self._weightless(peer):
                continue
            known = parts[peer].known == 1
            far = known & beyond(self._learnt[peer], parts[peer].values)
            for i in np.flatnonzero(far).tolist():
                named[i] += f";{peer}" if named[i] else peer
        return named


def _digest(ids: Sequence[str]) -> bytes:
    digest = hashlib.sha256(b"secure-gal/1 batch\0")
    for entity in ids:
        raw = entity.encode()
        digest.update(len(raw).to_bytes(8, "little") + raw)
    return digest.digest()
