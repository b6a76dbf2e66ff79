"""An assistor's dial-out: CURVE with the sponsor's pinned key."""

from __future__ import annotations

import contextlib
import secrets
import time
from collections.abc import Callable, Sequence

import zmq

from crypto.identity import Card, Identity
from transport import events as ev
from transport.curve import (
    FRAMES_A_POLL,
    PING_BYTES,
    PING_SECONDS,
    SILENCE_SECONDS,
    TOKEN_BYTES,
    Clock,
    _options,
    _ping,
    _Wake,
)
from transport.events import Attached, Event, Frame, Lost, Refused
from transport.link import Link
from transport.monitor import Log, Monitor


class AssistorSocket:
    """An assistor's one outgoing connection; it opens no port.

    Args:
        sponsor: the sponsor's pinned card; a server without that key cannot complete the handshake.
        address: tcp://HOST:PORT to dial; `proxy` is HOST:PORT of a SOCKS5 proxy or None.
        busy: whether this party computes; its pings say so, and so a sponsor knows work from a standstill.
    """

    def __init__(
        self,
        identity: Identity,
        sponsor: Card,
        address: str,
        proxy: str | None,
        log: Log,
        clock: Clock = time.monotonic,
        busy: Callable[[], bool] = lambda: False,
    ) -> None:
        self._identity, self._sponsor, self._busy = identity, sponsor, busy
        self._address, self._proxy, self._log, self._clock = address, proxy, log, clock
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._wake = _Wake()
        self._up = False
        self._link = Link(sponsor.name, self._raw, clock)
        self._texts: dict[int, str] = {
            zmq.EVENT_HANDSHAKE_FAILED_AUTH: f"{sponsor.name} refused this party's key: has it pinned this card?",
            zmq.EVENT_DISCONNECTED: f"the server at {address} does not speak CURVE with {sponsor.name}'s pinned key",
            zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL: f"no handshake with {address}: is it {sponsor.name}, with its key?",
        }
        self._dial()

    def _dial(self) -> None:
        self._socket = self._context.socket(zmq.DEALER)
        _options(self._socket)
        self._socket.setsockopt(zmq.IMMEDIATE, 0)
        self._socket.curve_serverkey = self._sponsor.curve_key
        self._socket.curve_publickey = self._identity.card.curve_key
        self._socket.curve_secretkey = self._identity.curve_secret
        if self._proxy:
            self._socket.setsockopt_string(zmq.SOCKS_PROXY, self._proxy)
        self._monitor = Monitor(self._socket, self._texts, self._log)
        self._socket.connect(self._address)
        self._heard = self._pinged = self._dialled = self._clock()
        self._ended = False
        self._attach()

    def _attach(self) -> None:
        """What is queued for an earlier connection is not for this one."""
        self._up, self._attached_at = False, self._clock()
        self._link.restart()
        self._raw([ev.ATTACH, ev.VERSION])

    def attached(self) -> set[str]:
        """The sponsor's name while the channel is up."""
        return {self._sponsor.name} if self._up else set()

    def wake(self) -> None:
        """End a poll early; the only method for other threads."""
        self._wake.wake()

    def close(self) -> None:
        """Send what is queued (2 s at most) and close."""
        linger = 2000 if self._up else 0
        self._socket.disable_monitor()
        self._socket.close(linger=linger)
        self._context.destroy(linger=linger)

    def send_message(self, peer: str, seq: int, frames: Sequence[Frame]) -> None:
        """Send a message's frames, in pieces if it is long."""
        self._link.send_message(seq, frames)

    def send_sync(self, peer: str, payload: bytes) -> None:
        """Send a sync payload."""
        self._link.send_sync(payload)

    def send_ack(self, peer: str, seq: int) -> None:
        """Acknowledge everything up to `seq`."""
        self._link.send_ack(seq)

    def refuse(self, peer: str, reason: str) -> None:
        """Tell the sponsor why it is refused."""
        self._link.refuse(reason)

    def poll(self, timeout: float) -> list[Event]:
        """Wait up to `timeout` seconds and return what happened, in order."""
        poller = zmq.Poller()
        for source in (self._socket, self._monitor.socket, self._wake.read_end):
            poller.register(source, zmq.POLLIN)
        poller.poll(int(timeout * 1000))
        self._wake.drain()
        self._ended |= self._monitor.read()
        happened: list[Event] = []
        for _ in range(FRAMES_A_POLL):
            if not self._socket.poll(0):
                break
            frames = [part.buffer for part in self._socket.recv_multipart(copy=False)]
            self._heard = self._clock()
            happened += self._on_frames(frames)
        return happened + self._on_time()

    def _on_frames(self, frames: Sequence[Frame]) -> list[Event]:
        op = bytes(frames[0])
        if op == ev.WELCOME:
            if frames[1:] != [ev.VERSION]:
                return [Refused(self._sponsor.name, ev.OTHER_VERSION)]
            self._up = True
            self._link.restart()
            return [Attached(self._sponsor.name)]
        if op == ev.REATTACH:  # of everything that was queued for an earlier connection; one answer is enough
            if self._up or self._clock() - self._attached_at >= PING_SECONDS:
                self._attach()
            return []
        if op == ev.PING and len(frames) == 2 and len(frames[1]) == PING_BYTES:
            self._raw([ev.PONG, bytes(frames[1][:TOKEN_BYTES])])
            return []
        return [] if op == ev.PONG else self._link.receive(frames)

    def _on_time(self) -> list[Event]:
        now = self._clock()
        over = self._ended and (self._up or now - self._dialled > PING_SECONDS)
        if over or now - self._heard > SILENCE_SECONDS:
            return self._redial()
        if now - self._pinged > PING_SECONDS:
            self._pinged = now
            self._raw([ev.PING, _ping(secrets.token_bytes(TOKEN_BYTES), self._busy())])
        return []

    def _redial(self) -> list[Event]:
        """Begin with a new socket: libzmq gives one up for good after a byte that was changed on the way, and keeps
        what is queued for a connection that is gone."""
        was_up = self._up
        self._socket.disable_monitor()
        self._socket.close(linger=0)
        self._dial()
        return [Lost(self._sponsor.name)] if was_up else []

    def _raw(self, frames: list[Frame]) -> None:
        """Send, or drop it where libzmq has given the connection up and would wait here without end: what matters is
        sent again after the next sync."""
        with contextlib.suppress(zmq.Again):
            self._socket.send_multipart(frames, zmq.NOBLOCK, copy=False)
