"""The loop hands every finished job to the node, also those that finish together."""

from __future__ import annotations

import functools
import io
import threading
from typing import Any

import pytest

from parties.run import loop as loops
from parties.run.exchange import Outcome, Transmit
from parties.run.loop import Loop
from parties.run.progress import Progress
from secure_gal import events
from secure_gal.effects import Compute
from secure_gal.errors import Paused, SettingsError
from transport import events as told


class Node:
    """A resumed party that prepares and has another job to do."""

    def __init__(self) -> None:
        self.computed_jobs: list[str] = []

    def start(self) -> Outcome:
        prepare: Compute[int] = Compute("prepare", lambda: 1, lambda _: [], first=True)
        return Outcome(compute=[prepare, Compute("answer", lambda: 2, lambda _: [])])

    def computed(self, job: Compute[int], result: object) -> Outcome:
        self.computed_jobs.append(job.work)
        return Outcome(events=[events.Transport(job.work)])


def test_a_job_that_finishes_with_the_preparations_is_not_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    node = Node()
    shown = io.StringIO()
    loop = Loop(node, Progress(stream=shown))  # type: ignore[arg-type]
    monkeypatch.setattr(loop.stop, "begin", lambda: None)
    results = loop.worker.results

    def both(wait: float = 0.0) -> list[Any]:
        found = results(wait=60.0)
        return found if len(found) == 2 else [*found, *results(wait=60.0)]

    monkeypatch.setattr(loop.worker, "results", both)
    loop.start()
    assert sorted(node.computed_jobs) == ["answer", "prepare"] and not loop.worker.busy
    assert sorted(shown.getvalue().split()) == ["answer", "prepare"], "what comes of each is carried out"


def test_a_job_is_dull_to_look_at() -> None:
    job: Compute[int] = Compute("fit", lambda: 1, lambda _: [], round=3)
    assert repr(job) == "Compute(work='fit', round=3, first=False, aside=False)"


class Called:
    """Keeps every call of it; the lab is attached, and has sent what is given."""

    def __init__(self, sent: list[told.Event], outcome: Outcome | None = None) -> None:
        self.sent, self.calls, self.outcome = sent, list[tuple[Any, ...]](), outcome

    def attached(self, *peer: str) -> Any:
        return self._keep("attached", *peer) if peer else {"lab"}

    def poll(self, seconds: float) -> list[told.Event]:
        return self.sent

    def __getattr__(self, name: str) -> Any:
        return lambda *given: self._keep(name, *given)

    def _keep(self, *call: Any) -> Outcome | None:
        self.calls.append(call)
        return self.outcome


ANSWERS = [
    Transmit("lab", "message", [b"a", b"b"], 3),
    Transmit("lab", "ack", seq=4),
    Transmit("lab", "sync", [b"s"]),
    Transmit("lab", "refuse", [b"why"]),
    Transmit("insurer", "ack", seq=5),
]
ARRIVED: list[told.Event] = [
    told.Attached("lab"),
    told.Sync("lab", b"s"),
    told.Begun("lab", [b"h"], 7),
    told.Message("lab", [b"m"]),
    told.Ack("lab", 3),
    told.Lost("lab"),
]


def test_what_arrives_is_the_nodes_and_what_it_answers_goes_out() -> None:
    job: Compute[int] = Compute("fit", lambda: 1, lambda _: [])
    node, line, shown = Called([], Outcome(ANSWERS[:1], [job], [events.Connected("x")])), Called(ARRIVED), io.StringIO()
    loop = Loop(node, Progress(stream=shown))  # type: ignore[arg-type]
    renamed: list[events.Event] = []

    def rename(event: events.Event) -> events.Event:
        renamed.append(event)
        return events.Disconnected("y")

    loop.on_event = rename
    loop.online(line)
    turns = iter([False, True])
    loop.run(lambda: next(turns))
    loop._carry(Outcome(ANSWERS, done=True))
    assert [call for call in node.calls if call[0] != "computed"] == [
        ("attached", "lab"),
        ("sync", "lab", b"s"),
        ("begun", "lab", [b"h"], 7),
        ("message", "lab", [b"m"]),
        ("ack", "lab", 3),
        ("lost", "lab"),
    ]
    sent = [call for call in line.calls if call[0] != "wake"]
    assert sent[-5:] == [
        ("send_message", "lab", 3, [b"a", b"b"]),
        ("send_message", "lab", 3, [b"a", b"b"]),
        ("send_ack", "lab", 4),
        ("send_sync", "lab", b"s"),
        ("refuse", "lab", "why"),
    ], "the insurer is not there: what is for it waits"
    assert loop.done and renamed[:4] == [events.Connected("x")] * 4
    first, second, last = shown.getvalue().splitlines()[:3]
    assert first == "lab is connected" and second.startswith("y ") and last.startswith("lab ") and last != first
    with pytest.raises(SettingsError, match="lab: refused this party: an old card"):
        loop._handle(told.Refused("lab", "an old card"))


def test_what_a_job_made_is_the_nodes_and_how_long_it_took_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    job: Compute[int] = Compute("fit", lambda: 1, lambda _: [])
    line, node, done = Called([]), Called([], Outcome([Transmit("lab", "ack", seq=4)], done=True)), list[Any]()
    loop = Loop(node, Progress(stream=io.StringIO()))  # type: ignore[arg-type]
    loop.online(line)
    loop.on_computed = lambda job, seconds: done.append((job.work, seconds))
    monkeypatch.setattr(loop.worker, "results", lambda: [(job, 7, 0.5)])
    loop.run(lambda: loop.done, lambda: done.append("turn"))
    assert done == ["turn", ("fit", 0.5)] and node.calls == [("computed", job, 7)]
    assert line.calls == [("send_ack", "lab", 4)]


def test_what_others_wait_for_goes_out_before_what_a_person_reads(monkeypatch: pytest.MonkeyPatch) -> None:
    order = list[str]()
    job: Compute[int] = Compute("fit", lambda: 1, lambda _: [])
    outcome = Outcome([Transmit("lab", "ack", seq=4)], [job], [events.Connected("x")], done=True)
    loop = Loop(Called([], outcome), Progress(stream=io.StringIO()))  # type: ignore[arg-type]

    def read(event: events.Event) -> events.Event:
        order.append("read")
        return event

    loop.on_event, loop.on_computed = read, lambda job, seconds: order.append("noted")
    loop.on_carried = lambda job: order.append("written")
    monkeypatch.setattr(loop, "_transmit", lambda item: order.append("sent"))
    monkeypatch.setattr(loop.worker, "submit", lambda job: order.append("begun"))
    monkeypatch.setattr(loop.worker, "results", lambda: [(job, 7, 0.5)])
    loop.online(Called([]))
    loop.run(lambda: loop.done)
    assert order == ["noted", "sent", "begun", "read", "written"]


def test_jobs_are_computed_in_order_and_fail_in_the_loops_thread() -> None:
    line, node = Called([]), Called([], Outcome())
    loop = Loop(node, Progress(stream=io.StringIO()))  # type: ignore[arg-type]
    loop.online(line)
    for number in range(2):
        loop.worker.submit(Compute("fit", functools.partial(divmod, 1, 2 - number), lambda _: []))
    found = loop.worker.results(wait=60.0)
    while len(found) < 2:
        found += loop.worker.results(wait=60.0)
    assert [(job.work, result) for job, result, _ in found] == [("fit", (0, 1)), ("fit", (1, 0))]
    assert not loop.worker.busy and ("wake",) in line.calls
    loop.worker.submit(Compute("fit", functools.partial(divmod, 1, 0), lambda _: []))
    assert loop.worker.busy
    with pytest.raises(ZeroDivisionError):
        loop.worker.results(wait=60.0)
    assert not loop.worker.busy


def test_a_job_aside_keeps_no_other_waiting_and_is_cut_off_like_them(monkeypatch: pytest.MonkeyPatch) -> None:
    gate, done = threading.Event(), list[str]()
    aside: Compute[bool] = Compute("own", lambda: gate.wait(60), lambda _: [], aside=True)
    beside: Compute[bool] = Compute("fit", lambda: True, lambda _: [])
    loop = Loop(Called([], Outcome()), Progress(stream=io.StringIO()))  # type: ignore[arg-type]
    loop.on_computed = lambda job, seconds: done.append(job.work)
    loop.online(Called([]))
    loop._carry(Outcome(compute=[aside, beside]))
    loop.run(lambda: done == ["fit"])
    assert not loop.worker.busy
    monkeypatch.setattr(loops, "cut_off", False)
    loop.stop.asked = True
    with pytest.raises(Paused):
        loop.run(lambda: False)
    assert loops.cut_off, "its thread goes on"
    loop.stop.asked = False
    gate.set()
    loop.run(lambda: done == ["fit", "own"])
