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
from transport.curve import AssistorSocket, SponsorSocket
from transport.events import Ack, Attached, Event, Lost, Message, Refused, Sync


class Bench:
    def __init__(self) -> None:
        self.logs: list[str] = []
        self.open: list[SponsorSocket | AssistorSocket] = []
        self.now = 0.0
        cards = {name: identity(name).card for name in ("lab", "insurer")}
        self.sponsor = SponsorSocket(
            identity("hospital"), cards, "tcp://127.0.0.1:*", self.logs.append, lambda: self.now
        )
        self.open.append(self.sponsor)

    def dial(self, who: Identity, sponsor: str = "hospital") -> AssistorSocket:
        card = identity(sponsor).card
        socket = AssistorSocket(who, card, self.sponsor.endpoint, None, self.logs.append, lambda: self.now)
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
    assert Attached("lab") in bench.pump(lab, until=Attached)
    bench.pump(lab, until=Attached)
    lab.send_sync("hospital", b"s")
    assert Sync("lab", b"s") in bench.pump(lab, until=Sync)
    bench.sponsor.send_ack("lab", 7)
    assert Ack("hospital", 7) in bench.pump(lab, until=Ack)


def test_a_large_message_arrives_whole(bench: Bench) -> None:
    lab = bench.dial(identity("lab"))
    bench.pump(lab, until=Attached)
    frames = [b"h", b"s", b"t", *(bytes([i]) * curve.CHUNK for i in range(4))]
    lab.send_message("hospital", frames)
    (message,) = [e for e in bench.pump(lab, until=Message) if isinstance(e, Message)]
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


def test_a_port_in_use(bench: Bench) -> None:
    with pytest.raises(EnvironmentFailure, match="another process"):
        SponsorSocket(identity("hospital"), {}, bench.sponsor.endpoint, bench.logs.append)


def test_a_frame_above_the_bound_never_arrives(bench: Bench) -> None:
    """libzmq drops the connection on which it comes, in either direction; the assistor dials again and goes on."""
    lab = bench.connected()
    whole = [b"h", b"s", b"t"]
    for sender, peer in ((lab, "hospital"), (bench.sponsor, "lab")):
        sender.send_message(peer, [*whole, bytes(curve.MAX_FRAME_BYTES + 1)])
        assert not [e for e in bench.pump(lab, until=Message, turns=15) if isinstance(e, Message)]
        bench.now += curve.PING_SECONDS + 1
        bench.pump(lab, until=Message, turns=5)  # a ping into a connection that is gone keeps nobody waiting
        bench.now += curve.SILENCE_SECONDS + 1
        assert [e for e in bench.pump(lab, until=Attached) if isinstance(e, Attached)], "the connection was not dropped"
        bench.pump(lab, until=Attached, turns=10)
        sender.send_message(peer, [*whole, bytes(curve.CHUNK)])
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
    over = bytes(curve.MAX_SMALL_BYTES + 1)
    for frames in (
        [ev.SYNC, over], [ev.REFUSE, over], [ev.ACK, bytes(7)], [ev.ACK, bytes(9)], [ev.SYNC], [ev.SYNC, b"a", b"b"],
        [ev.ACK], [ev.MESSAGE, b"h", b"s"], [ev.MESSAGE, *[b""] * (curve.MAX_FRAMES + 1)], [ev.PING, bytes(7)],
        [ev.PING], [ev.PONG], [b"?", b"x"], [b""],
    ):  # fmt: skip
        send(frames)
    send([ev.SYNC, over[:-1]])
    send([ev.ACK, (9).to_bytes(8, "little")])
    seen = [e for e in bench.pump(lab, until=Ack) if not isinstance(e, Attached)]
    name = "lab" if to == "sponsor" else "hospital"
    assert seen == [Sync(name, over[:-1]), Ack(name, 9)]
