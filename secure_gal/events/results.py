"""Results, and predictions."""

from __future__ import annotations

from secure_gal.events.fact import Fact


class Scored(Fact, frozen=True, tag="validation"):
    """The metric of this name on judged rows, in the label's own unit, with assistors and without.

    Attributes:
        gal_on_true_labels: where the study learns from released labels: the first one on true labels.
        rows: which ones: `held-out`, or `out-of-fold` training rows.
    """

    metric: str
    gal: float
    alone: float
    gal_on_true_labels: float | None
    rows: str


class Judged(Fact, frozen=True, tag="verdict"):
    """Whether assistance lowers the loss of rows, against the sponsor alone by the same rule.

    Attributes:
        verdict: `better`, `no better` or `worse`.
        rows: which rows: `held-out`, or `out-of-fold` training rows; count: how many.
        gal, alone: their mean loss.
        low, high: 95% interval of alone less gal, paired over rows.
    """

    verdict: str
    rows: str
    count: int
    gal: float
    alone: float
    low: float
    high: float


class Found(Fact, frozen=True, tag="finding"):
    """What a person would not notice in numbers alone, with its likely cause.

    Attributes:
        kind: of `secure_gal.gal.verdict.FindingKind`.
        about: a party, a round, a metric or a class; may be empty.
    """

    kind: str
    about: str
    text: str


class ThresholdChosen(Fact, frozen=True, tag="threshold"):
    """The probability of the second of two classes above which `prediction` is it, and the rule that chose it, on
    out-of-fold values of the training rows."""

    rule: str
    value: float


class ResultsWritten(Fact, frozen=True, tag="results"):
    """Where summary.json is."""

    path: str


class ReportWritten(Fact, frozen=True, tag="report"):
    """Where report.html is."""

    path: str


class ResultsCompleted(Fact, frozen=True, tag="results-completed"):
    """Results that were missing are written: file names with ", " between."""

    files: str


class AlreadyLearned(Fact, frozen=True, tag="already-learned"):
    """The learning stage was finished before; its results are in this folder."""

    folder: str


class ResultsIn(Fact, frozen=True, tag="results-in"):
    """All results are in this folder."""

    folder: str


class NotCompared(Fact, frozen=True, tag="table-not-compared"):
    """The table could not be compared with what was learnt from."""

    why: str


class BatchResumed(Fact, frozen=True, tag="batch-resumed"):
    """A batch of predictions goes on that began at this time, `YYYY-MM-DD HH:MM UTC`."""

    began: str


class PredictionsWritten(Fact, frozen=True, tag="predictions"):
    """The predictions file is written.

    Attributes:
        rows: in it.
        path: where it is.
        lacking: rows without some assistor's part.
        summed: whether a row has assistors' parts only if all of them know it.
        unusual: rows with some assistor's part unlike those of the rows that were learnt from.
    """

    rows: int
    path: str
    lacking: int
    summed: bool
    unusual: int = 0


class KeepFromAssistors(Fact, frozen=True, tag="keep-from-assistors"):
    """These predictions must not be shown to whoever computed them: they were decrypted."""


class Predicted(Fact, frozen=True, tag="predicted"):
    """This assistor has answered a batch of so many rows, of which it knows so many."""

    rows: int
    known: int


class Refused(Fact, frozen=True, tag="refused"):
    """This assistor has refused a batch of so many rows."""

    rows: int
    why: str


class Stale(Fact, frozen=True, tag="stale"):
    """A message of this peer belongs to an attempt or a batch that was given up, and is ignored."""

    peer: str


Result = (
    Judged
    | Scored
    | Found
    | ThresholdChosen
    | ResultsWritten
    | ReportWritten
    | ResultsCompleted
    | AlreadyLearned
    | ResultsIn
    | NotCompared
    | BatchResumed
    | PredictionsWritten
    | KeepFromAssistors
    | Predicted
    | Refused
    | Stale
)
