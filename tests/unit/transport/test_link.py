"""One peer's link without a socket: what is cut, what is answered, and when something has moved."""

from __future__ import annotations

import struct
from typing import Any

import pytest

from transport import events as ev
from transport.events import Ack, Begun, Message, Refused, Sync
from transport.link import Link
from transport.pieces import Outgoing

HEAD = [b"h" * 900, b"s" * 64, b"t" * 32]


def links() -> tuple[Link, list[list[Any]]]:
    sent: list[list[Any]] = []
    return Link("lab", sent.append, lambda: 0.0), sent


def test_why_a_peer_is_refused_has_at_most_1024_bytes() -> None:
    link, sent = links()
    link.refuse("x" * 1025)
    link.refuse("y" * 1024)
    assert sent == [[ev.REFUSE, b"x" * 1024], [ev.REFUSE, b"y" * 1024]]
    assert link.receive(sent[0]) == [Refused("lab", "x" * 1024)]
    assert link.receive([ev.REFUSE, b"x" * 1025]) == [], "what a peer cuts no shorter is not read"
    assert link.receive([ev.REFUSE, b"\xff"]) == [Refused("lab", "\ufffd")]


def test_a_message_moves_both_ends_once() -> None:
    here, sent = links()
    there, answers = links()
    here.send_message(1, [*HEAD, bytes(300_000)])
    assert len(sent) == 1 and not here.take_moved()
    (begun,) = there.receive(sent[0])
    assert isinstance(begun, Begun) and [bytes(f) for f in begun.head] == HEAD and begun.rest == 300_000
    assert there.take_moved() and not there.take_moved()
    (held,) = answers
    assert held[0] == ev.HELD and here.receive(held) == []
    assert here.take_moved() and not here.take_moved()
    assert here.receive(held) == [] and not here.take_moved(), "an answer that comes again has moved nothing"
    events = [event for frames in sent[1:] for event in there.receive(frames)]
    while not events:
        here.receive(answers[-1])
        events = [event for frames in sent[1:] for event in there.receive(frames)]
    assert [type(event) for event in events] == [Message]
    assert here.receive([ev.ACK, (1).to_bytes(8, "little")]) == [Ack("lab", 1)] and here.take_moved()
    assert here.receive([ev.ACK, (1).to_bytes(8, "little")]) == [Ack("lab", 1)] and not here.take_moved()


def test_a_piece_that_cannot_be_read_moves_nothing_and_gets_no_answer() -> None:
    link, sent = links()
    assert link.receive([ev.PIECE, struct.pack("<QQQ", 0, 9, 0), b"x"]) == []
    assert not sent and not link.take_moved()


def test_after_a_sync_what_is_queued_is_sent_anew() -> None:
    link, sent = links()
    link.send_message(1, [*HEAD, bytes(300_000)])
    assert link.receive([ev.SYNC, b"s"]) == [Sync("lab", b"s")]
    link.send_message(1, HEAD)
    assert len(sent) == 2 and len(sent[1][2]) == 4 + 3 * 8 + 996, "it waits behind nothing"


@pytest.mark.parametrize(("seconds", "window"), [(3.0, 65_536), (0.5, 33_554_432), (1.5, 262_144)])
def test_how_much_is_under_way_ends_between_64_kib_and_32_mib(seconds: float, window: int) -> None:
    """A window that is answered late halves down to the least, one answered at once doubles up to the most."""
    now, flying, most = [0.0], list[tuple[int, int, int]](), 0

    def send(prefix: bytes, piece: bytes) -> None:
        seq, _, offset = struct.unpack("<QQQ", prefix)
        flying.append((seq, offset + len(piece), len(piece)))

    outgoing = Outgoing(send, lambda: now[0])
    outgoing.push(1, [*HEAD, bytes(250_000_000)])
    assert [size for *_, size in flying] == [32_768], "one piece, until the peer says what it holds"
    while flying:
        first = sum(size for *_, size in flying)
        now[0] += seconds
        for seq, end, _ in list(flying):
            flying.pop(0)
            outgoing.answered(struct.pack("<QQ", seq, end))
        assert all(32_768 <= size <= 262_144 for *_, size in flying[:-1])
        most, last = max(most, first), first
        if most > 33_000_000 or now[0] > 60:
            break
    assert last == window
