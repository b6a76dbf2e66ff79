"""The sponsor's end without connections: who is let in, who must wait, and when a silent one is given up."""

from __future__ import annotations

import os
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
import zmq

from tests.conftest import identity
from transport import curve
from transport import events as ev
from transport.sponsor_socket import SponsorSocket

FIRST, SECOND, TOKEN = b"1", b"2", b"12345678"


class Bare(SponsorSocket):
    """Its frames go nowhere, or cannot be sent to whom has gone, and its clock is set by hand."""

    def __init__(self) -> None:
        self.now, self.out, self.gone, self.logs = 0.0, list[list[Any]](), set[bytes](), list[str]()
        cards = {name: identity(name).card for name in ("lab", "insurer")}
        super().__init__(identity("hospital"), cards, "tcp://127.0.0.1:*", self.logs.append, lambda: self.now)

    def said(self, routing: bytes, *frames: bytes, name: str = "lab") -> list[Any]:
        """What happens on frames of an authenticated key."""
        key = identity(name).card.curve_key.decode()
        parts: Any = [SimpleNamespace(buffer=part, get={"User-Id": key}.get) for part in (routing, *frames)]
        return list(self._on_frames(parts))

    def answered(self) -> list[list[Any]]:
        found, self.out = self.out, []
        return found

    def _raw(self, frames: list[Any]) -> bool:
        self.out.append(frames)
        return bytes(frames[0]) not in self.gone


@pytest.fixture
def bare() -> Iterator[Bare]:
    made = Bare()
    yield made
    made.close()


def attached(bare: Bare) -> Bare:
    """With a lab whose channel is up, and nothing said since."""
    assert bare.said(FIRST, ev.ATTACH, ev.VERSION) == [ev.Attached("lab")] and bare.attached() == {"lab"}
    assert bare.answered() == [[FIRST, ev.WELCOME, ev.VERSION]]
    return bare


def test_whoever_does_not_say_how_it_speaks_is_asked_or_refused(bare: Bare) -> None:
    for op in (ev.PING, ev.SYNC, ev.ACK):
        assert bare.said(FIRST, op, b"x") == [] and bare.answered() == [[FIRST, ev.REATTACH]]
    for other in ([], [b"\3"], [ev.VERSION, b""]):
        assert bare.said(FIRST, ev.ATTACH, *other) == [] and not bare.attached()
        assert bare.answered() == [[FIRST, ev.REFUSE, ev.OTHER_VERSION.encode()]]
    assert bare.logs == [f"refused lab: {ev.OTHER_VERSION}"] * 3
    assert bare.said(FIRST) == [] and bare.answered() == [], "no frame, no key"


def test_what_is_asked_on_a_channel_is_answered(bare: Bare) -> None:
    attached(bare)
    assert bare.said(FIRST, ev.ATTACH, ev.VERSION) == [ev.Attached("lab")], "it began anew"
    assert bare.answered() == [[FIRST, ev.WELCOME, ev.VERSION]]
    for busy in (1, 0):
        assert bare.said(FIRST, ev.PING, TOKEN + bytes([busy])) == []
        assert bare.answered() == [[FIRST, ev.PONG, TOKEN]] and bare.active() is bool(busy)
    assert bare.said(FIRST, ev.PING, TOKEN) == [] and bare.answered() == [], "not its length"
    assert bare.said(FIRST, ev.PONG, TOKEN) == [] and bare.answered() == [], "nobody asked"
    assert bare.said(FIRST, ev.SYNC, b"s") == [ev.Sync("lab", b"s")]
    bare.send_ack("lab", 7)
    bare.send_ack("insurer", 7)
    assert bare.answered() == [[FIRST, ev.ACK, (7).to_bytes(8, "little")]], "the insurer is not there"


def test_a_silent_peer_is_given_up_after_fifteen_seconds(bare: Bare) -> None:
    attached(bare)
    bare.now = 10.0
    bare.said(FIRST, ev.PING, TOKEN + b"\0")
    bare.now = 25.0
    assert bare._on_time() == [] and bare.attached() == {"lab"}
    bare.now = 25.5
    assert bare._on_time() == [ev.Lost("lab")] and not bare.attached()
    assert bare._on_time() == [] and curve.SILENCE_SECONDS == 15


def test_a_second_connection_waits_for_what_the_first_says(bare: Bare) -> None:
    attached(bare)
    bare.now = 4.0
    assert bare.said(SECOND, ev.ATTACH, ev.VERSION) == []
    ((to, op, ping),) = bare.answered()
    assert (to, op, len(ping), ping[8]) == (FIRST, ev.PING, 9, 0)
    assert bare.said(SECOND, ev.ATTACH, ev.VERSION) == [] and bare.answered() == [], "it asks again, and waits"
    for other in ([TOKEN], [ping], []):
        assert bare.said(FIRST, ev.PONG, *other) == [] and bare.answered() == [] and not bare.logs
    assert bare.said(FIRST, ev.PONG, ping[:8]) == []
    ((to, op, reason),) = bare.answered()
    assert (to, op) == (SECOND, ev.REFUSE) and b"another process with this party's key" in reason
    assert bare.logs == ["refused a second connection with the key of lab: the first one answers"]
    bare.now = 4.0 + curve.CONTEST_SECONDS
    bare.said(FIRST, ev.PING, TOKEN + b"\0")
    assert bare._on_time() == [] and bare.attached() == {"lab"}


def test_a_second_connection_takes_over_once_the_first_was_silent_for_long_enough(bare: Bare) -> None:
    attached(bare)
    bare.said(SECOND, ev.ATTACH, ev.VERSION)
    bare.now = 1.0
    bare.said(FIRST, ev.PING, TOKEN + b"\0")
    bare.answered()
    bare.now = curve.CONTEST_SECONDS + 0.5
    assert bare._on_time() == [] and bare.answered() == [], "the first one was heard since"
    bare.now = curve.CONTEST_SECONDS + 1.0
    assert bare._on_time() == [ev.Lost("lab"), ev.Attached("lab")]
    assert bare.answered() == [[SECOND, ev.WELCOME, ev.VERSION]]
    assert bare.said(FIRST, ev.PING, TOKEN + b"\0") == [] and bare.answered() == [[FIRST, ev.REATTACH]]
    assert bare._on_time() == [], "the contest is over"


def test_a_second_connection_whose_rival_was_refused_is_let_in_in_its_time(bare: Bare) -> None:
    attached(bare)
    bare.said(SECOND, ev.ATTACH, ev.VERSION)
    bare.refuse("lab", "other rows")
    assert not bare.attached() and bare.answered()[-1] == [FIRST, ev.REFUSE, b"other rows"]
    bare.now = curve.CONTEST_SECONDS - 0.5
    assert bare._on_time() == []
    bare.now = curve.CONTEST_SECONDS
    assert bare._on_time() == [ev.Attached("lab")] and bare.attached() == {"lab"}


def test_a_first_connection_that_is_gone_is_not_waited_for(bare: Bare) -> None:
    attached(bare).gone.add(FIRST)
    assert bare.said(SECOND, ev.ATTACH, ev.VERSION) == [ev.Lost("lab"), ev.Attached("lab")]
    assert bare.answered()[-1] == [SECOND, ev.WELCOME, ev.VERSION]


def test_other_threads_end_a_poll_early(bare: Bare) -> None:
    bare.wake()
    assert os.read(bare._wake.read_end, 9) == b"w"


@pytest.mark.parametrize(("error", "told"), [(None, True), (zmq.EHOSTUNREACH, False)])
def test_who_has_gone_is_no_error(error: int | None, told: bool, bare: Bare, monkeypatch: pytest.MonkeyPatch) -> None:
    def send(frames: list[bytes], copy: bool) -> None:
        if error is not None:
            raise zmq.ZMQError(error)

    real, bare._socket = bare._socket, SimpleNamespace(send_multipart=send)  # type: ignore[assignment]
    assert SponsorSocket._raw(bare, [b"1", b"x"]) is told
    error = zmq.EFSM
    with pytest.raises(zmq.ZMQError):
        SponsorSocket._raw(bare, [b"1", b"x"])
    bare._socket = real
