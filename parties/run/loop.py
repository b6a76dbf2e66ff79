"""The I/O loop of a party: short and dull. One thread for sockets and state, one for long computations, and one for
such as may run beside them."""

from __future__ import annotations

import contextlib
import queue
import signal
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from types import FrameType
from typing import Protocol, assert_never

from parties.run.exchange import Outcome, Transmit
from parties.run.loading import loading
from parties.run.node import Node
from parties.run.progress import Progress
from secure_gal import events
from secure_gal.effects import Job
from secure_gal.errors import Paused, SettingsError
from transport.events import Ack, Attached, Begun, Event, Frame, Lost, Message, Refused, Sync

POLL_SECONDS = 0.25
"""Longest wait in one poll: how late a signal or a patience limit may be noticed."""


class Socket(Protocol):
    """What `SponsorSocket` and `AssistorSocket` share."""

    def poll(self, timeout: float) -> Iterable[Event]: ...
    def send_message(self, peer: str, seq: int, frames: Sequence[Frame]) -> None: ...
    def send_sync(self, peer: str, payload: bytes) -> None: ...
    def send_ack(self, peer: str, seq: int) -> None: ...
    def refuse(self, peer: str, reason: str) -> None: ...
    def attached(self) -> set[str]: ...
    def wake(self) -> None: ...
    def close(self) -> None: ...


class Worker:
    """One daemon thread that runs jobs in order, so that heartbeats are answered during a long fit."""

    def __init__(self, wake: Callable[[], None]) -> None:
        self._jobs: queue.SimpleQueue[Job] = queue.SimpleQueue()
        self._results: queue.SimpleQueue[tuple[Job, object, float, BaseException | None]] = queue.SimpleQueue()
        self._wake = wake
        self._open = 0
        threading.Thread(target=self._work, daemon=True, name="compute").start()

    def submit(self, job: Job) -> None:
        """Queue a job."""
        self._open += 1
        self._jobs.put(job)

    @property
    def busy(self) -> bool:
        """Whether a job is queued or running, or its result not yet taken."""
        return self._open > 0

    def results(self, wait: float = 0.0) -> list[tuple[Job, object, float]]:
        """Finished jobs as (job, result, seconds), after `wait` seconds at most if there are none yet.

        A job's exception is raised here, in the loop's thread.
        """
        finished: list[tuple[Job, object, float]] = []
        while True:
            try:
                job, result, seconds, error = self._results.get(timeout=0.0 if finished else wait)
            except queue.Empty:
                return finished
            self._open -= 1
            if error is not None:
                raise error
            finished.append((job, result, seconds))

    def _work(self) -> None:
        while True:
            job = self._jobs.get()
            began, result, failure = time.monotonic(), None, None
            try:
                result = job.job()
            except BaseException as error:  # handed to the loop, which raises it
                failure = error
            self._results.put((job, result, time.monotonic() - began, failure))
            self._wake()


class Stop:
    """SIGINT and SIGTERM (unless they are ignored): a flag that the loop reads between steps, from `begin` to `end`.

    Before and after they end the process at once, as a second one does: what counts is on the disk.
    """

    def __init__(self) -> None:
        self.asked = False

    def begin(self) -> None:
        """Set the flag from now on."""
        _on_stop(self._on_signal)

    def end(self) -> None:
        """From now on the process ends at once."""
        _on_stop(signal.SIG_DFL)

    def check(self) -> None:
        """Paused if a person asked to stop."""
        if self.asked:
            raise Paused("stopped as asked; the state is saved, and the same command goes on from here")

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        self.asked = True
        self.end()


def _on_stop(action: Callable[[int, FrameType | None], None] | signal.Handlers) -> None:
    if threading.current_thread() is threading.main_thread():
        for number in (signal.SIGINT, signal.SIGTERM):
            if signal.getsignal(number) != signal.SIG_IGN:
                signal.signal(number, action)


def stop_at_once() -> None:
    """SIGINT and SIGTERM end the process at once, also in the middle of a library's code, where Python would wait.

    Reading a table and opening a ledger may take long, and nothing needs to be saved before the loop begins.
    """
    with loading():
        import polars  # noqa: F401  (takes SIGINT over when it is imported, so that must not come later)

    _on_stop(signal.SIG_DFL)


cut_off = False
"""Whether a loop was left while a job was running; its thread goes on as long as the process does."""


class Loop:
    """Carries events to the node and its outcomes to the socket."""

    def __init__(self, node: Node, progress: Progress) -> None:
        self.node = node
        self.progress = progress
        self.stop = Stop()
        self.done = False
        self._socket: Socket | None = None
        self.on_event: Callable[[events.Event], events.Event] = lambda event: event
        self.on_computed: Callable[[Job, float], None] = lambda job, seconds: None
        self.on_carried: Callable[[Job], None] = lambda job: None
        self.worker, self._aside = Worker(self._wake), Worker(self._wake)

    def start(self) -> None:
        """Take up the saved state; what a resumed party needs in memory is computed before it goes online.

        Raises:
            Paused: a person asked to stop; the state is as it was.
        """
        self.stop.begin()
        outcome = self.node.start()
        with self._cutting_off():
            while outcome.compute and outcome.compute[0].first:
                self.worker.submit(outcome.compute.pop(0))  # first: the others come after it in the worker
                self._carry(outcome)
                outcome = self._prepared()
        self._carry(outcome)

    def _prepared(self) -> Outcome:
        prepared: Outcome | None = None
        while prepared is None:
            self.stop.check()
            for job, result, seconds in self.worker.results(wait=POLL_SECONDS):
                if job.first:
                    prepared = self._computed(job, result, seconds)
                    self.on_carried(job)
                else:
                    self._finish(job, result, seconds)
        return prepared

    @contextlib.contextmanager
    def _cutting_off(self) -> Iterator[None]:
        """Remember whether a job was still running when this was left by an error."""
        global cut_off
        try:
            yield
        except BaseException:
            cut_off = cut_off or self.worker.busy or self._aside.busy
            raise

    def online(self, socket: Socket) -> None:
        """Use this socket from now on."""
        self._socket = socket

    def run(self, finished: Callable[[], bool], each: Callable[[], None] = lambda: None) -> None:
        """Work until `finished()`; `each` is called once a turn (patience limits live there).

        Raises:
            Paused: a person asked to stop; the state is saved.
        """
        assert self._socket is not None  # noqa: S101
        with self._cutting_off():
            while not finished():
                self.stop.check()
                each()
                for event in self._socket.poll(POLL_SECONDS):
                    self._handle(event)
                for job, result, seconds in [*self.worker.results(), *self._aside.results()]:
                    self._finish(job, result, seconds)

    def _finish(self, job: Job, result: object, seconds: float) -> None:
        self._carry(self._computed(job, result, seconds))
        self.on_carried(job)

    def _computed(self, job: Job, result: object, seconds: float) -> Outcome:
        """Hand a job's result to the node, and how long it took to `on_computed`."""
        self.on_computed(job, seconds)
        return self.node.computed(job, result)

    def _handle(self, event: Event) -> None:
        match event:
            case Attached(peer):
                self.progress.show(events.Connected(peer))
                self._carry(self.node.attached(peer))
            case Lost(peer):
                self.progress.show(events.Disconnected(peer))
                self.node.lost(peer)
            case Sync(peer, payload):
                self._carry(self.node.sync(peer, payload))
            case Begun(peer, head, rest):
                self._carry(self.node.begun(peer, head, rest))
            case Message(peer, frames):
                self._carry(self.node.message(peer, frames))
            case Ack(peer, seq):
                self.node.ack(peer, seq)
            case Refused(peer, reason):
                raise SettingsError(peer, f"refused this party: {reason}")
            case _:
                assert_never(event)

    def _carry(self, outcome: Outcome) -> None:
        """Others wait for what is sent and computed; what a person reads, on a disk that takes its time, is last."""
        for item in outcome.transmit:
            self._transmit(item)
        for job in outcome.compute:
            (self._aside if job.aside else self.worker).submit(job)
        for event in outcome.events:
            self.progress.show(self.on_event(event))
        self.done = self.done or outcome.done

    def _transmit(self, item: Transmit) -> None:
        if self._socket is None or item.peer not in self._socket.attached():
            return  # it waits in the outbox and goes out after the next sync
        match item.kind:
            case "message":
                self._socket.send_message(item.peer, item.seq, item.frames)
            case "ack":
                self._socket.send_ack(item.peer, item.seq)
            case "sync":
                self._socket.send_sync(item.peer, bytes(item.frames[0]))
            case "refuse":
                self._socket.refuse(item.peer, bytes(item.frames[0]).decode())
            case _:
                assert_never(item.kind)

    def _wake(self) -> None:
        if self._socket is not None:
            self._socket.wake()
