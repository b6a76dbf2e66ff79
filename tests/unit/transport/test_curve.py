"""Real CURVE sockets on loopback: who gets in, who does not, and who takes over."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import zmq

from crypto.identity import Identity
from secure_gal.errors import EnvironmentFailure
from tests.conftest import identity
from transport import curve
from transport import events as ev
from transport.assistor_socket import AssistorSocket
from transport.events import Ack, Attached, Begun, Event, Lost, Message, Refused, Sync
from transport.link import MAX_SMALL_BYTES
from transport.pieces import ANSWER_BYTES, PREFIX_BYTES
from transport.sponsor_socket import SponsorSocket
from transport.wire import CHUNK


class Bench:
    def __init__(self) -> None:
        self.logs: list[str] = []
        self.open: list[SponsorSocket | AssistorSocket] = []
        self.now, self.busy = 0.0, False
        cards = {name: identity(name).card for name in ("lab", "insurer")}
        self.sponsor = SponsorSocket(
            identity("hospital"), cards, "tcp://127.0.0.1:*", self.logs.append, lambda: self.now
        )
        self.open.append(self.sponsor)

    def dial(self, who: Identity, sponsor: str = "hospital") -> AssistorSocket:
        card = identity(sponsor).card
        socket = AssistorSocket(
            who, card, self.sponsor.endpoint, None, self.logs.append, lambda: self.now, lambda: self.busy
        )
        self.open.append(socket)
        return socket

    def pump(self, *sockets: AssistorSocket, until: type, turns: int = 200) -> list[Event]:
        seen: list[Event] = []
        for _ in range(turns):
            for socket in (self.sponsor, *sockets):
                seen += socket.poll(0.02)
            if any(isinstance(event, until) for event in seen):
                return seen
        return seen

    def connected(self) -> AssistorSocket:
        """A lab whose channel is up on both sides."""
        lab = self.dial(identity("lab"))
        while not (lab.attached() and self.sponsor.attached()):
            assert self.pump(lab, until=Attached)
        return lab


@pytest.fixture
def bench() -> Iterator[Bench]:
    made = Bench()
    yield made
    for socket in reversed(made.open):
        socket.close()


def test_a_pinned_key_gets_in_under_its_own_name(bench: Bench) -> None:
    lab = bench.dial(identity("lab"))
    seen = bench.pump(lab, until=Attached)
    assert Attached("lab") in seen and not any(isinstance(event, Lost) for event in seen), "nobody was there to be lost"
    while not lab.attached():
        bench.pump(lab, until=Attached, turns=1)
    lab.send_sync("hospital", b"s")
    assert Sync("lab", b"s") in bench.pump(lab, until=Sync)
    bench.sponsor.send_ack("lab", 7)
    assert Ack("hospital", 7) in bench.pump(lab, until=Ack)


def test_a_large_message_arrives_whole(bench: Bench) -> None:
    lab = bench.connected()
    frames = [b"h", b"s", b"t", *(bytes([i]) * CHUNK for i in range(4))]
    lab.send_message("hospital", 1, frames)
    (message,) = [e for e in bench.pump(lab, until=Message, turns=20_000) if isinstance(e, Message)]
    assert [bytes(f) for f in message.frames] == frames


def test_an_unknown_key_is_refused_and_logged_once(bench: Bench) -> None:
    stranger = bench.dial(Identity.generate("lab"))
    again = bench.dial(stranger._identity)
    assert not bench.pump(stranger, again, until=Attached, turns=25)
    assert sum("unknown key" in line for line in bench.logs) == 1
    lab = bench.dial(identity("lab"))
    assert Attached("lab") in bench.pump(lab, until=Attached)


def test_a_null_client_is_refused_and_logged(bench: Bench) -> None:
    context = zmq.Context()
    plain = context.socket(zmq.DEALER)
    plain.connect(bench.sponsor.endpoint)
    plain.send_multipart([b"A"])
    assert not bench.pump(until=Attached, turns=25)
    assert any("CURVE" in line or "handshake" in line for line in bench.logs)
    context.destroy(linger=0)


def test_the_wrong_server_key_is_refused(bench: Bench) -> None:
    lab = bench.dial(identity("lab"), sponsor="insurer")
    assert not bench.pump(lab, until=Attached, turns=25)


@pytest.mark.parametrize("side", ["sponsor", "assistor"])
def test_another_version_of_the_link_is_named(bench: Bench, side: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Version 1 sent attach and welcome without a second frame."""
    older, where = (AssistorSocket, 0) if side == "assistor" else (SponsorSocket, 1)
    real = older._raw
    monkeypatch.setattr(older, "_raw", lambda s, f: real(s, f[: where + 1] if f[where] in (b"A", b"W") else f))
    lab = bench.dial(identity("lab"))
    (refused,) = [event for event in bench.pump(lab, until=Refused) if isinstance(event, Refused)]
    assert refused.peer == "hospital" and "install the same release on both sides" in refused.reason
    assert any("refused lab: it runs a release" in line for line in bench.logs) is (side == "assistor")


def test_a_second_connection_is_refused_while_the_first_answers(bench: Bench) -> None:
    first = bench.dial(identity("lab"))
    bench.pump(first, until=Attached)
    second = bench.dial(identity("lab"))
    seen = bench.pump(first, second, until=Refused)
    assert any(isinstance(e, Refused) for e in seen) and not any(isinstance(e, Lost) for e in seen)


def test_a_second_connection_takes_over_from_a_silent_first(bench: Bench) -> None:
    first = bench.dial(identity("lab"))
    bench.pump(first, until=Attached)
    second = bench.dial(identity("lab"))
    assert not [e for e in bench.pump(second, until=Attached, turns=20) if isinstance(e, Attached)]
    bench.now += curve.CONTEST_SECONDS
    seen = bench.pump(second, until=Attached)
    assert seen[:2] == [Lost("lab"), Attached("lab")]


def test_a_silent_peer_is_lost(bench: Bench) -> None:
    lab = bench.dial(identity("lab"))
    bench.pump(lab, until=Attached)
    bench.now += curve.SILENCE_SECONDS + 1
    assert bench.sponsor.poll(0) == [Lost("lab")]


def test_the_sponsor_tells_work_from_a_standstill(bench: Bench) -> None:
    lab = bench.connected()
    lab.send_message("hospital", 1, [b"h", b"s", b"t"])
    bench.pump(lab, until=Message)
    assert bench.sponsor.active() and not bench.sponsor.active(), "a message has moved, once"
    for busy in (True, False):
        bench.busy = busy
        bench.now += curve.PING_SECONDS + 0.1
        while bench.sponsor.active() is not busy:
            bench.pump(lab, until=Lost, turns=1)


def test_a_port_in_use(bench: Bench) -> None:
    with pytest.raises(EnvironmentFailure, match="another process"):
        SponsorSocket(identity("hospital"), {}, bench.sponsor.endpoint, bench.logs.append)


@pytest.mark.parametrize("to", ["sponsor", "assistor"])
def test_a_frame_above_the_bound_never_arrives(bench: Bench, to: str) -> None:
    """libzmq drops the connection on which it comes, in either direction; the assistor dials again and goes on."""
    lab = bench.connected()
    over = [ev.PIECE, bytes(PREFIX_BYTES), bytes(curve.MAX_FRAME_BYTES + 1)]
    if to == "sponsor":
        lab._raw(over)
    else:
        bench.sponsor._send("lab", over)
    seen = bench.pump(lab, until=Lost)
    assert Lost("hospital") in seen and not any(isinstance(e, Message | Begun) for e in seen)
    while not (lab.attached() and bench.sponsor.attached()):
        bench.pump(lab, until=Attached, turns=1)
    whole = [b"h", b"s", b"t", bytes(curve.MAX_FRAME_BYTES)]
    for sender, peer in ((lab, "hospital"), (bench.sponsor, "lab")):
        sender.send_message(peer, 1, whole)
        assert any(isinstance(e, Message) for e in bench.pump(lab, until=Message))


@pytest.mark.parametrize("to", ["sponsor", "assistor"])
def test_control_frames_are_bounded_and_strict(bench: Bench, to: str) -> None:
    """What is malformed is as if it had not been sent."""
    lab = bench.connected()
    if to == "sponsor":
        send = lab._socket.send_multipart
    else:
        routing = bench.sponsor._connections["lab"].routing
        send = lambda frames: bench.sponsor._socket.send_multipart([routing, *frames])  # noqa: E731
    over = bytes(MAX_SMALL_BYTES + 1)
    for frames in (
        [ev.SYNC, over],
        [ev.REFUSE, over],
        [ev.ACK, bytes(7)],
        [ev.ACK, bytes(9)],
        [ev.SYNC],
        [ev.SYNC, b"a", b"b"],
        [ev.ACK],
        [ev.PIECE],
        [ev.PIECE, bytes(PREFIX_BYTES)],
        [ev.PIECE, bytes(PREFIX_BYTES - 1), b"x"],
        [ev.PIECE, bytes(PREFIX_BYTES), b"x"],
        [ev.PIECE, b"h", b"s", b"t"],
        [ev.HELD],
        [ev.HELD, bytes(ANSWER_BYTES - 1)],
        [ev.HELD, bytes(ANSWER_BYTES + 1)],
        [ev.PING, bytes(8)],
        [ev.PING, bytes(10)],
        [ev.PING],
        [ev.PONG],
        [b"?", b"x"],
        [b""],
    ):
        send(frames)
    send([ev.SYNC, over[:-1]])
    send([ev.ACK, (9).to_bytes(8, "little")])
    seen = [e for e in bench.pump(lab, until=Ack) if not isinstance(e, Attached)]
    name = "lab" if to == "sponsor" else "hospital"
    assert seen == [Sync(name, over[:-1]), Ack(name, 9)]


def test_bounds_of_frames_are_those_that_peers_count_on() -> None:
    assert (MAX_SMALL_BYTES, curve.MAX_FRAME_BYTES, curve.PING_BYTES) == (1024, 266_240, 9)
