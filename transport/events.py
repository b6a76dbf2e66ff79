"""What a socket tells the loop, and the one-byte control frames between two sockets."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

MESSAGE, ATTACH, WELCOME, REATTACH, PING, PONG, ACK, REFUSE, SYNC = (bytes([c]) for c in b"MAWRPOKBS")
"""First frame: a message; attach, welcome, please attach again; ping, pong; acknowledge; refuse; sync."""


@dataclass(frozen=True, slots=True)
class Attached:
    """A channel to this peer came up (also: a new connection took over)."""

    peer: str


@dataclass(frozen=True, slots=True)
class Lost:
    """The channel to this peer is gone or silent."""

    peer: str


@dataclass(frozen=True, slots=True)
class Message:
    """Wire frames from the authenticated peer."""

    peer: str
    frames: Sequence[Any] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Ack:
    """The peer has everything up to `seq` on its disk."""

    peer: str
    seq: int


@dataclass(frozen=True, slots=True)
class Sync:
    """The peer's sync payload."""

    peer: str
    payload: bytes


@dataclass(frozen=True, slots=True)
class Refused:
    """The peer refuses this party, and says why."""

    peer: str
    reason: str


Event = Attached | Lost | Message | Ack | Sync | Refused
