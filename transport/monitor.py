"""What libzmq tells of a socket's connections: failed handshakes, for a person, and connections that ended."""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping

import zmq

_WHY = zmq.EVENT_HANDSHAKE_SUCCEEDED | zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL | zmq.EVENT_HANDSHAKE_FAILED_AUTH
_WATCHED = _WHY | zmq.EVENT_DISCONNECTED
"""Never HANDSHAKE_FAILED_PROTOCOL: in libzmq 4.3.5 telling of it overwrites errno (`curve_mechanism_base.cpp`), so that
a connection with a changed byte is not closed but left standing, and aborts the process when it is touched again
(`stream_engine_base.cpp`, upstream issue 4841). Unwatched, such a connection is closed at once."""

NUMBERS = struct.Struct("=Hi")
"""First frame of what a monitor tells: event and value (zmq_socket_monitor(3)). pyzmq's own reader imports asyncio."""
Log = Callable[[str], None]


class Monitor:
    """Logs failed handshakes once a kind, and tells of connections that ended.

    Args:
        texts: what to say of an event; of DISCONNECTED, where nothing else says why a connection ended.
    """

    def __init__(self, socket: zmq.Socket[bytes], texts: Mapping[int, str], log: Log) -> None:
        self.socket = socket.get_monitor_socket(_WATCHED)
        self._texts, self._log = texts, log
        self._seen: set[int] = set()
        self._unexplained = 0

    def read(self) -> bool:
        """Log what is new; returns whether a connection has ended since the last call."""
        ended = False
        while self.socket.poll(0):
            event, _ = NUMBERS.unpack(self.socket.recv_multipart()[0])
            over = event == zmq.EVENT_DISCONNECTED
            ended |= over
            self._unexplained += 1 if over else -1
            tells = self._unexplained > 0 if over else event in self._texts
            if tells and event not in self._seen:
                self._seen.add(event)
                self._log(self._texts[event])
        return ended
