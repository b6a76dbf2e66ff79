"""Messages in pieces, without a socket: whole, cut off anywhere, malformed, and over simulated lines."""

from __future__ import annotations

import random
import struct
from collections import deque
from collections.abc import Sequence

import pytest

from transport.pieces import (
    FIRST_WINDOW,
    LEAST_PIECE,
    LEAST_WINDOW,
    MAX_FRAMES,
    MAX_MESSAGE_BYTES,
    MOST_PIECE,
    MOST_WINDOW,
    Arrived,
    Incoming,
    Outgoing,
)

HEAD = [b"h" * 900, b"s" * 64, b"t" * 32]


def message(size: int, seed: int = 0) -> list[bytes]:
    payload = (random.Random(seed).randbytes(997) * (size // 997 + 1))[:size]
    return [*HEAD, *(payload[i : i + 100_000] for i in range(0, size, 100_000))]


class Pair:
    """A sender and a receiver whose pieces and answers take their time: `rate` bytes a second, `delay` one way."""

    def __init__(self, rate: float = 1e9, delay: float = 0.0) -> None:
        self.now, self.rate, self.delay, self.free_at = 0.0, rate, delay, 0.0
        self.incoming = Incoming()
        self.outgoing = Outgoing(self._send, lambda: self.now)
        self.on_line: deque[tuple[float, bytes, bytes]] = deque()
        self.answers: deque[tuple[float, bytes | int]] = deque()
        self.whole: list[Sequence[memoryview]] = []
        self.heads: list[Arrived] = []
        self.sent = 0
        self.queued: list[float] = []
        self.sizes: list[int] = []
        self.under_way: list[int] = []

    def _send(self, prefix: bytes, piece: bytes) -> None:
        self.sent += len(piece)
        self.sizes.append(len(piece))
        self.under_way.append(self.outgoing._under_way)
        self.free_at = max(self.now, self.free_at) + len(piece) / self.rate
        self.queued.append(self.free_at - self.now)
        self.on_line.append((self.free_at + self.delay, prefix, piece))

    def step(self) -> bool:
        """The next thing that happens; False when nothing will."""
        due = [queue[0][0] for queue in (self.on_line, self.answers) if queue]
        if not due:
            return False
        self.now = max(self.now, min(due))
        if self.answers and self.answers[0][0] <= self.now:
            answer = self.answers.popleft()[1]
            if isinstance(answer, int):
                self.outgoing.acknowledged(answer)
            else:
                self.outgoing.answered(answer)
            return True
        _, prefix, piece = self.on_line.popleft()
        arrived = self.incoming.take(prefix, memoryview(piece))
        assert arrived is not None
        if arrived.head:
            self.heads.append(arrived)
        if arrived.frames:
            self.whole.append([memoryview(bytes(frame)) for frame in arrived.frames])
            self.answers.append((self.now + self.delay, struct.unpack("<QQQ", prefix)[0]))
        elif arrived.answer:
            self.answers.append((self.now + self.delay, arrived.answer))
        return True

    def run(self) -> None:
        while self.step():
            pass

    def cut(self) -> None:
        """The connection breaks and comes back; the receiver's memory stays."""
        self.on_line.clear()
        self.answers.clear()
        self.outgoing.restart()


@pytest.mark.parametrize("size", [0, 1, 31_000, LEAST_PIECE, LEAST_PIECE + 1, 300_000, 5_000_000])
def test_messages_arrive_as_they_were_sent(size: int) -> None:
    pair, sent = Pair(), [message(size, seed) for seed in range(3)]
    for seq, frames in enumerate(sent, 1):
        pair.outgoing.push(seq, frames)
    pair.run()
    assert [[bytes(f) for f in frames] for frames in pair.whole] == sent


def test_a_small_message_is_one_piece_and_waits_for_nothing() -> None:
    pair = Pair()
    for seq in (1, 2, 3):
        pair.outgoing.push(seq, message(1000))
    assert len(pair.on_line) == 3 and not pair.answers


def test_the_head_of_a_long_message_comes_first_with_what_is_to_follow() -> None:
    pair = Pair()
    pair.outgoing.push(1, message(250_000))
    pair.run()
    (head,) = pair.heads
    assert [bytes(f) for f in head.head] == HEAD and head.rest == 250_000


@pytest.mark.parametrize("seed", range(10))
def test_cut_off_anywhere_it_goes_on_where_it_stopped(seed: int) -> None:
    chance, sent = random.Random(seed), [message(1_000_000, 7), message(400_000, 8)]
    pair, cuts = Pair(150_000.0, 0.1), 0
    for seq, frames in enumerate(sent, 1):
        pair.outgoing.push(seq, frames)
    while pair.step():
        if chance.random() < 0.1:
            pair.cut()
            cuts += 1
            for seq, frames in list(enumerate(sent, 1))[len(pair.whole) :]:
                pair.outgoing.push(seq, frames)
    assert [[bytes(f) for f in frames] for frames in pair.whole] == sent
    # every cut costs what was under way, and the piece that asks
    assert cuts and pair.sent < 1_402_000 + cuts * (1.2 * FIRST_WINDOW + LEAST_PIECE)


def test_another_message_under_the_same_number_is_not_mixed_with_the_first() -> None:
    pair, other = Pair(), [bytes(len(frame)) for frame in message(500_000)]
    pair.outgoing.push(1, message(500_000))
    for _ in range(4):
        pair.step()
    pair.cut()  # the sender's run directory was replaced: its numbers begin anew
    pair.outgoing.push(1, other)
    pair.run()
    assert [bytes(f) for f in pair.whole[0]] == other


def test_what_the_receiver_has_already_is_not_sent_to_its_end() -> None:
    pair = Pair()
    pair.outgoing.push(1, message(20_000_000))
    pair.outgoing.push(2, message(1000))
    pair.step()
    pair.outgoing.acknowledged(1)
    pair.run()
    assert len(pair.whole) == 1 and pair.sent < 2_000_000


MBIT = 125_000.0


@pytest.mark.parametrize(("rate", "size"), [(1, 3e6), (3, 5e6), (10, 10e6), (100, 30e6)])
def test_lines_of_any_rate_are_kept_full_and_never_over_full(rate: float, size: float) -> None:
    pair = Pair(rate * MBIT, delay=0.1)
    pair.outgoing.push(1, message(int(size)))
    pair.run()
    assert pair.now < 1.3 * size / (rate * MBIT) + 0.8  # 0.8 s: the window doubles from 256 kB every 0.2 s
    assert max(pair.queued) < 3.2 and max(pair.queued[len(pair.queued) // 2 :]) < 2.1


def test_a_very_slow_line_gets_small_pieces_and_short_queues() -> None:
    pair = Pair(MBIT / 16, delay=0.3)
    pair.outgoing.push(1, message(2_000_000))
    pair.run()
    assert max(pair.queued[len(pair.queued) // 2 :]) <= LEAST_WINDOW / (MBIT / 16) + 4.5
    assert pair.now < 1.1 * 2_000_000 / (MBIT / 16)


def test_a_fast_line_gets_large_pieces_and_a_bounded_window() -> None:
    pair = Pair(1e10, delay=1e-4)
    pair.outgoing.push(1, message(100_000_000))
    pair.run()
    assert len(pair.whole) == 1 and max(pair.sizes) == MOST_PIECE and max(pair.under_way) == MOST_WINDOW


def piece(seq: int, total: int, offset: int, body: bytes) -> tuple[bytes, memoryview]:
    return struct.pack("<QQQ", seq, total, offset), memoryview(body)


def packed(frames: Sequence[bytes], count: int | None = None, lengths: Sequence[int] | None = None) -> bytes:
    counted = len(frames) if count is None else count
    sizes = lengths if lengths is not None else [len(f) for f in frames]
    return struct.pack("<I", counted) + struct.pack(f"<{len(sizes)}Q", *sizes) + b"".join(frames)


GOOD = packed(message(200_000))


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\1",
        packed([b"h", b"s"]),  # fewer frames than a head
        packed(HEAD, count=4),
        packed(HEAD, count=MAX_FRAMES + 1, lengths=[1] * (MAX_FRAMES + 1)),
        packed(HEAD, lengths=[900, 64, 33]),
        packed(HEAD, lengths=[900, 64, 31]),
        packed(HEAD, lengths=[2**64 - 1, 64, 32]),
        *(packed(HEAD)[:cut] for cut in range(0, 1024, 7)),
        packed(HEAD) + b"\0",
    ],
)
def test_malformed_messages_are_dropped(body: bytes) -> None:
    assert Incoming().take(*piece(1, len(body), 0, body)) is None


@pytest.mark.parametrize(
    ("seq", "total", "offset", "body"),
    [
        (0, len(GOOD), 0, GOOD[:LEAST_PIECE]),
        (1, len(GOOD), 1, GOOD[1:LEAST_PIECE]),  # nothing goes before
        (1, len(GOOD) + 1, 0, GOOD[:LEAST_PIECE]),  # the table says another length
        (1, MAX_MESSAGE_BYTES + 1, 0, GOOD[:LEAST_PIECE]),
        (1, 2**64 - 1, 2**64 - 1, GOOD[:LEAST_PIECE]),
        (1, LEAST_PIECE - 1, 0, GOOD[:LEAST_PIECE]),
        (1, len(GOOD), 0, GOOD[:500]),  # the head is cut
        (1, len(GOOD), 0, b""),
    ],
)
def test_malformed_pieces_are_dropped_and_change_nothing(seq: int, total: int, offset: int, body: bytes) -> None:
    incoming = Incoming()
    assert incoming.take(*piece(seq, total, offset, body)) is None
    first = incoming.take(*piece(5, len(GOOD), 0, GOOD[:LEAST_PIECE]))
    assert first is not None and first.head
    assert incoming.take(*piece(seq, total, offset, body)) is None
    assert incoming.take(*piece(5, len(GOOD), LEAST_PIECE + 1, b"gap")) is None
    whole = incoming.take(*piece(5, len(GOOD), LEAST_PIECE, GOOD[LEAST_PIECE:]))
    assert whole is not None and [bytes(f) for f in whole.frames] == message(200_000)


def test_a_message_above_the_bound_never_begins_however_well_its_table_adds_up() -> None:
    claimed = MAX_MESSAGE_BYTES + 1
    body = packed(HEAD, count=4, lengths=[900, 64, 32, claimed - 4 - 32 - 996]) + bytes(LEAST_PIECE)
    incoming = Incoming()
    assert incoming.take(*piece(1, claimed, 0, body)) is None and not incoming._held


@pytest.mark.parametrize("body", [b"", GOOD[LEAST_PIECE:] + b"x"], ids=["empty", "beyond the end"])
def test_a_piece_that_cannot_be_the_next_changes_nothing(body: bytes) -> None:
    incoming = Incoming()
    incoming.take(*piece(5, len(GOOD), 0, GOOD[:LEAST_PIECE]))
    assert incoming.take(*piece(5, len(GOOD), LEAST_PIECE, body)) is None
    whole = incoming.take(*piece(5, len(GOOD), LEAST_PIECE, GOOD[LEAST_PIECE:]))
    assert whole is not None and [bytes(f) for f in whole.frames] == message(200_000)


def test_nothing_is_held_that_has_not_arrived() -> None:
    incoming, claimed = Incoming(), MAX_MESSAGE_BYTES
    body = packed(HEAD, count=4, lengths=[900, 64, 32, claimed - 4 - 32 - 996]) + bytes(LEAST_PIECE)
    arrived = incoming.take(*piece(1, claimed, 0, body))
    assert arrived is not None and arrived.rest == claimed - 4 - 32 - 996
    assert len(incoming._held) == len(body)


def test_what_the_peer_has_already_ends_the_asking_for_it() -> None:
    sent: list[int] = []
    outgoing = Outgoing(lambda prefix, piece: sent.append(len(piece)), lambda: 0.0)
    for seq in (1, 2):
        outgoing.push(seq, message(2_000_000))
    assert len(sent) == 1, "one piece of the first, until the peer says what it holds"
    assert outgoing.acknowledged(1) and len(sent) > 2, "then as much as the window holds of the next"


def test_what_arrived_shows_no_payload() -> None:
    arrived = Incoming().take(*piece(1, len(GOOD), 0, GOOD))
    assert arrived is not None and arrived.frames and "memory" not in repr(arrived)


def test_a_message_of_empty_frames_arrives() -> None:
    body = packed([b"", b"", b""])
    arrived = Incoming().take(*piece(1, len(body), 0, body))
    assert arrived is not None and [bytes(frame) for frame in arrived.frames] == [b"", b"", b""]
    assert arrived.rest == 0 and arrived.answer == b"" and not arrived.head


def test_of_a_message_that_goes_on_the_rest_is_told_once() -> None:
    incoming = Incoming()
    first = incoming.take(*piece(1, len(GOOD), 0, GOOD[:LEAST_PIECE]))
    second = incoming.take(*piece(1, len(GOOD), LEAST_PIECE, GOOD[LEAST_PIECE : 2 * LEAST_PIECE]))
    assert first is not None and second is not None and first.rest == 200_000
    assert second.rest == 0 and not second.head and struct.unpack("<QQ", second.answer) == (1, 2 * LEAST_PIECE)


def test_a_message_has_3_to_1024_frames_and_8_gib() -> None:
    for count, arrives in ((2, False), (3, True), (1024, True), (1025, False)):
        body = packed([b"x"] * count)
        assert (Incoming().take(*piece(1, len(body), 0, body)) is not None) is arrives
    for total, arrives in ((8 << 30, True), ((8 << 30) + 1, False)):
        body = packed(HEAD, count=4, lengths=[900, 64, 32, total - 4 - 32 - 996]) + bytes(LEAST_PIECE)
        assert (Incoming().take(*piece(1, total, 0, body)) is not None) is arrives
