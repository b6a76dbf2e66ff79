"""CPU seconds of all processes that descend from this one, while a `with` block lasts.

Read from /proc every `SAMPLE_SECONDS`: what a process uses after its last sample is not counted. Resource usage of
children would be exact, but leaves out every process whose parent ignores SIGCHLD, as Ray's workers have one. A process
once seen is followed when its parent has ended too.
"""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time
from pathlib import Path
from typing import NamedTuple, Self

SAMPLE_SECONDS = 0.1
TICK = os.sysconf("SC_CLK_TCK")


class Seen(NamedTuple):
    """A process, told from a later one with its number by when it started (ticks after boot)."""

    pid: int
    started: int


class Status(NamedTuple):
    """What /proc/PID/stat says."""

    seen: Seen
    parent: int
    ticks: int
    zombie: bool


def parse(stat: str) -> Status:
    """A line of /proc/PID/stat; the command's name, in brackets, may hold anything."""
    pid, rest = stat.split(" ", 1)[0], stat.rpartition(")")[2].split()
    return Status(Seen(int(pid), int(rest[19])), int(rest[1]), int(rest[11]) + int(rest[12]), rest[0] == "Z")


class Usage:
    """Samples from a thread; `cpu_seconds` and `wall_seconds` stand still once the block has been left."""

    def __init__(self) -> None:
        self._ticks: dict[Seen, int] = {}
        self._before: dict[Seen, int] = {}
        self._alive: set[Seen] = set()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True, name="usage")
        self.wall_seconds = 0.0

    def __enter__(self) -> Self:
        self.sample()
        self._before = dict(self._ticks)
        self._began = time.monotonic()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.wall_seconds = time.monotonic() - self._began
        self._stop.set()
        self._thread.join()
        self.sample()

    @property
    def cpu_seconds(self) -> float:
        """Of all that was seen, since the block was entered."""
        return sum(ticks - self._before.get(seen, 0) for seen, ticks in self._ticks.items()) / TICK

    def sample(self) -> None:
        """Look once."""
        found = {status.seen.pid: status for status in _every()}
        family = {os.getpid()} | {s.seen.pid for s in found.values() if s.seen in self._ticks}
        grew = True
        while grew:
            grown = family | {status.seen.pid for status in found.values() if status.parent in family}
            grew, family = len(grown) > len(family), grown
        mine = [found[pid] for pid in family - {os.getpid()} if pid in found]
        self._alive = {status.seen for status in mine if not status.zombie}
        for status in mine:
            self._ticks[status.seen] = max(status.ticks, self._ticks.get(status.seen, 0))

    def end_what_is_left(self) -> None:
        """Kill what was started since the block was entered and still runs."""
        self.sample()
        for seen in self._alive - set(self._before):
            with contextlib.suppress(ProcessLookupError):
                os.kill(seen.pid, signal.SIGKILL)

    def _run(self) -> None:
        while not self._stop.wait(SAMPLE_SECONDS):
            self.sample()


def _every() -> list[Status]:
    found = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            with contextlib.suppress(OSError):
                found.append(parse((folder / "stat").read_text()))
    return found
