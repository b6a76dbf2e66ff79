"""The sponsor's one port: CURVE with pinned keys alone (RFC 26/CurveZMQ, RFC 27/ZAP)."""

from __future__ import annotations

import functools
import secrets
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import cast

import zmq
from zmq.auth.thread import ThreadAuthenticator

from crypto.identity import Card, Identity
from secure_gal.errors import EnvironmentFailure
from transport import events as ev
from transport.curve import (
    CONTEST_SECONDS,
    FRAMES_A_POLL,
    PING_BYTES,
    SILENCE_SECONDS,
    TOKEN_BYTES,
    Clock,
    _options,
    _ping,
    _Wake,
)
from transport.events import Attached, Event, Frame, Lost
from transport.link import Link
from transport.monitor import Log, Monitor


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

    def send_message(self, peer: str, seq: int, frames: Sequence[Frame]) -> None:
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

    def _on_pong(self, name: str, frames: Sequence[Frame]) -> None:
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

    def _send(self, peer: str, frames: list[Frame]) -> None:
        connection = self._connections.get(peer)
        if connection is not None:
            self._raw([connection.routing, *frames])

    def _raw(self, frames: list[Frame]) -> bool:
        try:
            self._socket.send_multipart(frames, copy=False)
        except zmq.ZMQError as error:
            if error.errno == zmq.EHOSTUNREACH:
                return False
            raise
        return True
