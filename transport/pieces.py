"""Messages in pieces: what a link sends at a time, and how it goes on where it stopped (PROTOCOL.md, "Pieces").

libzmq delivers a message whole or not at all, out of one queue of any length. A large one would be nothing to its
receiver until its last byte, and every heartbeat would wait behind it. So a message is cut into pieces that arrive one
by one, each of them a sign of life, and only as many are sent as arrive within a second or two: the rest waits here,
where heartbeats overtake it. Nothing here opens a socket or reads a clock by itself.
"""

from __future__ import annotations

import bisect
import itertools
import struct
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from transport.events import Frame

LEAST_PIECE, MOST_PIECE = 32 << 10, 256 << 10
"""Bytes of a piece, but for a message's last. The first one holds table, header, signature and salts whole (25 KiB at
most), and a line of 20 kbit/s still carries one within the silence limit."""
LEAST_WINDOW, FIRST_WINDOW, MOST_WINDOW = 64 << 10, 256 << 10, 32 << 20
"""Bytes under way to a peer: two pieces at least; at first 2 s of 1 Mbit/s; at most 250 ms of 1 Gbit/s."""
QUICK_SECONDS, SLOW_SECONDS = 1.0, 2.0
"""The window grows while pieces are answered within the first, and shrinks when one takes more than the second."""
MAX_FRAMES = 1024
"""Frames of one message: payloads are cut into frames of 8 MiB."""
MAX_MESSAGE_BYTES = 8 << 30
"""Bytes of any message; what one of its kind may have is checked once its header is there."""
HEAD_FRAMES = 3
"""Header, signature and salts: the frames that fix what the rest must be."""
_PREFIX, _ANSWER, _COUNT, _LENGTH = (struct.Struct(f) for f in ("<QQQ", "<QQ", "<I", "<Q"))
PREFIX_BYTES, ANSWER_BYTES = _PREFIX.size, _ANSWER.size


class _Parcel:
    """A message as one string of bytes: how many frames, their lengths, the frames."""

    def __init__(self, seq: int, frames: Sequence[Frame]) -> None:
        lengths = [memoryview(frame).nbytes for frame in frames]
        table = _COUNT.pack(len(lengths)) + b"".join(map(_LENGTH.pack, lengths))
        views = [memoryview(frame).cast("B") for frame, length in zip(frames, lengths, strict=True) if length]
        self.seq, self.sent = seq, 0
        self._parts = [memoryview(table), *views]
        self._ends = list(itertools.accumulate(part.nbytes for part in self._parts))
        self.total = self._ends[-1]

    def cut(self, size: int) -> tuple[bytes, bytes]:
        """Prefix and bytes of the next piece, of `size` bytes or what is left."""
        begin, end = self.sent, min(self.sent + size, self.total)
        found, at = [], bisect.bisect_right(self._ends, begin)
        while begin < end:
            part, stop = self._parts[at], min(end, self._ends[at])
            start = self._ends[at] - part.nbytes
            found.append(part[begin - start : stop - start])
            begin, at = stop, at + 1
        prefix = _PREFIX.pack(self.seq, self.total, self.sent)
        self.sent = end
        return prefix, b"".join(found)


@dataclass(frozen=True, slots=True)
class _Flying:
    """A piece without its answer: which message it brings up to which byte, its size, and when it was sent."""

    seq: int
    end: int
    size: int
    at: float


class Outgoing:
    """The messages to one peer, in order, with as many bytes under way as the line carries in a second or two.

    Args:
        send: hands prefix and bytes of a piece to the socket.
        clock: in seconds.
    """

    def __init__(self, send: Callable[[bytes, bytes], object], clock: Callable[[], float]) -> None:
        self._send, self._clock = send, clock
        self._waiting: deque[_Parcel] = deque()
        self._flying: deque[_Flying] = deque()
        self._under_way, self._window = 0, FIRST_WINDOW
        self._asking = True

    def restart(self) -> None:
        """Forget what is queued: the peer will say what it has, and what it lacks is pushed again.

        Of the first message one piece is sent, and the answer says from where to go on.
        """
        self._waiting.clear()
        self._flying.clear()
        self._under_way, self._window = 0, min(self._window, FIRST_WINDOW)
        self._asking = True

    def push(self, seq: int, frames: Sequence[Frame]) -> None:
        """Queue a message, and send what may be sent."""
        self._waiting.append(_Parcel(seq, frames))
        self._pump()

    def answered(self, answer: bytes) -> bool:
        """The peer says how much it holds of a message; returns whether pieces of ours have arrived."""
        seq, held = _ANSWER.unpack(answer)
        arrived = self._land(seq, held)
        for piece in arrived:
            self._adapt(self._clock() - piece.at, piece.size)
        first = self._waiting[0] if self._waiting else None
        if first is not None and first.seq == seq and first.sent <= held < first.total:
            first.sent = held
        self._asking = self._asking and not arrived
        self._pump()
        return bool(arrived)

    def acknowledged(self, seq: int) -> bool:
        """The peer has everything up to `seq` on its disk; returns whether pieces of ours were under way to it."""
        arrived = self._land(seq, MAX_MESSAGE_BYTES)
        while self._waiting and self._waiting[0].seq <= seq:
            self._waiting.popleft()
        self._asking = self._asking and not arrived
        self._pump()
        return bool(arrived)

    def _land(self, seq: int, held: int) -> list[_Flying]:
        arrived = []
        while self._flying and (self._flying[0].seq, self._flying[0].end) <= (seq, held):
            arrived.append(self._flying.popleft())
            self._under_way -= arrived[-1].size
        return arrived

    def _adapt(self, seconds: float, size: int) -> None:
        if seconds > SLOW_SECONDS:  # a whole window that comes late halves it
            self._window = max(LEAST_WINDOW, self._window - size // 2)
        elif seconds < QUICK_SECONDS and self._waiting:  # a whole window in time doubles it, where it is what limits
            self._window = min(MOST_WINDOW, self._window + size)

    def _pump(self) -> None:
        while self._waiting and self._under_way < self._window and not (self._asking and self._flying):
            parcel = self._waiting[0]
            size = LEAST_PIECE if self._asking else max(LEAST_PIECE, min(MOST_PIECE, self._window // 8))
            self._asking = self._asking and parcel.total > size
            prefix, piece = parcel.cut(size)
            self._flying.append(_Flying(parcel.seq, parcel.sent, len(piece), self._clock()))
            self._under_way += len(piece)
            if parcel.sent == parcel.total:
                self._waiting.popleft()
            self._send(prefix, piece)


@dataclass(frozen=True, slots=True)
class Arrived:
    """What came of a piece: an answer to its sender, the head of a message that begins, or a whole message.

    Attributes:
        answer: how much is held of a message that is not whole; empty otherwise.
        head: header, signature and salts of a message that is not whole, once.
        rest: bytes of the frames that follow the head.
        frames: a whole message.
    """

    answer: bytes = b""
    head: Sequence[memoryview] = field(default=(), repr=False)
    rest: int = 0
    frames: Sequence[memoryview] = field(default=(), repr=False)


class Incoming:
    """The one message of a peer's that is on its way; what is there of it outlives the connection."""

    def __init__(self) -> None:
        self._message, self._held = (0, 0), bytearray()

    def take(self, prefix: bytes, piece: memoryview) -> Arrived | None:
        """Add a piece; None for one that is malformed, or before which some are missing."""
        seq, total, offset = _PREFIX.unpack(prefix)
        if not (seq and piece.nbytes and offset + piece.nbytes <= total <= MAX_MESSAGE_BYTES):
            return None
        if piece.nbytes == total:
            self._message, self._held = (0, 0), bytearray()
            return _whole(piece)
        head: Sequence[memoryview] = ()
        if offset == 0 and not ((seq, total) == self._message and self._held.startswith(piece)):
            head = _frames(piece, total)[:HEAD_FRAMES]
            if not head:
                return None
            self._message, self._held = (seq, total), bytearray()
        if (seq, total) != self._message or offset > len(self._held):
            return None
        self._held += piece[len(self._held) - offset :]
        if len(self._held) < total:
            rest = total - _begin(piece) - sum(map(len, head)) if head else 0
            return Arrived(_ANSWER.pack(seq, len(self._held)), head, rest)
        held, self._message, self._held = memoryview(self._held).toreadonly(), (0, 0), bytearray()
        return _whole(held)


def _whole(held: memoryview) -> Arrived | None:
    frames = _frames(held, held.nbytes)
    return Arrived(frames=frames) if frames else None


def _begin(held: memoryview) -> int:
    """Where the first frame begins: behind the table of lengths."""
    count: int = _COUNT.unpack_from(held)[0]
    return _COUNT.size + count * _LENGTH.size


def _frames(held: memoryview, total: int) -> list[memoryview]:
    """The frames that are whole in the beginning of a message of `total` bytes; none if the head is not, or a lie."""
    if held.nbytes < _COUNT.size or not HEAD_FRAMES <= _COUNT.unpack_from(held)[0] <= MAX_FRAMES:
        return []
    begin = _begin(held)
    if held.nbytes < begin:
        return []
    lengths = [length for (length,) in _LENGTH.iter_unpack(held[_COUNT.size : begin])]
    ends = list(itertools.accumulate(lengths, initial=begin))
    if ends[-1] != total or ends[HEAD_FRAMES] > held.nbytes:
        return []
    return [held[a:b] for a, b in itertools.pairwise(ends) if b <= held.nbytes]
