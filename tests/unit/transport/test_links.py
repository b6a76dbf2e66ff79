"""Whole studies over real sockets and lines that are slow, cut, silent or lying.

Time is the test's own: a turn carries what the line can carry in `TURN` seconds, and moves everybody's clock by as
much.
"""

from __future__ import annotations

import io
import signal
from collections.abc import Callable, Iterator

import numpy as np
import pytest

from benchmarks.line import Line
from parties.run.loop import Loop
from parties.run.progress import Progress
from tests.conftest import identity
from tests.support import study_in_memory as memory
from tests.support.simulation import Network
from transport import curve
from transport.assistor_socket import AssistorSocket
from transport.events import Refused
from transport.pieces import FIRST_WINDOW, LEAST_PIECE, LEAST_WINDOW
from transport.sponsor_socket import SponsorSocket

TURN = 0.1
IDLE_TURNS = 10
ROWS = 100_000
SLOW = 15_000.0
"""Bytes a second: a residual of 320 kB takes longer than the silence limit."""
PACE = 0.0004
"""The silence limit takes an eighth of a second of a machine at least, then."""


class Lines:
    """A study of two parties, the assistor behind a line; `turn` moves everything once.

    Attributes:
        pace: seconds that a turn leaves to libzmq's threads, for each socket that has nothing to say. Where a test
            holds that nobody is silent, a machine with other work must not let the line's time run ahead of them.
    """

    def __init__(self, rate: float, delay: float = 0.1) -> None:
        self.now, self._idle, self.pace = 0.0, 0, 0.0
        settings = memory.study(assistors=("lab",))
        self.parties = {name: memory.make_party(name, settings) for name in ("hospital", "lab")}
        sponsor = self._bind("*")
        self._port = int(sponsor.endpoint.rpartition(":")[2])
        self.line = Line(("127.0.0.1", self._port), rate, delay, self._clock)
        self.shown = {name: io.StringIO() for name in self.parties}
        self.loops = {"hospital": self._loop("hospital", sponsor), "lab": self._loop("lab", self.dial())}

    def _clock(self) -> float:
        return self.now

    def _bind(self, port: int | str) -> SponsorSocket:
        cards = {"lab": identity("lab").card}
        return SponsorSocket(identity("hospital"), cards, f"tcp://127.0.0.1:{port}", lambda _: None, self._clock)

    def dial(self) -> AssistorSocket:
        address, sponsor = f"tcp://127.0.0.1:{self.line.port}", identity("hospital").card
        return AssistorSocket(identity("lab"), sponsor, address, None, lambda _: None, self._clock)

    def _loop(self, name: str, socket: SponsorSocket | AssistorSocket) -> Loop:
        loop = Loop(self.parties[name].node, Progress(stream=self.shown[name]))
        loop._carry(self.parties[name].first)
        loop.online(socket)
        return loop

    def kill(self, name: str) -> None:
        """What `kill -9` and the same command again come to: nothing is left but the run directory."""
        self.loops[name]._socket.close()
        self.parties[name].boot()
        self.loops[name] = self._loop(name, self.dial() if name == "lab" else self._bind(self._port))

    def turn(self) -> None:
        """While the line is empty or a party computes, its time waits: how fast this machine is changes nothing."""
        self.line.step()
        self._idle = self._idle + 1 if self.line.idle else 0
        for loop in self.loops.values():
            for event in loop._socket.poll(0.002 if self._idle or self._busy() else self.pace):
                loop._handle(event)
            for job, result, seconds in loop.worker.results():
                loop._carry(loop._computed(job, result, seconds))
        if not (self._idle % IDLE_TURNS or self._busy()):
            self.now += TURN

    def _busy(self) -> bool:
        return any(loop.worker.busy for loop in self.loops.values())

    def run(self, seconds: float, until: Callable[[], bool] = lambda: False) -> None:
        """Until the study is finished or something has happened, but no longer than so many seconds of the line."""
        end = self.now + seconds
        while self.now < end and self.phase != b"finished" and not until():
            self.turn()

    def held(self) -> int:
        """Bytes that the lab holds of a message that is on its way."""
        return len(self.loops["lab"]._socket._link._incoming._held)

    @property
    def phase(self) -> object:
        return self.parties["hospital"].store.values.get("phase")

    def said(self, text: str) -> bool:
        """Whether a party has shown this text."""
        return any(text in shown.getvalue() for shown in self.shown.values())

    def close(self) -> None:
        for loop in self.loops.values():
            loop._socket.close()
        self.line.close()


@pytest.fixture(autouse=True)
def two_parties(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A study of two, and signal handlers as they were: a loop of the main thread takes them."""
    monkeypatch.setattr(memory, "N", ROWS)
    monkeypatch.setattr(memory, "NAMES", ("hospital", "lab"))
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.fixture(scope="module")
def undisturbed() -> np.ndarray:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(memory, "N", ROWS)
        patch.setattr(memory, "NAMES", ("hospital", "lab"))
        settings = memory.study(assistors=("lab",))
        network = Network(memory.make_party("hospital", settings), [memory.make_party("lab", settings)])
        network.run()
        return memory.final_f(network)


@pytest.fixture
def slow() -> Iterator[Lines]:
    made = Lines(SLOW)
    yield made
    made.close()


def finished(study: Lines, undisturbed: np.ndarray) -> bool:
    study.run(900.0)
    assert study.phase == b"finished"
    return np.array_equal(study.parties["hospital"].store.values["ensemble/F"], undisturbed)


BYTES_DOWN = 1_520_000
"""What a whole study carries to the lab (positions, mask, three residuals, control frames)."""


def test_messages_that_take_longer_than_the_silence_limit_arrive(slow: Lines, undisturbed: np.ndarray) -> None:
    slow.pace = PACE
    assert ROWS * 0.8 * 4 / SLOW > curve.SILENCE_SECONDS
    assert finished(slow, undisturbed)
    assert not slow.said("is gone") and slow.line.carried["down"] < BYTES_DOWN


def test_a_cut_line_goes_on_where_it_stopped(slow: Lines, undisturbed: np.ndarray) -> None:
    for most in (100_000, 160_000, 220_000):
        slow.run(900.0, lambda most=most: slow.held() > most)
        slow.line.cut()
    assert finished(slow, undisturbed)
    assert slow.line.carried["down"] < BYTES_DOWN + 3 * (LEAST_WINDOW + LEAST_PIECE)


def test_after_a_long_silence_it_goes_on_where_it_stopped(slow: Lines, undisturbed: np.ndarray) -> None:
    slow.run(900.0, lambda: slow.held() > 200_000)
    slow.line.stalled = True
    slow.run(3 * curve.SILENCE_SECONDS)
    assert slow.said("is gone")
    slow.line.stalled = False
    assert finished(slow, undisturbed)
    assert slow.line.carried["down"] < BYTES_DOWN + FIRST_WINDOW


@pytest.mark.parametrize(("name", "extra"), [("lab", 250_000), ("hospital", 0)])
def test_a_killed_process_costs_at_most_the_message(
    name: str, extra: int, slow: Lines, undisturbed: np.ndarray
) -> None:
    """What has arrived of a message is in the receiver's memory: a killed sender goes on where it stopped."""
    slow.run(900.0, lambda: slow.held() > 200_000)
    slow.kill(name)
    assert finished(slow, undisturbed)
    assert slow.line.carried["down"] < BYTES_DOWN + extra + FIRST_WINDOW


def test_a_second_process_does_not_take_over_from_one_that_is_receiving(slow: Lines, undisturbed: np.ndarray) -> None:
    slow.pace = PACE
    slow.run(900.0, lambda: slow.held() > 200_000)
    second, seen = slow.dial(), []
    while not any(isinstance(event, Refused) for event in seen):
        slow.turn()
        seen += second.poll(0)
    second.close()
    assert not slow.said("is gone") and finished(slow, undisturbed)


def test_changed_bytes_cost_a_connection_and_nothing_else(undisturbed: np.ndarray) -> None:
    """libzmq 4.3.5 left such a connection standing, then aborted the process; or a send waited for ever."""
    study = Lines(40 * SLOW)
    try:
        study.line.flip_every = 200_000
        assert finished(study, undisturbed)
        assert study.said("is gone")
    finally:
        study.close()
