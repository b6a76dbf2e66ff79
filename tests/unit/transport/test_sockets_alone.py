"""Parts of the sockets without a connection: strangers, failed handshakes, wake-ups and libzmq's options."""

from __future__ import annotations

import os
import sys
from types import SimpleNamespace
from typing import Any

import pytest
import zmq

from tests.conftest import identity
from transport import curve
from transport import events as ev
from transport.assistor_socket import AssistorSocket
from transport.monitor import Monitor
from transport.sponsor_socket import _KnownKeys


def test_strangers_are_logged_once_each_and_a_thousand_at_most() -> None:
    logs: list[str] = []
    known = _KnownKeys({b"k" * 40: "lab"}, logs.append)
    assert known.callback("secure-gal", b"k" * 40) is True and not logs
    for _ in range(2):
        assert known.callback("secure-gal", b"s" * 40) is False
    assert len(logs) == 1 and "s" * 40 in logs[0]
    for number in range(1200):
        assert known.callback("secure-gal", b"%040d" % number) is False
    assert len(logs) == 1000


class Told:
    """A monitor's socket that tells of these events."""

    def __init__(self, *told: int) -> None:
        self.told = list(told)

    def get_monitor_socket(self, watched: int) -> Told:
        self.watched = watched
        return self

    def poll(self, timeout: int) -> int:
        return len(self.told)

    def recv_multipart(self) -> list[bytes]:
        return [self.told.pop(0).to_bytes(2, sys.byteorder) + bytes(4), b"tcp://127.0.0.1:1"]


GONE, GOOD = zmq.EVENT_DISCONNECTED, zmq.EVENT_HANDSHAKE_SUCCEEDED
FAILED, REFUSED = zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL, zmq.EVENT_HANDSHAKE_FAILED_AUTH
TEXTS = {GONE: "gone", FAILED: "failed", REFUSED: "refused"}


@pytest.mark.parametrize(
    ("told", "logged", "ended"),
    [
        ([], [], False),
        ([GOOD], [], False),
        ([FAILED], ["failed"], False),
        ([FAILED, FAILED, REFUSED], ["failed", "refused"], False),
        ([GONE], ["gone"], True),
        ([GONE, GONE], ["gone"], True),
        ([FAILED, GONE], ["failed"], True),
        ([GOOD, GONE], [], True),
        ([GOOD, GONE, GONE], ["gone"], True),
    ],
)
def test_a_connection_that_ends_unexplained_is_told_of_once(told: list[int], logged: list[str], ended: bool) -> None:
    logs: list[str] = []
    socket: Any = Told(*told)
    watching = Monitor(socket, TEXTS, logs.append)
    assert watching.read() is ended and logs == logged
    assert watching.read() is False, "of nothing new"
    assert socket.watched == GOOD | FAILED | REFUSED | GONE, "never HANDSHAKE_FAILED_PROTOCOL"


def test_a_wake_up_is_drained_and_more_than_fit_do_not_block() -> None:
    wake = curve._Wake()
    try:
        for _ in range(70_000):
            wake.wake()
        wake.drain()
        with pytest.raises(BlockingIOError):
            os.read(wake.read_end, 1)
        wake.wake()
        assert os.read(wake.read_end, 9) == b"w"
    finally:
        os.close(wake.read_end)
        os.close(wake._write_end)


def test_what_libzmq_is_told() -> None:
    """Milliseconds, bytes, and no limit of what is queued: pieces bound that."""
    context = zmq.Context()
    socket = context.socket(zmq.DEALER)
    try:
        curve._options(socket)
        names = ("LINGER", "MAXMSGSIZE", "HEARTBEAT_IVL", "HEARTBEAT_TIMEOUT", "HANDSHAKE_IVL", "SNDHWM", "IMMEDIATE")
        found = {name: socket.getsockopt(getattr(zmq, name)) for name in names}
    finally:
        socket.close()
        context.term()
    assert found == {
        "LINGER": 2000,
        "MAXMSGSIZE": 266_240,
        "HEARTBEAT_IVL": 5000,
        "HEARTBEAT_TIMEOUT": 15_000,
        "HANDSHAKE_IVL": 15_000,
        "SNDHWM": 0,
        "IMMEDIATE": 1,
    }
    assert curve._ping(b"12345678", True) == b"12345678\1" and curve._ping(b"12345678") == b"12345678\0"


class Bare(AssistorSocket):
    """An assistor's end whose frames go nowhere and whose clock is set by hand."""

    def __init__(self) -> None:
        self.now, self.out, self.dialled, self.closed = 0.0, list[list[Any]](), 0, list[Any]()
        self.computes = False
        where = "tcp://127.0.0.1:1"
        super().__init__(
            identity("lab"), identity("hospital").card, where, None, print, lambda: self.now, lambda: self.computes
        )

    def _dial(self) -> None:
        self.dialled += 1
        self._ended = False
        self._heard = self._pinged = self._dialled = self.now
        self._monitor = self._socket = SimpleNamespace(  # type: ignore[assignment]
            disable_monitor=lambda: self.closed.append("monitor"), close=lambda linger: self.closed.append(linger)
        )
        self._attach()

    def _raw(self, frames: list[Any]) -> None:
        self.out.append(frames)


@pytest.fixture
def bare() -> Any:
    made = Bare()
    yield made
    made._context.term()


def test_pings_go_out_every_two_seconds_and_say_who_computes(bare: Bare) -> None:
    bare.out.clear()
    for bare.now in (1.0, 2.0, 2.5, 3.0, 4.5, 4.75):
        bare.computes = bare.now > 4
        bare._heard = bare.now
        assert bare._on_time() == []
    pings = [frames for frames in bare.out if frames[0] == ev.PING]
    assert [len(frames[1]) for frames in pings] == [9, 9] and [frames[1][8] for frames in pings] == [0, 1]
    assert pings[0][1][:8] != pings[1][1][:8], "tokens are fresh"


def test_a_silent_sponsor_is_dialled_again_after_fifteen_seconds(bare: Bare) -> None:
    bare._on_frames([ev.WELCOME, ev.VERSION])
    bare.now = 15.0
    assert bare._on_time() == [] and bare.dialled == 1
    bare.now = 15.5
    assert bare._on_time() == [ev.Lost("hospital")] and bare.dialled == 2
    assert bare.closed == ["monitor", 0], "what waits for a connection that is gone is dropped"
    bare.now = 31.5
    assert bare._on_time() == [] and bare.dialled == 3, "nobody was there to be lost"


def test_a_connection_that_ended_is_dialled_again_at_once_or_after_two_seconds(bare: Bare) -> None:
    bare._ended, bare.now = True, 2.0
    assert bare._on_time() == [] and bare.dialled == 1, "it never was up: not more than every two seconds"
    bare.now = 2.1
    bare._on_time()
    assert bare.dialled == 2
    bare._on_frames([ev.WELCOME, ev.VERSION])
    bare._ended = True
    assert bare._on_time() == [ev.Lost("hospital")] and bare.dialled == 3


def test_what_is_asked_is_answered(bare: Bare) -> None:
    bare.out.clear()
    assert bare._on_frames([ev.PING, b"12345678\1"]) == [] and bare.out == [[ev.PONG, b"12345678"]]
    assert bare._on_frames([ev.PONG, b"12345678"]) == [] and len(bare.out) == 1
    assert bare.attached() == set()
    (welcomed,) = bare._on_frames([ev.WELCOME, ev.VERSION])
    assert (welcomed, bare.attached()) == (ev.Attached("hospital"), {"hospital"})
    bare.out.clear()
    assert bare._on_frames([ev.REATTACH]) == [] and bare.out == [[ev.ATTACH, ev.VERSION]] and not bare.attached()
    assert bare._on_frames([ev.REATTACH]) == [] and len(bare.out) == 1, "one answer is enough"
    bare.now = 2.0
    assert bare._on_frames([ev.REATTACH]) == [] and len(bare.out) == 2
    for other in ([], [b"\3"], [ev.VERSION, b""]):
        (refused,) = bare._on_frames([ev.WELCOME, *other])
        assert isinstance(refused, ev.Refused) and not bare.attached()
