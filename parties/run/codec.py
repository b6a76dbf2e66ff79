"""Messages to signed frames and back, for one party of one study."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from crypto.identity import Card, Identity
from secure_gal.messages import MESSAGES, Message
from transport import wire
from transport.events import Frame


@dataclass(frozen=True, slots=True)
class Codec:
    """Messages to frames and back, bound to this party and study."""

    identity: Identity
    cards: Mapping[str, Card]
    digest: str

    def encode(self, message: Message, run: str, recipient: str, seq: int) -> list[Frame]:
        """Signed frames of one message."""
        name = self.identity.card.name
        return wire.encode(
            message, study=self.digest, run=run, sender=name, recipient=recipient, seq=seq, identity=self.identity
        )

    def decode(self, peer: str, frames: Sequence[Frame]) -> wire.Received:
        """One authenticated, strictly decoded message of `peer`."""
        return wire.decode(frames, sender=self.cards[peer], recipient=self.identity.card.name, limits=wire.Limits())

    def announced(self, peer: str, head: Sequence[Frame], rest: int) -> wire.Header:
        """The checked header of a message of `peer` of which the payload, `rest` bytes, is still to come."""
        recipient = self.identity.card.name
        return wire.announced(head, rest, sender=self.cards[peer], recipient=recipient, limits=wire.Limits())


BEFORE_RUN = frozenset(kind for kind, found in MESSAGES.items() if found.ABOUT.before_run)
"""Message kinds that are sent before a run exists, and so carry an empty run."""
