"""Every event's line for a person, and which of them a log that is kept does without."""

from __future__ import annotations

import io
from typing import Any, get_args

import pytest

from parties.run.progress import AT_A_TERMINAL, Progress, text_of
from secure_gal import events
from secure_gal.events import Event, RoundRecord

RECORD = RoundRecord(2, 0.5, 0.25, 0.75, 0.1234, True, {"hospital": 0.25, "lab": 0.75}, 0.625, True)
HERE = "the rounds left are run all the same, so that no assistor learns how many are kept"
LINES: list[tuple[Event, str]] = [
    (events.RunAgreed("ab"), "run ab agreed and signed by every party"),
    (events.RoundBegun(3), "round 3 begins"),
    (
        events.Committed(RECORD),
        "round 2/9  out-of-fold 0.50000 (0.6250)  held-out 0.25000 (0.7500)  eta 0.123  weights hospital 0.25 lab 0.75",
    ),
    (events.Learned(9, 4), "learning stage finished: 9 rounds, 4 kept"),
    (events.Certified(3), "round 3: every party signed every ledger's head"),
    (events.Listening("tcp://*:1"), "listening on tcp://*:1"),
    (events.Dialling("tcp://x:1"), "dialling tcp://x:1"),
    (events.Workers("tls://x:1", 2, 8), "fits are made by 2 workers with 8 threads at tls://x:1"),
    (events.Connected("lab"), "lab is connected"),
    (events.Disconnected("lab"), "lab is gone; waiting for it to come back"),
    (events.Waiting("lab, insurer", 59.6), "waiting for lab, insurer (up to 60 s more)"),
    (events.Undelivered("lab"), "lab: the last messages were not confirmed; they are sent again when it comes back"),
    (events.RefusedPeer("lab", "why"), "refused lab: why"),
    (events.RolledBack("lab"), "lab's run directory is older than this run: *"),
    (events.Transport("text"), "text"),
    (events.Greeted("lab"), "lab has greeted"),
    (events.StudyDiffers("lab", "how"), "lab has another study: how"),
    (events.UnlikeRelease("how"), "how"),
    (events.Resumed("learning"), "resuming a saved run (phase: learning)"),
    (events.Masking(1234), "private alignment: masking 1,234 ids"),
    (events.Tagged(1234), "private alignment: answered for 1,234 masked ids"),
    (events.PairAligned("lab", 1234, 5678), "private alignment with lab: 1,234 ids in common, it holds 5,678"),
    (
        events.Aligned(1500, 1200, 300, {"lab": 1400, "insurer": 7}),
        "aligned: 1,500 common rows (1,200 train, 300 held out); held by lab 1,400, insurer 7",
    ),
    (events.RowsKnown(1500, 1200), "aligned: 1,500 rows of this party take part, 1,200 of them for training"),
    (events.Classes("how"), "how"),
    (events.Unmatched(), "alignment found no rows to learn from: the study is over"),
    (events.Prepared(), "data prepared"),
    (events.Width("lab", 16), "lab encrypts with a padded width of 16"),
    (events.GotKeys(1234, 0), "got evaluation keys: 1,234 bytes"),
    (events.GotKeys(0, 1234), "evaluation keys as before: 1,234 bytes"),
    (events.Exposure(1234, 0.0625), "sums on this party's data so far: 1,234 equations, 0.062 of all features"),
    (events.PeerFitted("lab", 3), "round 3: lab has fitted"),
    (events.RoundFitted(3), "round 3: fitted and sent"),
    (events.Summed(3), "round 3: summed and sent"),
    (events.Hiding(), f"learning has ended; {HERE}"),
    (events.Finished(9, 4), "learning stage finished: 9 rounds, 4 kept"),
    (events.FinishedEncrypted(9), "learning stage finished after 9 rounds"),
    (events.LearnerUsed("cnn", None, "CPU", None, "fold"), "learner: cnn; CPU; fold"),
    (events.Scored("auc", 0.75, 0.5, None, "held-out"), "held-out auc: GAL 0.7500, sponsor alone 0.5000"),
    (
        events.Scored("auc", 0.75, 0.5, 0.25, "held-out"),
        "held-out auc on released labels: GAL 0.7500, sponsor alone 0.5000; on true labels GAL 0.2500",
    ),
    (
        events.Judged("better", "held-out", 1234, 0.25, 0.75, 0.125, 0.875),
        "better than alone: held-out loss of 1,234 rows 0.2500, alone 0.7500, a gain of 0.5000 (95% interval 0.1250 to "
        "0.8750)",
    ),
    (events.Found("kind", "about", "text"), "note: text"),
    (
        events.ThresholdChosen("f1", 0.25),
        "threshold 0.2500, chosen by f1 on out-of-fold values of the training rows",
    ),
    (events.ResultsWritten("p"), "results: p"),
    (events.ReportWritten("p"), "report: p"),
    (events.ResultsCompleted("p"), "results that were missing, or not this run's, are written: p"),
    (events.ResultsIn("p"), "results are in p"),
    (events.AlreadyLearned("p"), "this study's learning stage is finished; its results are in p"),
    (events.NotCompared("why"), "the table was not compared with what was learnt from: why"),
    (events.BatchResumed("today"), "the batch of these ids that began on today was not brought to its end: *"),
    (events.PredictionsWritten(5, "p", 0, False, 0), "5 predictions written to p"),
    (events.KeepFromAssistors(), "do not show them to any assistor: *"),
    (events.Predicted(5, 4), "answered a prediction batch: 5 rows, 4 known here"),
    (events.Refused(5, "why"), "refused to predict 5 rows: why"),
    (events.Stale("lab"), "a message of lab about something that was given up is ignored"),
    (events.Warned("text"), "warning: text"),
    (events.Logged("text"), "text"),
    (events.Failed(4, "text"), "error: text"),
]


@pytest.mark.parametrize(("event", "line"), LINES, ids=lambda value: type(value).__name__)
def test_an_event_is_one_line_for_a_person(event: Event, line: str) -> None:
    found = text_of(event, 9)
    assert found.startswith(line[:-1]) if line.endswith("*") else found == line
    assert "\n" not in found


def test_no_event_is_without_its_line() -> None:
    assert {type(event) for event, _ in LINES} == {kind for kind in get_args(Event)}


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({}, "round 2  train 0.50000  eta 3  weights lab 1.00"),
        ({"valid_loss": 0.25}, "round 2  train 0.50000  held-out 0.25000 (not measured)  eta 3  weights lab 1.00"),
        ({"out_of_fold": True}, "round 2  out-of-fold 0.50000 (not measured)  eta 3  weights lab 1.00"),
    ],
)
def test_a_round_tells_what_was_measured(changes: dict[str, Any], says: str) -> None:
    fields: dict[str, Any] = {"valid_loss": None, "valid_metric": None, "attained": True} | changes
    record = RoundRecord(round=2, train_loss=0.5, eta=3.0, weights={"lab": 1.0}, **fields)
    assert text_of(events.Committed(record)) == says
    assert text_of(events.Committed(record, 1_250_000, 7.4)) == f"{says}  1.2 MB  ~7 s left"
    assert text_of(events.Committed(record, 0, 0.0)) == says


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_what_only_a_watcher_wants_is_shown_on_a_terminal_alone() -> None:
    for event, line in LINES:
        kept, watched = io.StringIO(), Terminal()
        for stream in (kept, watched):
            Progress(stream=stream, rounds=9).show(event)
        seldom = isinstance(event, AT_A_TERMINAL)
        assert (kept.getvalue() == "") is seldom and watched.getvalue().startswith(line.rstrip("*"))
        assert watched.getvalue().endswith("\n")
        told = io.StringIO()
        Progress(True, told).show(event)
        assert told.getvalue().count("\n") == 1 and told.getvalue().startswith('{"time": "'), "JSON has them all"


def test_a_line_is_not_repeated_but_comes_again_after_another() -> None:
    shown = io.StringIO()
    progress = Progress(stream=shown)
    for text in ("a", "a", "b", "a"):
        progress.transport(text)
    progress.warn("c")
    assert shown.getvalue().splitlines() == ["a", "b", "a", "warning: c"]


def test_without_a_stream_lines_go_to_standard_error(capsys: pytest.CaptureFixture[str]) -> None:
    """Standard output is for results."""
    Progress().warn("text")
    assert tuple(capsys.readouterr()) == ("", "warning: text\n")
