"""A TCP line in user space between a party and its sponsor: a rate, a delay, and what goes wrong on real ones.

    with Line(("127.0.0.1", 7001), rate=mbit(3), delay=0.1) as line:   # 200 ms there and back
        ...                                                            # dial tcp://127.0.0.1:{line.port}
        line.cut()                                                     # every connection is reset; new ones are
        accepted line.stalled = True                                            # nothing moves, nothing is closed
        line.flip_every = 1 << 20                                      # now and then a bit, a cut, a stall: once in
        about line.cut_every = line.stall_every = 10 << 20                   # so many bytes, either way

Each direction serialises at `rate`, which all connections share, and then takes `delay`. The line keeps no more than
`BUFFERED_SECONDS` of what waits for its turn: what a sender sends too early waits in its own kernel. A test that owns
the clock starts no thread (no `with`) and calls `step` itself.
"""

from __future__ import annotations

import contextlib
import random
import socket
import struct
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal, Self

BUFFERED_SECONDS = 0.1
KERNEL_BYTES = 128 << 10
"""The line's own receive buffers: the kernel's default would take in megabytes that the line has not carried."""
PART_BYTES = 64 << 10
PARTS_A_TURN = 16
TURN_SECONDS = 0.001
STALL_SECONDS = 20.0
"""Longer than a party waits for a sign of life."""


def mbit(rate: float) -> float:
    """Bytes a second of a line of so many Mbit/s."""
    return rate * 1e6 / 8


@dataclass(eq=False)
class _Way:
    """One direction of one connection: what is on the line, with the time at which each part comes out of it."""

    source: socket.socket
    sink: socket.socket
    name: Literal["up", "down"]
    on_line: deque[tuple[float, bytes]] = field(default_factory=deque)
    ended: bool = False
    closed: bool = False


class Line:
    """Listens on `port` of loopback and carries every connection to `target`.

    Args:
        rate: bytes a second in each direction, None without a limit.
        delay: seconds one way.
        seed: of what goes wrong now and then.

    Attributes:
        carried: bytes that came out of the line, by direction: "up" to the target, "down" from it.
        stalled: while true nothing moves.
        flip_every, cut_every, stall_every: flip one bit, reset a connection, or let nothing move for `STALL_SECONDS`,
        once
            in about so many bytes; 0 for never.
    """

    def __init__(
        self,
        target: tuple[str, int],
        rate: float | None = None,
        delay: float = 0.0,
        clock: Callable[[], float] = time.monotonic,
        seed: int = 0,
    ) -> None:
        self._target, self._rate, self._delay, self._clock = target, rate, delay, clock
        self._random = random.Random(seed)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, KERNEL_BYTES)
        self._listener.setblocking(False)
        self.port: int = self._listener.getsockname()[1]
        self.carried = {"up": 0, "down": 0}
        self.stalled = False
        self.flip_every = self.cut_every = self.stall_every = 0
        self._still_until = float("-inf")
        self._free_at = {"up": 0.0, "down": 0.0}
        self._ways: list[_Way] = []
        self._lock = threading.Condition()
        self._ending = threading.Event()
        self._thread: threading.Thread | None = None

    def __enter__(self) -> Self:
        self._thread = threading.Thread(target=self._run, daemon=True, name="line")
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Reset what is connected and stop listening."""
        self._ending.set()
        if self._thread is not None:
            self._thread.join()
        self.cut()
        self._listener.close()

    @property
    def idle(self) -> bool:
        """Whether nothing is on the line."""
        return not any(way.on_line for way in self._ways)

    def cut(self) -> None:
        """Reset every connection at both ends; what was on the line is gone."""
        with self._lock:
            for way in self._ways:
                _reset(way.source)
            self._ways.clear()

    def step(self) -> None:
        """Carry what is due by the clock; never waits."""
        with self._lock:
            if self.stalled or self._clock() < self._still_until:
                return
            self._accept()
            for way in list(self._ways):
                if way in self._ways:  # not reset with its counterpart a moment ago
                    self._carry(way)
            self._lock.notify_all()

    def wait(self, way: Literal["up", "down"], carried: int, seconds: float = 60.0) -> bool:
        """Until so many bytes in all came out of the line that way; False when they did not in time."""
        with self._lock:
            return self._lock.wait_for(lambda: self.carried[way] >= carried, seconds)

    def _run(self) -> None:
        while not self._ending.wait(TURN_SECONDS):
            self.step()

    def _accept(self) -> None:
        with contextlib.suppress(BlockingIOError):
            while True:
                near, _ = self._listener.accept()
                try:
                    far = socket.create_connection(self._target, timeout=5)
                except OSError:  # nobody listens there now
                    _reset(near)
                    continue
                far.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, KERNEL_BYTES)
                for end in (near, far):
                    end.setblocking(False)
                    end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                self._ways += [_Way(near, far, "up"), _Way(far, near, "down")]

    def _carry(self, way: _Way) -> None:
        both = [w for w in self._ways if way.source in (w.source, w.sink)]
        try:
            self._take_in(way)
            self._put_out(way)
            if way.ended and not way.on_line and not way.closed:
                way.closed = True
                way.sink.shutdown(socket.SHUT_WR)
        except OSError:  # one end was reset; so is the other
            for w in both:
                _reset(w.source)
        else:
            if not all(w.closed for w in both):
                return
            for w in both:
                w.source.close()
        self._ways = [w for w in self._ways if w not in both]

    def _take_in(self, way: _Way) -> None:
        now = self._clock()
        most = PART_BYTES if self._rate is None else int(min(PART_BYTES, max(512, self._rate / 100)))
        for _ in range(PARTS_A_TURN):
            if way.ended or self._free_at[way.name] - now >= BUFFERED_SECONDS:
                return
            try:
                part = way.source.recv(most)
            except BlockingIOError:
                return
            way.ended = not part
            free = max(now, self._free_at[way.name]) + (len(part) / self._rate if self._rate else 0.0)
            self._free_at[way.name] = free
            if part:
                way.on_line.append((free + self._delay, self._flipped(part)))
                if self._now_and_then(self.cut_every, part):
                    raise ConnectionResetError
                if self._now_and_then(self.stall_every, part):
                    self._still_until = now + STALL_SECONDS

    def _put_out(self, way: _Way) -> None:
        now = self._clock()
        while way.on_line and way.on_line[0][0] <= now:
            due, part = way.on_line.popleft()
            try:
                sent = way.sink.send(part)
            except BlockingIOError:
                sent = 0
            self.carried[way.name] += sent
            if sent < len(part):
                way.on_line.appendleft((due, part[sent:]))
                return

    def _now_and_then(self, every: int, part: bytes) -> bool:
        return every > 0 and self._random.random() < len(part) / every

    def _flipped(self, part: bytes) -> bytes:
        if not self._now_and_then(self.flip_every, part):
            return part
        changed = bytearray(part)
        changed[self._random.randrange(len(part))] ^= 1 << self._random.randrange(8)
        return bytes(changed)


def _reset(end: socket.socket) -> None:
    with contextlib.suppress(OSError):
        end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    end.close()
