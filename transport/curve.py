"""Authenticated channels: the sponsor's ROUTER and an assistor's DEALER over CURVE (ZeroMQ RFC 25, 26 and 27).

The author of a frame is the key that ZAP authenticated, never a name or socket identity that the peer chose.
"""

from __future__ import annotations

import contextlib
import functools
import os
import secrets
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import zmq
from zmq.auth.thread import ThreadAuthenticator

from crypto.identity import Card, Identity
from secure_gal.errors import EnvironmentFailure
from transport import events as ev
from transport.events import Attached, Event, Lost, Refused
from transport.link import Link
from transport.monitor import Log, Monitor
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


class _KnownKeys:
    """The ZAP allow-list: exactly the pinned keys. A rejected key is logged once."""

    def __init__(self, names: Mapping[bytes, str], log: Log) -> None:
        self._names, self._log = names, log
        self._logged: set[bytes] = set()

    def callback(self, domain: str, key: bytes) -> bool:
        if key in self._names:
            return True
        if key not in self._logged and len(self._logged) < 1000:
            self._logged.add(key)
            self._log(
                f"refused a connection with the unknown key {key.decode('ascii', 'replace')}; if it is a party's, "
                "pin its card with: secure-gal trust NAME.card"
            )
        return False


@dataclass(slots=True)
class _Connection:
    routing: bytes
    heard: float
    busy: bool = False


@dataclass(slots=True)
class _Contest:
    routing: bytes
    token: bytes
    deadline: float


class SponsorSocket:
    """The one open port of a study.

    Args:
        cards: pinned cards of the assistors by name; nobody else can complete a handshake.
        bind: tcp://INTERFACE:PORT.

    Raises:
        EnvironmentFailure: the port cannot be opened.
    """

    def __init__(
        self, identity: Identity, cards: Mapping[str, Card], bind: str, log: Log, clock: Clock = time.monotonic
    ) -> None:
        self._names = {card.curve_key: name for name, card in cards.items()}
        self._clock, self._log = clock, log
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._auth = ThreadAuthenticator(self._context)
        self._auth.start()
        self._auth.configure_curve_callback("secure-gal", credentials_provider=_KnownKeys(self._names, log))
        self._socket = self._context.socket(zmq.ROUTER)
        _options(self._socket)
        self._socket.setsockopt(zmq.ROUTER_MANDATORY, 1)
        self._socket.curve_server = True
        self._socket.curve_secretkey = identity.curve_secret
        self._socket.curve_publickey = identity.card.curve_key
        self._socket.zap_domain = b"secure-gal"
        self._monitor = Monitor(
            self._socket,
            {
                zmq.EVENT_DISCONNECTED: "refused a client that does not speak CURVE, or that has an old card of this "
                "party",
                zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL: "a client's handshake failed",
            },
            log,
        )
        self._wake = _Wake()
        self._connections: dict[str, _Connection] = {}
        self._links = {name: Link(name, functools.partial(self._send, name), clock) for name in cards}
        self._contests: dict[str, _Contest] = {}
        try:
            self._socket.bind(bind)
        except zmq.ZMQError as error:
            self.close()
            raise EnvironmentFailure(
                f"bind {bind} failed: {error.strerror}; is another process using that port? Stop "
                "it, or change `bind` here and `address` in study.toml"
            ) from error
        self.endpoint = cast(bytes, self._socket.getsockopt(zmq.LAST_ENDPOINT)).decode().rstrip("\0")

    def attached(self) -> set[str]:
        """The peers whose channel is up."""
        return set(self._connections)

    def wake(self) -> None:
        """End a poll early; the only method for other threads."""
        self._wake.wake()

    def close(self) -> None:
        """Send what is queued (2 s at most) and close the port."""
        self._socket.disable_monitor()
        self._socket.close()
        self._auth.stop()
        self._context.destroy(linger=2000)

    def active(self) -> bool:
        """Whether a peer computes, by its last ping, or bytes of a message moved since the last call."""
        moved = [link.take_moved() for link in self._links.values()]
        return any(moved) or any(connection.busy for connection in self._connections.values())

    def send_message(self, peer: str, seq: int, frames: Sequence[Any]) -> None:
        """Send a message's frames, in pieces if it is long."""
        self._links[peer].send_message(seq, frames)

    def send_sync(self, peer: str, payload: bytes) -> None:
        """Send a sync payload."""
        self._links[peer].send_sync(payload)

    def send_ack(self, peer: str, seq: int) -> None:
        """Acknowledge everything up to `seq`."""
        self._links[peer].send_ack(seq)

    def refuse(self, peer: str, reason: str) -> None:
        """Tell the peer why it is refused, and detach it."""
        self._links[peer].refuse(reason)
        self._connections.pop(peer, None)

    def poll(self, timeout: float) -> list[Event]:
        """Wait up to `timeout` seconds and return what happened, in order."""
        poller = zmq.Poller()
        for source in (self._socket, self._monitor.socket, self._wake.read_end):
            poller.register(source, zmq.POLLIN)
        poller.poll(int(timeout * 1000))
        self._wake.drain()
        self._monitor.read()
        happened: list[Event] = []
        for _ in range(FRAMES_A_POLL):
            if not self._socket.poll(0):
                break
            happened += self._on_frames(self._socket.recv_multipart(copy=False))
        return happened + self._on_time()

    def _on_frames(self, parts: Sequence[zmq.Frame]) -> Iterable[Event]:
        routing, frames = bytes(parts[0].buffer), [part.buffer for part in parts[1:]]
        name = self._names.get(str(parts[-1].get("User-Id")).encode()) if frames else None
        if name is None:
            return []
        op, current = bytes(frames[0]), self._connections.get(name)
        if op == ev.ATTACH and frames[1:] != [ev.VERSION]:
            self._log(f"refused {name}: {ev.OTHER_VERSION}")
            self._raw([routing, ev.REFUSE, ev.OTHER_VERSION.encode()])
            return []
        if current is None or current.routing != routing:
            if op != ev.ATTACH:
                self._raw([routing, ev.REATTACH])
                return []
            return self._on_attach(name, routing)
        current.heard = self._clock()
        if op == ev.ATTACH:
            self._links[name].restart()
            self._raw([routing, ev.WELCOME, ev.VERSION])
            return [Attached(name)]
        if op == ev.PING and len(frames) == 2 and len(frames[1]) == PING_BYTES:
            current.busy = bool(frames[1][TOKEN_BYTES])
            self._raw([routing, ev.PONG, bytes(frames[1][:TOKEN_BYTES])])
            return []
        if op == ev.PONG:
            self._on_pong(name, frames)
            return []
        return self._links[name].receive(frames)

    def _on_attach(self, name: str, routing: bytes) -> list[Event]:
        current, contest = self._connections.get(name), self._contests.get(name)
        if contest and contest.routing == routing:
            return []  # it asks again; the first connection has its time all the same
        token = secrets.token_bytes(TOKEN_BYTES)
        if current is None or not self._raw([current.routing, ev.PING, _ping(token)]):
            return self._admit(name, routing)
        self._contests[name] = _Contest(routing, token, self._clock() + CONTEST_SECONDS)
        return []

    def _on_pong(self, name: str, frames: Sequence[Any]) -> None:
        contest = self._contests.get(name)
        if contest and len(frames) == 2 and bytes(frames[1]) == contest.token:
            del self._contests[name]
            reason = "another process with this party's key is connected and answers; stop that one first"
            self._raw([contest.routing, ev.REFUSE, reason.encode()])
            self._log(f"refused a second connection with the key of {name}: the first one answers")

    def _admit(self, name: str, routing: bytes) -> list[Event]:
        before: list[Event] = [Lost(name)] if name in self._connections else []
        self._connections[name] = _Connection(routing, self._clock())
        self._links[name].restart()
        self._raw([routing, ev.WELCOME, ev.VERSION])
        return [*before, Attached(name)]

    def _on_time(self) -> list[Event]:
        now, happened = self._clock(), []
        for name, contest in list(self._contests.items()):
            current = self._connections.get(name)
            if now >= max(contest.deadline, current.heard + CONTEST_SECONDS if current else 0.0):
                del self._contests[name]
                happened += self._admit(name, contest.routing)
        for name, connection in list(self._connections.items()):
            if now - connection.heard > SILENCE_SECONDS:
                del self._connections[name]
                self._links[name].restart()
                happened.append(Lost(name))
        return happened

    def _send(self, peer: str, frames: list[Any]) -> None:
        connection = self._connections.get(peer)
        if connection is not None:
            self._raw([connection.routing, *frames])

    def _raw(self, frames: list[Any]) -> bool:
        try:
            self._socket.send_multipart(frames, copy=False)
        except zmq.ZMQError as error:
            if error.errno == zmq.EHOSTUNREACH:
                return False
            raise
        return True


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

    def send_message(self, peer: str, seq: int, frames: Sequence[Any]) -> None:
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

    def _on_frames(self, frames: Sequence[Any]) -> list[Event]:
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

    def _raw(self, frames: list[Any]) -> None:
        """Send, or drop it where libzmq has given the connection up and would wait here without end: what matters is
        sent again after the next sync."""
        with contextlib.suppress(zmq.Again):
            self._socket.send_multipart(frames, zmq.NOBLOCK, copy=False)
