"""Authenticated channels: the sponsor's ROUTER and an assistor's DEALER over CURVE (ZeroMQ RFC 25, 26 and 27).

The author of a frame is the key that ZAP authenticated, never a name or socket identity that the peer chose.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable

import zmq

from transport.pieces import MOST_PIECE

MAX_FRAME_BYTES = MOST_PIECE + 4096
"""Bytes of one ZeroMQ frame; libzmq drops a connection that sends a larger one."""
PING_SECONDS = 2.0
CONTEST_SECONDS = 5.0
"""How long the first of two connections with one key may say nothing before the second takes over: more than two pings,
and less than SILENCE_SECONDS, after which the second would dial again."""
SILENCE_SECONDS = 15.0
"""A peer of which nothing arrived for this long (it pings every PING_SECONDS, and pieces count) is lost."""
FRAMES_A_POLL = 256
"""Messages taken from ZeroMQ in one poll, so that a fast peer does not keep the loop from its other work."""
TOKEN_BYTES = 8
PING_BYTES = TOKEN_BYTES + 1
"""A ping's body: a token, which comes back, and 1 while its sender computes, else 0."""
Clock = Callable[[], float]


def _options(socket: zmq.Socket[bytes]) -> None:
    socket.setsockopt(zmq.LINGER, 2000)
    socket.setsockopt(zmq.MAXMSGSIZE, MAX_FRAME_BYTES)
    socket.setsockopt(zmq.HEARTBEAT_IVL, 5000)
    socket.setsockopt(zmq.HEARTBEAT_TIMEOUT, 15000)
    socket.setsockopt(zmq.HANDSHAKE_IVL, 15000)
    socket.setsockopt(zmq.SNDHWM, 0)
    socket.setsockopt(zmq.IMMEDIATE, 1)


def _ping(token: bytes, busy: bool = False) -> bytes:
    return token + bytes([busy])


class _Wake:
    """A pipe that lets another thread end a poll early."""

    def __init__(self) -> None:
        self.read_end, self._write_end = os.pipe()
        os.set_blocking(self.read_end, False)
        os.set_blocking(self._write_end, False)

    def wake(self) -> None:
        with contextlib.suppress(BlockingIOError):  # the pipe is full of wake-ups already
            os.write(self._write_end, b"w")

    def drain(self) -> None:
        try:
            while os.read(self.read_end, 4096):
                pass
        except BlockingIOError:
            return
