"""What a person sees while a study runs: plain lines, or one JSON object a line (docs/EVENTS.md)."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable
from datetime import datetime
from typing import TextIO, assert_never

from parties.run.json_lines import json_line, utc_now
from parties.run.predicted import written
from secure_gal import events
from secure_gal.errors import printable
from secure_gal.events import Event


class _Follower(logging.Handler):
    """Hands log records of the learners to a person."""

    def __init__(self, progress: Progress) -> None:
        super().__init__()
        self._progress = progress

    def emit(self, record: logging.LogRecord) -> None:
        """Show one record."""
        self._progress.show(events.Logged(record.getMessage()))


class Progress:
    """Writes events to standard error; standard output is for results.

    Args:
        as_json: one JSON object a line, of every event, instead of the texts of those that a person wants.
        rounds: agreed in the study; 0 where no round is run.
        clock: the time that JSON lines carry.
    """

    def __init__(
        self,
        as_json: bool = False,
        stream: TextIO | None = None,
        rounds: int = 0,
        clock: Callable[[], datetime] = utc_now,
    ) -> None:
        self._json, self._clock = as_json, clock
        self._stream = stream if stream is not None else sys.stderr
        self._rounds = rounds
        self._last = ""

    def show(self, event: Event) -> None:
        """Show one event."""
        if self._json:
            self._write(json_line(event, self._clock()))
            return
        if isinstance(event, AT_A_TERMINAL) and not self._stream.isatty():
            return
        text = text_of(event, self._rounds)
        if text and text != self._last:
            self._write(printable(text))
            self._last = text

    def warn(self, text: str) -> None:
        """Something that a person should look at."""
        self.show(events.Warned(text))

    def transport(self, text: str) -> None:
        """A line from a socket (refused clients, reconnects)."""
        self.show(events.Transport(text))

    def follow_logging(self) -> None:
        """Show what long fits log as they go (an epoch's loss, device and precision)."""
        logger = logging.getLogger("secure_gal")
        logger.setLevel(logging.INFO)
        logger.handlers = [_Follower(self)]

    def _write(self, line: str) -> None:
        print(line, file=self._stream, flush=True)


AT_A_TERMINAL = (
    events.PeerFitted,
    events.RoundBegun,
    events.Greeted,
    events.Certified,
    events.Summed,
    events.Exposure,
    events.Stale,
)
"""Shown as text only where a person watches: logs that are kept do without."""


def text_of(event: Event, rounds: int = 0) -> str:
    """The event for a person, one line.

    Args:
        rounds: agreed in the study, if known.
    """
    if isinstance(event, events.Milestone):
        return _milestone(event, rounds)
    if isinstance(event, events.Connection):
        return _connection(event)
    if isinstance(event, events.Beginning):
        return _beginning(event)
    if isinstance(event, events.Round):
        return _round(event)
    if isinstance(event, events.Result):
        return _result(event)
    if isinstance(event, events.Words):
        return _words(event)
    assert_never(event)


def _milestone(event: events.Milestone, rounds: int) -> str:
    match event:
        case events.RunAgreed(run):
            return f"run {run} agreed and signed by every party"
        case events.RoundBegun(round_):
            return f"round {round_} begins"
        case events.Committed():
            return _committed(event, rounds)
        case events.Learned(ran, kept):
            return f"learning stage finished: {ran} rounds, {kept} kept"
        case events.Certified(round_):
            return f"round {round_}: every party signed every ledger's head"
        case _:
            assert_never(event)


def _committed(event: events.Committed, rounds: int) -> str:
    record = event.record
    weights = " ".join(f"{name} {w:.2f}" for name, w in record.weights.items())
    train = f"out-of-fold {record.train_loss:.5f}" if record.out_of_fold else f"train {record.train_loss:.5f}"
    train += f" ({_metric(record.train_metric)})" if record.out_of_fold else ""
    held = "" if record.valid_loss is None else f"  held-out {record.valid_loss:.5f} ({_metric(record.valid_metric)})"
    end = "" if record.attained else "  (no finite best eta: separable; stopped where the slope vanishes)"
    left = f"  ~{event.seconds_left:.0f} s left" if event.seconds_left else ""
    sent = f"  {event.bytes / 1e6:.1f} MB" if event.bytes else ""
    of = f"/{rounds}" if rounds else ""
    return f"round {record.round}{of}  {train}{held}  eta {record.eta:.3g}  weights {weights}{sent}{left}{end}"


def _metric(value: float | None) -> str:
    return "not measured" if value is None else f"{value:.4f}"


def _connection(event: events.Connection) -> str:
    match event:
        case events.Listening(bind):
            return f"listening on {bind}"
        case events.Dialling(address):
            return f"dialling {address}"
        case events.Workers(address, workers, threads):
            return f"fits are made by {workers} workers with {threads} threads at {address}"
        case events.Connected(peer):
            return f"{peer} is connected"
        case events.Disconnected(peer):
            return f"{peer} is gone; waiting for it to come back"
        case events.Waiting(names, seconds):
            return f"waiting for {names} (up to {seconds:.0f} s more)"
        case events.Undelivered(names):
            return f"{names}: the last messages were not confirmed; they are sent again when it comes back"
        case events.RefusedPeer(peer, why):
            return f"refused {peer}: {why}"
        case events.RolledBack(peer):
            return (
                f"{peer}'s run directory is older than this run: it was restored from a backup, or another copy of it "
                "is in use. Nothing more is sent to it; the study goes on when it comes back with its newest copy. If "
                "there is none, all parties start anew with an empty run_dir"
            )
        case events.Transport(text):
            return text
        case _:
            assert_never(event)


def _beginning(event: events.Beginning) -> str:
    match event:
        case events.Greeted(peer):
            return f"{peer} has greeted"
        case events.StudyDiffers(peer, how):
            return f"{peer} has another study: {how}"
        case events.UnlikeRelease(how):
            return how
        case events.Resumed(phase):
            return f"resuming a saved run (phase: {phase})"
        case events.Masking(rows):
            return f"private alignment: masking {rows:,} ids"
        case events.Tagged(rows):
            return f"private alignment: answered for {rows:,} masked ids"
        case events.PairAligned(peer, common, held):
            return f"private alignment with {peer}: {common:,} ids in common, it holds {held:,}"
        case events.Aligned(aligned, train, validation, by):
            holders = ", ".join(f"{name} {count:,}" for name, count in by.items())
            counts = f"{train:,} train, {validation:,} held out"
            return f"aligned: {aligned:,} common rows ({counts}); held by {holders}"
        case events.RowsKnown(rows, train):
            return f"aligned: {rows:,} rows of this party take part, {train:,} of them for training"
        case events.Classes(how):
            return how
        case events.Unmatched():
            return "alignment found no rows to learn from: the study is over"
        case events.Prepared():
            return "data prepared"
        case _:
            assert_never(event)


def _round(event: events.Round) -> str:
    match event:
        case events.Width(peer, padded):
            return f"{peer} encrypts with a padded width of {padded}"
        case events.GotKeys(size, held):
            return f"got evaluation keys: {size:,} bytes" if size else f"evaluation keys as before: {held:,} bytes"
        case events.Exposure(equations, ratio):
            return f"sums on this party's data so far: {equations:,} equations, {ratio:.3f} of all features"
        case events.PeerFitted(peer, round_):
            return f"round {round_}: {peer} has fitted"
        case events.RoundFitted(round_):
            return f"round {round_}: fitted and sent"
        case events.Summed(round_):
            return f"round {round_}: summed and sent"
        case events.Hiding():
            return (
                "learning has ended; the rounds left are run all the same, so that no assistor learns how many are kept"
            )
        case events.Finished(ran, kept):
            return f"learning stage finished: {ran} rounds, {kept} kept"
        case events.FinishedEncrypted(ran):
            return f"learning stage finished after {ran} rounds"
        case events.LearnerUsed(kind, features, device, precision, values):
            words = [word for word in (kind, features, device, precision, values) if word is not None]
            return f"learner: {'; '.join(words)}"
        case _:
            assert_never(event)


def _result(event: events.Result) -> str:
    match event:
        case events.Scored(metric, gal, alone, true, rows):
            which = "" if true is None else " on released labels"
            truth = "" if true is None else f"; on true labels GAL {true:.4f}"
            return f"{rows} {metric}{which}: GAL {gal:.4f}, sponsor alone {alone:.4f}{truth}"
        case events.Judged(word, rows, count, gal, alone, low, high):
            return (
                f"{word} than alone: {rows} loss of {count:,} rows {gal:.4f}, alone {alone:.4f}, a gain of "
                f"{alone - gal:.4f} (95% interval {low:.4f} to {high:.4f})"
            )
        case events.Found(_, _, text):
            return f"note: {text}"
        case events.ThresholdChosen(rule, value):
            return f"threshold {value:.4f}, chosen by {rule} on out-of-fold values of the training rows"
        case events.ResultsWritten(path):
            return f"results: {path}"
        case events.ReportWritten(path):
            return f"report: {path}"
        case events.ResultsCompleted(files):
            return f"results that were missing, or not this run's, are written: {files}"
        case events.ResultsIn(folder):
            return f"results are in {folder}"
        case events.AlreadyLearned(folder):
            return f"this study's learning stage is finished; its results are in {folder}"
        case events.NotCompared(why):
            return f"the table was not compared with what was learnt from: {why}"
        case events.BatchResumed(began):
            return (
                f"the batch of these ids that began on {began} was not brought to its end: going on with it, nothing "
                "is asked or counted twice"
            )
        case events.PredictionsWritten():
            return written(event)
        case events.KeepFromAssistors():
            return (
                "do not show them to any assistor: whoever computed them may find this study's key in them "
                "(docs/THREAT_MODEL.md)"
            )
        case events.Predicted(rows, known):
            return f"answered a prediction batch: {rows} rows, {known} known here"
        case events.Refused(rows, why):
            return f"refused to predict {rows} rows: {why}"
        case events.Stale(peer):
            return f"a message of {peer} about something that was given up is ignored"
        case _:
            assert_never(event)


def _words(event: events.Words) -> str:
    match event:
        case events.Warned(text):
            return f"warning: {text}"
        case events.Logged(text):
            return text
        case events.Failed(_, text):
            return f"error: {text}"
        case _:
            assert_never(event)
