"""The certifiers of a study over a link in memory."""

from __future__ import annotations

from typing import Any

from parties.run.certifier import Certifier
from secure_gal import events
from secure_gal.effects import Send
from secure_gal.events import RoundRecord
from secure_gal.messages import Message
from secure_gal.messages.certificate import LogHead, certificate_statement
from secure_gal.state import State
from tests.conftest import identity
from tests.support.study_in_memory import NAMES, context, study


class Bench:
    """The certifiers of all parties, and what they sent each other."""

    def __init__(self) -> None:
        self.states = {name: State({"agreement": b"1"}) for name in NAMES}
        self.heads = {name: LogHead(3 + i, f"{i + 1:064x}") for i, name in enumerate(NAMES)}
        self.fixed = context("lab", study())
        self.certifiers = {name: self.certifier(name) for name in NAMES}
        self.sent: list[tuple[str, str, Message]] = []
        record = RoundRecord(1, 0.5, None, None, 1.0, True, {})
        self.post("hospital", self.certifiers["hospital"].after([events.Committed(record)]))

    def certifier(self, name: str) -> Certifier:
        fixed = self.fixed
        return Certifier(
            fixed.study,
            fixed.digest,
            identity(name),
            fixed.cards,
            self.states[name],
            lambda: self.heads[name],
            lambda: "cd" * 32,
        )

    def post(self, name: str, effects: list[Any]) -> None:
        self.sent += [(name, e.peer, e.message) for e in effects if isinstance(e, Send)]

    def until(self, name: str, kind: str) -> tuple[str, Any]:
        """Deliver in order until this is the next message for this party."""
        while True:
            sender, to, message = self.sent[0]
            if (to, message.KIND) == (name, kind):
                return sender, message
            self.deliver()

    def deliver(self) -> None:
        sender, to, message = self.sent.pop(0)
        self.post(to, self.certifiers[to].receive(sender, message))

    def signed(self, name: str, run: str = "cd" * 32, round_: int = 1, heads: dict[str, LogHead] | None = None) -> str:
        statement = certificate_statement(self.fixed.digest, run, round_, heads or self.heads)
        return identity(name).sign(statement).hex()
