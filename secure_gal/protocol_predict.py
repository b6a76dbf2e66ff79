"""The sponsor's side of a prediction batch (PROTOCOL.md steps 12 and 13)."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from secure_gal import events, messages
from secure_gal.alignment_sponsor import PrivateAlignment
from secure_gal.effects import Done, Effect, Send, State
from secure_gal.errors import PeerViolation, StateError
from secure_gal.messages import Batch, EncryptedPredictReply, Message, NoisedPredictReply, PredictReply, PredictRequest
from secure_gal.study import Study

Domain = Callable[[str, int, int], bytes]


@dataclass(frozen=True, slots=True)
class Part:
    """One assistor's part of a batch: known (n,) 0/1, and values float64 (n, K), 0 for unknown ids."""

    known: npt.NDArray[np.uint8] = field(repr=False)
    values: npt.NDArray[np.float64] = field(repr=False)


class PredictionProtocol:
    """Asks every assistor for its part of one batch of ids; a reply to an earlier batch is ignored.

    With `ids = "psi"` the batch is aligned privately first, with fresh scalars, and each assistor is asked for rows by
    position only; an assistor that knows none of the ids is asked for no row.

    A batch is open, and what was answered is kept under `batch/`, until `close`. The same ids go on with it after a
    restart, so that no answer is asked for, counted or drawn twice; other ids give it up.
    """

    REPLY: type[Message] = PredictReply

    def __init__(
        self, study: Study, state: State, ids: tuple[str, ...], outputs: int, domain: Domain | None = None
    ) -> None:
        self.state = state
        self._study, self._ids, self._outputs, self._domain = study, ids, outputs, domain
        self._number = 0
        self._pairs: PrivateAlignment | None = None
        self._asked: dict[str, npt.NDArray[np.int64]] = {}
        self.parts: dict[str, Part] = {}
        self.resumed = False
        """Whether `start` went on with a batch of an earlier process."""

    @property
    def phase(self) -> str:
        """The learning stage's phase: predictions need it finished."""
        return self.state.text("phase", "new")

    @property
    def run(self) -> str:
        """The run that the model was learnt in."""
        return self.state.text("run")

    def waiting_for(self) -> list[str]:
        """Assistors that have not answered yet."""
        return [peer for peer in self._study.assistors if peer not in self.parts]

    def start(self) -> list[Effect]:
        """Ask, under a batch number that was never used before, or go on with the open batch of these ids."""
        asked = _digest(self._ids)
        self.resumed = self.state.raw("batch/ids") == asked
        if not self.resumed:
            self.close()
            self.state.put("batch/ids", asked)
            self.state.put("batches", str(int(self.state.text("batches", "0")) + 1).encode())
        self._number = int(self.state.text("batches"))
        if self._domain is not None:
            self._pairs = PrivateAlignment(self._study, self._ids, self.state, self._number, self._domain)
        effects = self._take_up() if self.resumed else self._begin()
        return effects if self.waiting_for() else [*effects, Done()]

    def close(self) -> None:
        """The answer is where it was wanted, or nobody wants it any more: forget it."""
        self.state.drop_all("batch/")
        self.state.drop_all("match/")

    def _begin(self) -> list[Effect]:
        if self._pairs is not None:
            return self._pairs.begin()
        request = PredictRequest(Batch(self._number), self._ids)
        self._asked = {peer: np.arange(len(self._ids)) for peer in self._study.assistors}
        return [Send(peer, request) for peer in self._study.assistors]

    def _take_up(self) -> list[Effect]:
        """What was answered is on disk, what was asked is in the outbox; only private alignments begin anew."""
        for peer in self._study.assistors:
            if self._pairs is None:
                self._asked[peer] = np.arange(len(self._ids))
            elif peer not in self._pairs.waiting_for():
                self._asked[peer] = self._pairs.match(peer).own
            if f"batch/known/{peer}" in self.state and f"batch/values/{peer}" in self.state:
                known, values = self.state.array(f"batch/known/{peer}"), self.state.array(f"batch/values/{peer}")
                self.parts[peer] = Part(known, values)
        return self._pairs.begin() if self._pairs is not None else []

    def forget(self, peer: str) -> bool:
        """An assistor without the run's memory holds no models, so it cannot answer."""
        return False

    def receive(self, peer: str, message: Message) -> list[Effect]:
        """Take one reply, or a step of the private alignment.

        Raises:
            PeerViolation: another kind of message, or values of the wrong shape, size or content.
        """
        if self._pairs is not None and message.KIND in self._pairs.kinds:
            return [*self._pairs.receive(peer, message), *self._ask()]
        due = NoisedPredictReply if self._study.protect.predictions == "noise" else self.REPLY
        fits = type(message) is due and peer in self._study.assistors
        if not fits or not isinstance(message, PredictReply | EncryptedPredictReply):
            raise PeerViolation(peer, f"{message.KIND} is not legal during prediction")
        batch = message.batch
        if batch.number < self._number:
            return [events.Stale(peer)]
        if batch.number > self._number or peer in self.parts or peer not in self._asked:
            raise PeerViolation(peer, "a reply to a batch that was not asked for, or a second one")
        if batch.refused:
            nothing = Part(np.zeros(len(self._ids), np.uint8), np.zeros((len(self._ids), self._outputs)))
            why = f"{peer} refuses this batch: {batch.refused[:200]}; its part is 0"
            return [events.Warned(why), *self._take(peer, nothing)]
        return self._on_reply(peer, message)

    def _ask(self) -> list[Effect]:
        """Name rows by position to every assistor whose common ids have become known."""
        effects: list[Effect] = []
        if self._pairs is None:
            return effects
        open_ = self._pairs.waiting_for()
        for peer in self._study.assistors:
            if peer in open_ or peer in self._asked:
                continue
            match = self._pairs.match(peer)
            self._asked[peer] = match.own
            step = messages.Step(self._number, match.attempt)
            effects.append(Send(peer, messages.PredictRows(match.theirs.astype(np.uint32), step)))
        return effects

    def _on_reply(self, peer: str, message: Message) -> list[Effect]:
        assert isinstance(message, PredictReply)  # noqa: S101  (receive checked it)
        asked = len(self._asked[peer])
        self._check_known(peer, message.known)
        if message.part.shape != (asked, self._outputs) or not np.isfinite(message.part).all():
            raise PeerViolation(peer, f"a reply must hold {asked} finite rows of {self._outputs} outputs")
        if np.any(message.part[message.known == 0]):
            raise PeerViolation(peer, "a reply must be 0 for unknown ids")
        return self._take(peer, self._over_all_ids(peer, message.known, message.part.astype(np.float64)))

    def computed(self, tag: str, result: object) -> list[Effect]:
        """Take the result of a job."""
        if self._pairs is None or not tag.startswith("psi"):
            raise StateError(f"no job is called {tag}")
        return [*self._pairs.computed(tag, result), *self._ask()]

    def _check_known(self, peer: str, known: npt.NDArray[np.uint8]) -> None:
        if known.shape != (len(self._asked[peer]),) or not np.isin(known, (0, 1)).all():
            raise PeerViolation(peer, f"`known` must hold 0 or 1 for each of {len(self._asked[peer])} ids")

    def _over_all_ids(self, peer: str, known: npt.NDArray[np.uint8], values: npt.NDArray[np.float64]) -> Part:
        """A reply's rows put where they belong in the batch."""
        part = Part(np.zeros(len(self._ids), np.uint8), np.zeros((len(self._ids), self._outputs)))
        part.known[self._asked[peer]] = known
        part.values[self._asked[peer]] = values
        return part

    def _take(self, peer: str, part: Part) -> list[Effect]:
        self.parts[peer] = part
        self.state.put(f"batch/known/{peer}", part.known)
        self.state.put(f"batch/values/{peer}", part.values)
        return [] if self.waiting_for() else [Done()]

    def combine(
        self, initial: npt.NDArray[np.float64], own: npt.NDArray[np.float32]
    ) -> tuple[npt.NDArray[np.float64], list[str]]:
        """F = F^0 + own part + the assistors' parts in study order; and per row the parties missing, `;`-separated."""
        total = np.tile(initial, (len(self._ids), 1)) + own.astype(np.float64)
        missing = [""] * len(self._ids)
        for peer in self._study.assistors:
            part, longer = self.parts[peer], {"": peer}  # each text once, however many rows have it
            total += part.values
            for i in np.flatnonzero(part.known == 0).tolist():
                before = missing[i]
                missing[i] = longer.setdefault(before, f"{before};{peer}")
        return total, missing


def _digest(ids: Sequence[str]) -> bytes:
    digest = hashlib.sha256(b"secure-gal/1 batch\0")
    for entity in ids:
        raw = entity.encode()
        digest.update(len(raw).to_bytes(8, "little") + raw)
    return digest.digest()
