"""One peer's link over any socket: messages in pieces, and the control frames that mean the same on both sides."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from transport import events as ev
from transport.events import Ack, Begun, Event, Frame, Message, Refused, Sync
from transport.pieces import ANSWER_BYTES, PREFIX_BYTES, Incoming, Outgoing

MAX_SMALL_BYTES = 1024
"""Bytes of a control frame's body."""


class Link:
    """The link to one peer; it outlives connections.

    Args:
        send: hands frames to the peer's connection, if there is one.
        clock: in seconds.
    """

    def __init__(self, peer: str, send: Callable[[list[Frame]], object], clock: Callable[[], float]) -> None:
        self._peer, self._send = peer, send
        self._incoming = Incoming()
        self._outgoing = Outgoing(lambda prefix, piece: send([ev.PIECE, prefix, piece]), clock)
        self._moved = False

    def take_moved(self) -> bool:
        """Whether bytes of a message have arrived here or there since the last call."""
        moved, self._moved = self._moved, False
        return moved

    def restart(self) -> None:
        """A connection came up or went: nothing is under way any more."""
        self._outgoing.restart()

    def send_message(self, seq: int, frames: Sequence[Frame]) -> None:
        """Queue a message's frames."""
        self._outgoing.push(seq, frames)

    def send_sync(self, payload: bytes) -> None:
        """Send a sync payload."""
        self._send([ev.SYNC, payload])

    def send_ack(self, seq: int) -> None:
        """Acknowledge everything up to `seq`."""
        self._send([ev.ACK, seq.to_bytes(8, "little")])

    def refuse(self, reason: str) -> None:
        """Tell the peer why it is refused."""
        self._send([ev.REFUSE, reason.encode()[:MAX_SMALL_BYTES]])

    def receive(self, frames: Sequence[Frame]) -> list[Event]:
        """What the peer's frames mean; nothing for anything malformed or unknown."""
        op, body = bytes(frames[0]), frames[1:]
        if op == ev.PIECE and len(body) == 2 and len(body[0]) == PREFIX_BYTES:
            return self._on_piece(bytes(body[0]), memoryview(body[1]))
        if len(body) != 1 or len(body[0]) > MAX_SMALL_BYTES:
            return []
        raw = bytes(body[0])
        if op == ev.HELD and len(raw) == ANSWER_BYTES:
            self._moved |= self._outgoing.answered(raw)
        elif op == ev.ACK and len(raw) == 8:
            seq = int.from_bytes(raw, "little")
            self._moved |= self._outgoing.acknowledged(seq)
            return [Ack(self._peer, seq)]
        elif op == ev.SYNC:
            self._outgoing.restart()  # what the peer lacks is sent again, all of it
            return [Sync(self._peer, raw)]
        elif op == ev.REFUSE:
            return [Refused(self._peer, raw.decode("utf-8", "replace"))]
        return []

    def _on_piece(self, prefix: bytes, piece: memoryview) -> list[Event]:
        arrived = self._incoming.take(prefix, piece)
        if arrived is None:
            return []
        self._moved = True
        if arrived.answer:
            self._send([ev.HELD, arrived.answer])
        if arrived.head:
            return [Begun(self._peer, arrived.head, arrived.rest)]
        return [Message(self._peer, arrived.frames)] if arrived.frames else []
