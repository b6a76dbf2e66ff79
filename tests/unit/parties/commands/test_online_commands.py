"""`assist` and `train` around a loop that stands still: when they end, whom they wait for, what they say."""

from __future__ import annotations

import io
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from parties.commands import assist, train
from parties.run.progress import Progress
from secure_gal.data.align import NoRowsError
from secure_gal.errors import Paused, SettingsError
from tests.support.study_in_memory import study

STUDY = study(rounds=3)


class Bench:
    """A session, a role, a certifier and a socket that are what a test says, and all that happened, in order."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, sponsor: bool) -> None:
        self.done: list[Any] = []
        name = "hospital" if sponsor else "lab"
        party = SimpleNamespace(
            party=name, address=None, proxy="p:1", learner="learner", home=Path("keys"), run_dir=Path("r")
        )
        self.session: Any = SimpleNamespace(
            party=party,
            study=STUDY,
            file=Path("f.toml"),
            folder=Path("/of/f"),
            identity="identity",
            cards={"hospital": "card"},
        )
        self.store: Any = SimpleNamespace(
            close=lambda: self.done.append("store closed"), value=lambda key: None, path=Path("r"), state=dict
        )
        self.role: Any = SimpleNamespace(phase="learning", rounds=3, waiting_for=lambda: ["insurer"], state={})
        self.certifier: Any = SimpleNamespace(certified=0, pending=False, waiting_for=lambda: ["lab"])
        self.idle = {"hospital": True, "lab": True, "insurer": True}
        node: Any = SimpleNamespace(idle=self.idle.__getitem__, close=lambda: self.done.append("node closed"))
        self.node = node
        self.socket: Any = SimpleNamespace(
            attached=lambda: set(self.there),
            close=lambda: self.done.append("socket closed"),
            active=lambda: self.moving,
        )
        self.there, self.moving, self.busy = {"hospital"}, False, False
        self.runs: Callable[[Callable[[], bool], Callable[[], None]], None] = lambda finished, each: None
        self.waited: list[Any] = []
        for module in (assist, train):
            for what, value in (
                ("Loop", self.loop_that_stands_still()),
                ("Patience", self.patience_that_is_kept()),
                ("stop_at_once", lambda: None),
            ):
                monkeypatch.setattr(module, what, value, raising=False)
            monkeypatch.setattr(module, "open_session", lambda file: self.session)
            monkeypatch.setattr(module, "open_store", lambda session: self.store)
            monkeypatch.setattr(module, "open_node", lambda *given: (self.node, self.certifier))
            monkeypatch.setattr(module, "_role", lambda *given: self.role)
            monkeypatch.setattr(module, "Traffic", lambda store: None, raising=False)

    def loop_that_stands_still(self) -> type:
        """A loop that does what the test says when it runs, and nothing else."""
        bench = self

        class Still:
            def __init__(self, node: Any, progress: Progress) -> None:
                self.node, self.progress, self.done = node, progress, False
                self.worker = SimpleNamespace(busy=bench.busy)
                self.stop = SimpleNamespace(asked=False, end=lambda: bench.done.append("signals end"))
                bench.loop = self  # type: ignore[attr-defined]

            def start(self) -> None:
                bench.done.append("started")

            def online(self, socket: Any) -> None:
                bench.done.append("online")

            def run(self, finished: Callable[[], bool], each: Callable[[], None] = lambda: None) -> None:
                bench.done.append("runs")
                bench.runs(finished, each)

        return Still

    def patience_that_is_kept(self) -> type:
        """Keeps whom a command waits for; it never runs out."""
        bench = self

        class Waits:
            def __init__(self, seconds: float, progress: Progress, file: str, command: str) -> None:
                bench.waited.append((seconds, file, command))

            def check(self, lacking: Any, there: Any, *, at_work: bool) -> None:
                bench.waited.append((list(lacking), set(there), at_work))

        return Waits

    def once(self, **now: Any) -> tuple[bool, Any]:
        """Whether a command is over while this is so, and whom it waits for."""
        found: list[Any] = []

        def run(finished: Callable[[], bool], each: Callable[[], None]) -> None:
            found.append(finished())
            each()

        vars(self).update({key: value for key, value in now.items() if key in ("there", "moving", "busy")})
        self.role.phase = now.get("phase", self.role.phase)
        self.certifier.certified = now.get("certified", 0)
        self.idle["hospital"] = now.get("idle", True)
        self.runs = run
        return found[0] if found else False, found


@pytest.fixture
def lab(monkeypatch: pytest.MonkeyPatch) -> Bench:
    bench = Bench(monkeypatch, sponsor=False)
    monkeypatch.setattr(assist, "DataBudget", lambda home: None)
    monkeypatch.setattr(assist, "_model", lambda *given: None)
    monkeypatch.setattr(assist, "Computing", lambda *given: SimpleNamespace(add=None, tell=None))

    def dialled(*given: Any, busy: Any) -> Any:
        bench.done.append(("dials", *given[:4], busy()))
        return bench.socket

    monkeypatch.setattr("transport.assistor_socket.AssistorSocket", dialled)
    return bench


def serve(bench: Bench, once: bool = False) -> tuple[int, str]:
    shown = io.StringIO()
    return assist._serve(bench.session, bench.store, once, Progress(stream=shown), {}), shown.getvalue()


@pytest.mark.parametrize(
    ("once", "now", "over", "lacking"),
    [
        (False, {"phase": "serving", "certified": 3}, False, []),
        (False, {"phase": "serving", "certified": 3, "there": set()}, False, []),
        (True, {"phase": "serving", "certified": 3}, True, []),
        (True, {"phase": "serving", "certified": 4}, True, []),
        (True, {"phase": "serving", "certified": 2}, False, []),
        (True, {"phase": "serving", "certified": 3, "idle": False}, False, []),
        (True, {"phase": "serving", "certified": 2, "there": set()}, False, ["hospital"]),
        (True, {"phase": "learning", "certified": 3}, False, []),
        (True, {"phase": "learning", "certified": 3, "there": set(), "busy": True}, False, []),
    ],
)
def test_an_assistor_serves_until_it_is_stopped_or_once_until_all_is_certified(
    once: bool, now: dict[str, Any], over: bool, lacking: list[str], lab: Bench
) -> None:
    lab.once(**now)
    ended: list[bool] = []
    inner = lab.runs
    lab.runs = lambda finished, each: (ended.append(finished()), inner(finished, each))[0]
    code, shown = serve(lab, once)
    assert code == 0 and ended == [over] and shown == f"dialling {STUDY.address}\n"
    assert lab.waited == [
        (STUDY.patience_seconds, "f.toml", "assist --once"),
        (lacking, now.get("there", {"hospital"}), now.get("busy", False)),
    ]
    dials = ("dials", "identity", "card", STUDY.address, "p:1", now.get("busy", False))
    assert lab.done == ["started", dials, "online", "runs", "socket closed", "node closed"]


def test_an_assistor_dials_where_its_own_file_says(lab: Bench) -> None:
    lab.session.party.address = "tcp://other:1"
    assert serve(lab)[1] == "dialling tcp://other:1\n" and lab.done[1][3] == "tcp://other:1"


def test_a_study_without_rows_is_told_of_at_the_end(lab: Bench) -> None:
    lab.role.phase = "unmatched"
    ended: list[bool] = []
    lab.runs = lambda finished, each: ended.append(finished())
    with pytest.raises(NoRowsError, match="the sponsor found no rows to learn from"):
        serve(lab)
    assert ended == [True] and lab.done[-2:] == ["socket closed", "node closed"]


@pytest.mark.parametrize(
    ("phase", "asked", "paused"), [("serving", True, False), ("serving", False, True), ("learning", True, True)]
)
def test_whoever_is_stopped_while_it_serves_has_ended_well(phase: str, asked: bool, paused: bool, lab: Bench) -> None:
    def stopped(finished: Any, each: Any) -> None:
        lab.loop.stop.asked = asked  # type: ignore[attr-defined]
        raise Paused("stopped")

    lab.role.phase, lab.runs = phase, stopped
    with pytest.raises(Paused) if paused else nullcontext():
        assert serve(lab)[0] == 0
    assert lab.done[-2:] == ["socket closed", "node closed"]


def test_assist_asks_for_consent_first_and_closes_its_store(lab: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Progress, "follow_logging", lambda self: lab.done.append("follows"))
    monkeypatch.setattr(assist, "require_consent", lambda session, store, given: lab.done.append(("consent", given)))
    monkeypatch.setattr(assist, "go_beyond", lambda session, store, beyond: {"beyond": beyond})
    monkeypatch.setattr(
        assist, "at_work", lambda learner, folder, show: nullcontext(lab.done.append((learner, folder)))
    )
    monkeypatch.setattr(
        assist, "_serve", lambda s, store, once, progress, allowed: lab.done.append((once, allowed)) or 0
    )
    assert assist.assist(Path("f.toml"), once=True, consent="ab", beyond=["x"]) == 0
    assert lab.done == [
        "follows",
        ("consent", "ab"),
        ("learner", Path("/of/f")),
        (True, {"beyond": ["x"]}),
        "store closed",
    ]
    lab.session.party.party = "hospital"
    with pytest.raises(SettingsError, match="this is the sponsor's file; the sponsor runs `secure-gal train`"):
        assist.assist(Path("f.toml"))


@pytest.fixture
def hospital(monkeypatch: pytest.MonkeyPatch) -> Bench:
    bench = Bench(monkeypatch, sponsor=True)
    monkeypatch.setattr(train, "_model", lambda *given: SimpleNamespace(table=None))
    monkeypatch.setattr(train, "admit", lambda *given: bench.done.append("admitted"))
    monkeypatch.setattr(train, "classes_of", lambda *given: None)
    monkeypatch.setattr(train, "go_online", lambda *given: bench.socket)
    report: Any = SimpleNamespace(on_event=None, save_times=lambda: bench.done.append("times"))
    monkeypatch.setattr("parties.report.rounds.Report", lambda *given: report)
    monkeypatch.setattr("parties.run.computing.Computing", lambda *given: SimpleNamespace(add=None, tell=None))
    monkeypatch.setattr("parties.report.results.write_results", lambda *given: bench.done.append("results"))
    monkeypatch.setattr("parties.report.results.announce", lambda *given: bench.done.append("announced"))
    return bench


LEARNT = ["signals end", "results", "announced", "socket closed", "node closed"]


def test_a_sponsor_delivers_before_it_writes_its_results(hospital: Bench) -> None:
    shown, ends = io.StringIO(), list[list[bool]]()

    def run(finished: Callable[[], bool], each: Callable[[], None]) -> None:
        found = [finished()]
        each()
        for hospital.role.phase in ("finished", "unmatched", "finished"):
            found.append(finished())
        for hospital.certifier.pending, hospital.idle["lab"] in ((True, True), (False, False), (False, True)):
            found.append(finished())
        ends.append(found)

    hospital.runs = run
    train._learn(hospital.session, hospital.store, Progress(stream=shown), {})
    assert hospital.done == ["admitted", "started", "runs", "times", "runs", *LEARNT]
    assert ends == [[False, True, True, True, True, True, True], [True, True, True, True, False, False, True]]
    assert hospital.waited == [
        (STUDY.patience_seconds, "f.toml", "train"),
        (["insurer", "lab"], {"hospital"}, False),
        (STUDY.patience_seconds, "f.toml", "train"),
        (["lab"], {"hospital"}, False),
    ]
    assert "r/report.html" in shown.getvalue()


@pytest.mark.parametrize(
    ("pending", "asked", "paused"), [(False, False, False), (True, False, True), (False, True, True)]
)
def test_whoever_stays_away_has_its_last_messages_later_but_for_a_certificate(
    pending: bool, asked: bool, paused: bool, hospital: Bench
) -> None:
    shown = io.StringIO()

    def run(finished: Any, each: Any) -> None:
        if hospital.done.count("runs") == 2:
            hospital.idle["insurer"], hospital.certifier.pending = False, pending
            hospital.loop.stop.asked = asked  # type: ignore[attr-defined]
            raise Paused("nobody came")

    hospital.runs = run
    with pytest.raises(Paused) if paused else nullcontext():
        train._learn(hospital.session, hospital.store, Progress(stream=shown), {})
    assert hospital.done[-5:] == LEARNT, "results are written whoever stays away"
    assert ("insurer: the last messages were not confirmed" in shown.getvalue()) is not paused


def test_a_sponsor_without_rows_tells_everyone_before_it_ends(hospital: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        train, "SponsorRecords", lambda s: SimpleNamespace(unmatched=SimpleNamespace(get=lambda: "why"))
    )
    hospital.role.phase = "unmatched"
    hospital.node.role = hospital.role
    with pytest.raises(NoRowsError, match="why"):
        train._learn(hospital.session, hospital.store, Progress(stream=io.StringIO()), {})
    assert hospital.done == ["admitted", "started", "runs", "runs", "socket closed", "node closed"]
