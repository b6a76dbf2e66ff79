"""What the sponsor's run directory shows of its rounds: time, bytes and rounds.csv, over restarts."""

from __future__ import annotations

import io
import os
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest

from parties.report.results import SUMS_ONLY, _contributions, threshold_of
from parties.report.rounds import Report, in_units, times
from parties.run.progress import Progress
from parties.run.store import RunStore
from parties.run.traffic import Traffic
from secure_gal import events
from secure_gal.events import RoundRecord
from secure_gal.gal.contributions import Contribution, Contributions, Estimate
from secure_gal.settings.report import ReportSettings
from tests.support.study_in_memory import study

RECORD = RoundRecord(1, 0.5, 0.25, None, 0.125, True, {"hospital": 0.25, "lab": 0.75}, 0.625, False)


class Clock:
    """Seconds since the machine started, and of the CPU: the process's own and its children's."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now, self.cpu = 100.0, (1.0, 2.0, 4.0, 8.0)
        monkeypatch.setattr(time, "monotonic", lambda: self.now)
        monkeypatch.setattr(os, "times", lambda: (*self.cpu, 99.0))


def started(folder: Path, began: float, history: list[RoundRecord]) -> tuple[Report, RunStore, Traffic]:
    store = RunStore(folder / "run")
    traffic = Traffic(store)
    session: Any = SimpleNamespace(study=study(rounds=4))
    role: Any = SimpleNamespace(metric_unit=lambda: 1.0, ensemble=SimpleNamespace(history=history))
    return Report(session, store, traffic, role, Progress(stream=io.StringIO()), began), store, traffic


def round_of(report: Report, clock: Clock, traffic: Traffic, record: RoundRecord, seconds: float) -> Any:
    report.on_event(events.RoundBegun(record.round))
    clock.now += seconds
    traffic.count("sent", "lab", "residual", 40)
    traffic.count("received", "lab", "fitted", 7)
    return report.on_event(events.Committed(record))


def test_times_and_bytes_of_rounds_over_a_restart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock, history = Clock(monkeypatch), [RECORD]
    report, store, traffic = started(tmp_path, 90.0, history)
    traffic.count("sent", "lab", "welcome", 1000)
    report.on_event(events.RunAgreed("ab"))
    told = round_of(report, clock, traffic, RECORD, 2.5)
    assert (told.record, told.bytes, told.seconds_left) == (RECORD, 1047, 3 * 2.5)
    history.append(msgspec.structs.replace(RECORD, round=2))
    told = round_of(report, clock, traffic, history[1], 1.5)
    assert (told.bytes, told.seconds_left) == (1094, 2 * 2.0)
    assert [store.meta(key) for key in ("seconds", "cpu", "seconds-from-ready")] == ["14.0", "15.0", "4.0"]
    lines = (tmp_path / "run" / "rounds.csv").read_text().splitlines()
    assert lines == [
        "round,train_loss,train_metric,valid_loss,valid_metric,eta,w_hospital,w_lab,seconds,bytes_sent,bytes_received",
        "1,0.5,0.625,0.25,,0.125,0.25,0.75,2.5,40,7",
        "2,0.5,0.625,0.25,,0.125,0.25,0.75,1.5,40,7",
    ]
    store.close()
    clock.cpu = (0.5, 0.0, 0.0, 0.0)
    report, store, traffic = started(tmp_path, 103.0, history)
    report.on_event(events.RunAgreed("ab"))
    round_of(report, clock, traffic, history[1], 2.0)
    assert (tmp_path / "run" / "rounds.csv").read_text().splitlines() == [*lines[:2], lines[2].replace("1.5", "2.0")]
    clock.now += 1.0
    assert report.on_event(events.Learned(2, 1)) == events.Learned(2, 1)
    assert [store.meta(key) for key in ("seconds", "cpu", "seconds-from-ready")] == ["18.0", "15.5", "4.0"]
    assert report.on_event(events.Certified(1)) == events.Certified(1)
    assert report.on_event(events.Connected("lab")) == events.Connected("lab")
    store.close()


def test_a_round_that_began_before_a_crash_counts_from_the_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Clock(monkeypatch)
    report, store, _ = started(tmp_path, 90.0, [RECORD])
    assert report.on_event(events.Committed(RECORD)).seconds_left == 3 * 10.0  # type: ignore[union-attr]
    assert store.meta("seconds-from-ready") == "" and clock.now == 100
    store.close()


def test_numbers_of_decrypted_values_are_shown_as_far_as_they_mean_something() -> None:
    third = 1 / 3
    record = RoundRecord(3, third, third, third, third, True, {"lab": 2 * third}, third, False)
    assert in_units(record, 2.0).valid_metric == 2 * third and in_units(record, 2.0).train_loss == third
    shown = in_units(record, 1.0, keyed=True)
    assert [shown.train_loss, shown.valid_loss, shown.eta, shown.valid_metric] == [0.333333] * 4
    assert shown.weights == {"lab": 0.666667} and shown.train_metric == 0.333333
    assert times(None, 2.0) is None and times(float("nan"), 2.0) is None and times(1.5, 2.0) == 3.0


@pytest.mark.parametrize(
    ("kept", "rule", "asked", "follows", "warned"),
    [
        (None, "", 0.5, 0.5, False),
        (None, "", 0.25, 0.5, True),
        (0.25, "", 0.25, 0.25, False),
        (0.25, "", 0.5, 0.25, True),
        (0.25, "f1", "f1", 0.25, False),
        (0.25, "f1", 0.25, 0.25, True),
        (0.25, "", "f1", 0.25, True),
    ],
)
def test_a_threshold_is_the_one_that_was_learnt(
    kept: float | None, rule: str, asked: float | str, follows: float, warned: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    found, said = SimpleNamespace(threshold=kept, rule=rule), list[str]()
    monkeypatch.setattr("parties.report.results.evaluation_of", lambda store: found)
    session: Any = SimpleNamespace(party=SimpleNamespace(report=ReportSettings(threshold=asked)))
    progress: Any = SimpleNamespace(warn=said.append)
    assert threshold_of(session, None, progress) == follows  # type: ignore[arg-type]
    assert bool(said) is warned and all(
        f"is {asked!r} now" in text and f"follows {follows:g}," in text for text in said
    )


@pytest.mark.parametrize(("asked", "follows"), [(0.25, 0.25), ("f1", 0.5)])
def test_a_threshold_where_no_row_judged(asked: float | str, follows: float, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("parties.report.results.evaluation_of", lambda store: None)
    session: Any = SimpleNamespace(party=SimpleNamespace(report=ReportSettings(threshold=asked)))
    assert threshold_of(session, None, None) == follows  # type: ignore[arg-type]


@pytest.mark.parametrize(("summed", "note"), [(False, ""), (True, SUMS_ONLY)])
def test_contributions_are_in_the_labels_unit(summed: bool, note: str) -> None:
    third = 1 / 3
    ends = Estimate(third, 0.0, 1.0)
    found: Any = SimpleNamespace(contributions=None, unit=2.0)
    assert _contributions(found, summed) is None
    found.contributions = Contributions(9, third, 0.5, True, (Contribution("lab", ends, ends),))
    shown = {"value": 0.666667, "low": 0.0, "high": 2.0}
    assert _contributions(found, summed) == {
        "rows": 9,
        "none": 0.666667,
        "all": 1.0,
        "exact": True,
        "parties": ({"party": "lab", "leave_one_out": shown, "shapley": shown},),
        "note": note,
    }
