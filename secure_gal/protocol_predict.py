"""The sponsor's side of a prediction batch in a clear study (PROTOCOL.md steps 12 and 13)."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from secure_gal.effects import Done, Effect, Note, Send, State
from secure_gal.errors import PeerViolation, StateError
from secure_gal.messages import Batch, Message, PredictReply, PredictRequest


class PredictionProtocol:
    """Asks every assistor for its part of one batch of ids; a reply to an earlier batch is ignored."""

    def __init__(self, state: State, assistors: tuple[str, ...], ids: tuple[str, ...], outputs: int) -> None:
        self.state = state
        self._assistors, self._ids, self._outputs = assistors, ids, outputs
        self._number = 0
        self.replies: dict[str, PredictReply] = {}

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
        return [peer for peer in self._assistors if peer not in self.replies]

    def start(self) -> list[Effect]:
        """Send the ids, under a batch number that was never used before."""
        self._number = int(self.state.text("batches", "0")) + 1
        self.state.put("batches", str(self._number).encode())
        request = PredictRequest(Batch(self._number), self._ids)
        return [Send(peer, request) for peer in self._assistors]

    def forget(self, peer: str) -> bool:
        """An assistor without the run's memory holds no models, so it cannot answer."""
        return False

    def receive(self, peer: str, message: Message) -> list[Effect]:
        """Take one reply.

        Raises:
            PeerViolation: another kind of message, or values of the wrong shape, size or content.
        """
        if not isinstance(message, PredictReply) or peer not in self._assistors:
            raise PeerViolation(peer, f"{message.KIND} is not legal during prediction")
        if message.batch.number < self._number:
            return [Note("stale", {"peer": peer})]
        if message.batch.number > self._number or peer in self.replies:
            raise PeerViolation(peer, "a reply to a batch that was not asked for, or a second one")
        if message.batch.refused:
            self.replies[peer] = PredictReply(
                message.batch,
                np.zeros(len(self._ids), np.uint8),
                np.zeros((len(self._ids), self._outputs), np.float32),
            )
            why = f"{peer} refuses this batch: {message.batch.refused[:200]}; its part is 0"
            return [Note("warning", {"text": why}), *self._done()]
        if message.known.shape != (len(self._ids),) or message.part.shape != (len(self._ids), self._outputs):
            raise PeerViolation(peer, f"a reply must hold {len(self._ids)} rows of {self._outputs} outputs")
        if not np.isin(message.known, (0, 1)).all() or not np.isfinite(message.part).all():
            raise PeerViolation(peer, "a reply must be finite, and `known` 0 or 1")
        if np.any(message.part[message.known == 0]):
            raise PeerViolation(peer, "a reply must be 0 for unknown ids")
        self.replies[peer] = message
        return self._done()

    def computed(self, tag: str, result: object) -> list[Effect]:
        """No jobs are asked for here."""
        raise StateError(f"no job is called {tag}")

    def _done(self) -> list[Effect]:
        return [] if self.waiting_for() else [Done()]

    def combine(
        self, initial: npt.NDArray[np.float64], own: npt.NDArray[np.float32]
    ) -> tuple[npt.NDArray[np.float64], list[str]]:
        """F = F^0 + own part + the assistors' parts in study order; and per row the parties missing, `;`-separated."""
        total = np.tile(initial, (len(self._ids), 1)) + own.astype(np.float64)
        missing = [""] * len(self._ids)
        for peer in self._assistors:
            reply = self.replies[peer]
            total += reply.part.astype(np.float64)
            for i in np.flatnonzero(reply.known == 0):
                missing[i] = f"{missing[i]};{peer}".lstrip(";")
        return total, missing
