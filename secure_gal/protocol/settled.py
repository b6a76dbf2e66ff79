"""The sponsor after the learning stage, with nothing to ask: what was sent is delivered, and certificates are
completed."""

from __future__ import annotations

from secure_gal import events
from secure_gal.effects import Done, Effect
from secure_gal.errors import PeerViolation
from secure_gal.messages import Message
from secure_gal.state import TEXT, Entry, State

STALE = frozenset(
    {
        "realign",
        "masked-ids",
        "tags",
        "predict-reply",
        "noised-predict-reply",
        "encrypted-predict-reply",
        "known-reply",
        "part-key",
        "sealed-part",
        "summed-part",
    }
)
"""Answers to prediction batches that were given up."""


class Settled:
    """Takes nothing but what is stale; legal only while no batch is open."""

    def __init__(self, state: State) -> None:
        self.state = state
        self._phase, self._run = Entry(state, "phase", TEXT), Entry(state, "run", TEXT)

    @property
    def phase(self) -> str:
        """finished."""
        return self._phase.get_or("new")

    @property
    def run(self) -> str:
        """The run that the model was learnt in."""
        return self._run.get_or("")

    def start(self) -> list[Effect]:
        """Nothing is asked for."""
        return [Done()]

    def forget(self, peer: str) -> bool:
        """An assistor's part of the model is gone with its run directory."""
        return False

    def receive(self, peer: str, message: Message) -> list[Effect]:
        """Ignore what is stale; PeerViolation for everything else."""
        if message.KIND not in STALE:
            raise PeerViolation(peer, f"{message.KIND} is not legal after the learning stage")
        return [events.Stale(peer)]
