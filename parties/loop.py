"""The I/O loop of a party: short and dull. One thread for sockets and state, one for long computations."""

from __future__ import annotations

import queue
import signal
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from types import FrameType
from typing import Any, Protocol

from parties.node import Node, Outcome, Transmit
from parties.progress import Progress
from secure_gal.effects import Compute, Note
from secure_gal.errors import Paused, SettingsError
from transport.events import Ack, Attached, Event, Lost, Message, Refused, Sync

POLL_SECONDS = 0.25
"""Longest wait in one poll: how late a signal or a patience limit may be noticed."""


class Socket(Protocol):
    """What `SponsorSocket` and `AssistorSocket` share."""

    def poll(self, timeout: float) -> Iterable[Event]: ...
    def send_message(self, peer: str, frames: Sequence[Any]) -> None: ...
    def send_sync(self, peer: str, payload: bytes) -> None: ...
    def send_ack(self, peer: str, seq: int) -> None: ...
    def refuse(self, peer: str, reason: str) -> None: ...
    def attached(self) -> set[str]: ...
    def wake(self) -> None: ...
    def close(self) -> None: ...


class Worker:
    """One daemon thread that runs jobs in order, so that heartbeats are answered during a long fit."""

    def __init__(self, wake: Callable[[], None]) -> None:
        self._jobs: queue.SimpleQueue[Compute] = queue.SimpleQueue()
        self._results: queue.SimpleQueue[tuple[str, object, float, BaseException | None]] = queue.SimpleQueue()
        self._wake = wake
        threading.Thread(target=self._work, daemon=True, name="compute").start()

    def submit(self, job: Compute) -> None:
        """Queue a job."""
        self._jobs.put(job)

    def results(self) -> list[tuple[str, object, float]]:
        """Finished jobs as (tag, result, seconds); a job's exception is raised here, in the loop's thread."""
        finished = []
        while not self._results.empty():
            tag, result, seconds, error = self._results.get()
            if error is not None:
                raise error
            finished.append((tag, result, seconds))
        return finished

    def _work(self) -> None:
        while True:
            job = self._jobs.get()
            began, result, failure = time.monotonic(), None, None
            try:
                result = job.job()
            except BaseException as error:  # handed to the loop, which raises it
                failure = error
            self._results.put((job.tag, result, time.monotonic() - began, failure))
            self._wake()


class Stop:
    """Turns SIGINT and SIGTERM into a flag that the loop reads between steps."""

    def __init__(self) -> None:
        self.asked = False
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                signal.signal(number, self._on_signal)

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        self.asked = True


class Loop:
    """Carries events to the node and its outcomes to the socket."""

    def __init__(self, node: Node, progress: Progress) -> None:
        self.node = node
        self.progress = progress
        self.stop = Stop()
        self.done = False
        self._socket: Socket | None = None
        self.on_note: Callable[[Note], Note] = lambda note: note
        self.on_computed: Callable[[str, float], None] = lambda tag, seconds: None
        self.worker = Worker(self._wake)

    def start(self) -> None:
        """Take up the saved state; what a resumed party needs in memory is computed before it goes online."""
        outcome = self.node.start()
        while outcome.compute and outcome.compute[0].tag == "prepare":
            job = outcome.compute.pop(0)
            self._carry(outcome)
            began = time.monotonic()
            result = job.job()
            outcome = self._computed(job.tag, result, time.monotonic() - began)
        self._carry(outcome)

    def online(self, socket: Socket) -> None:
        """Use this socket from now on."""
        self._socket = socket

    def run(self, finished: Callable[[], bool], each: Callable[[], None] = lambda: None) -> None:
        """Work until `finished()`; `each` is called once a turn (patience limits live there).

        Raises:
            Paused: a person asked to stop; the state is saved.
        """
        while not finished():
            if self.stop.asked:
                raise Paused("stopped as asked; the state is saved, and the same command goes on from here")
            each()
            assert self._socket is not None  # noqa: S101
            for event in self._socket.poll(POLL_SECONDS):
                self._handle(event)
            for tag, result, seconds in self.worker.results():
                self._carry(self._computed(tag, result, seconds))

    def _computed(self, tag: str, result: object, seconds: float) -> Outcome:
        """Hand a job's result to the node, and how long it took to `on_computed`."""
        self.on_computed(tag, seconds)
        return self.node.computed(tag, result)

    def _handle(self, event: Event) -> None:
        match event:
            case Attached(peer):
                self.progress.note(Note("attached", {"peer": peer}))
                self._carry(self.node.attached(peer))
            case Lost(peer):
                self.progress.note(Note("lost", {"peer": peer}))
                self.node.lost(peer)
            case Sync(peer, payload):
                self._carry(self.node.sync(peer, payload))
            case Message(peer, frames):
                self._carry(self.node.message(peer, frames))
            case Ack(peer, seq):
                self.node.ack(peer, seq)
            case Refused(peer, reason):
                raise SettingsError(peer, f"refused this party: {reason}")

    def _carry(self, outcome: Outcome) -> None:
        for note in outcome.notes:
            self.progress.note(self.on_note(note))
        for item in outcome.transmit:
            self._transmit(item)
        for job in outcome.compute:
            self.worker.submit(job)
        self.done = self.done or outcome.done

    def _transmit(self, item: Transmit) -> None:
        if self._socket is None or item.peer not in self._socket.attached():
            return  # it waits in the outbox and goes out after the next sync
        match item.kind:
            case "message":
                self._socket.send_message(item.peer, item.frames)
            case "ack":
                self._socket.send_ack(item.peer, item.seq)
            case "sync":
                self._socket.send_sync(item.peer, item.frames[0])
            case "refuse":
                self._socket.refuse(item.peer, item.frames[0].decode())

    def _wake(self) -> None:
        if self._socket is not None:
            self._socket.wake()
