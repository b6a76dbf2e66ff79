"""What a node takes and gives: its role and store, and what goes over a link."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

import msgspec

from parties.run.store import LinkRecord
from secure_gal.effects import Effect, Job
from secure_gal.events import Event
from secure_gal.messages import Message
from secure_gal.state import State, Value
from transport.events import Frame
from transport.ledger import Row


class Role(Protocol):
    """What `Sponsor`, `Assistor`, `Prediction` and `Settled` share."""

    state: State

    @property
    def phase(self) -> str: ...
    @property
    def run(self) -> str: ...
    def start(self) -> list[Effect]: ...
    def receive(self, peer: str, message: Message) -> list[Effect]: ...
    def forget(self, peer: str) -> bool: ...


class Store(Protocol):
    """The durable side of a node."""

    id: str

    def links(self) -> dict[str, LinkRecord]: ...
    def outbox(self, peer: str, after: int) -> list[tuple[int, list[bytes]]]: ...
    def pending(self, peer: str) -> int: ...
    def commit(
        self,
        changes: Mapping[str, Value | None],
        links: Mapping[str, LinkRecord],
        outgoing: Sequence[tuple[str, int, Sequence[Frame]]],
        ledger: Sequence[Row] = (),
    ) -> None: ...
    def acknowledge(self, peer: str, seq: int) -> None: ...
    def forget(self, peer: str, ledger: Sequence[Row]) -> None: ...


class Sync(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What both sides say when a channel comes up: who I am, who I took you for, what I have of yours and you of mine.

    Attributes:
        store, peer_store: ids of my run directory and of the one I take for yours, or empty.
        received: last sequence number of yours that is on my disk.
        sent: last one of mine that can have left this house.
        acknowledged: last one of mine that you said was on your disk.
    """

    store: str
    peer_store: str
    received: int
    sent: int
    acknowledged: int


@dataclass(frozen=True, slots=True)
class Transmit:
    """Bytes for one peer: a `sync` or `refuse` control frame, an `ack`, or a stored `message`."""

    peer: str
    kind: Literal["sync", "message", "ack", "refuse"]
    frames: Sequence[Frame] = field(default=(), repr=False)
    seq: int = 0


@dataclass(slots=True)
class Outcome:
    """What the surroundings must do now that the step is on disk."""

    transmit: list[Transmit] = field(default_factory=list)
    compute: list[Job] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)
    done: bool = False
