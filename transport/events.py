"""What a socket tells the loop, and the one-byte control frames between two sockets."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

PIECE, HELD, ATTACH, WELCOME, REATTACH, PING, PONG, ACK, REFUSE, SYNC = (bytes([c]) for c in b"MHAWRPOKBS")
"""First frame: a piece of a message, how much is held of one; attach, welcome, please attach again; ping, pong;
acknowledge; refuse; sync."""
Frame = bytes | memoryview
"""One frame of a message, as it is sent or as it came."""
VERSION = bytes([2])
"""Second frame of attach and welcome. Version 1 had none, and sent messages whole."""
OTHER_VERSION = "it runs a release with another version of the link; install the same release on both sides"


@dataclass(frozen=True, slots=True)
class Attached:
    """A channel to this peer came up (also: a new connection took over)."""

    peer: str


@dataclass(frozen=True, slots=True)
class Lost:
    """The channel to this peer is gone or silent."""

    peer: str


@dataclass(frozen=True, slots=True)
class Begun:
    """A message that takes several pieces has begun: header, signature and salts, and the bytes that are to follow."""

    peer: str
    head: Sequence[Frame] = field(repr=False)
    rest: int


@dataclass(frozen=True, slots=True)
class Message:
    """Wire frames from the authenticated peer."""

    peer: str
    frames: Sequence[Frame] = field(repr=False)


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


Event = Attached | Lost | Begun | Message | Ack | Sync | Refused
