"""Facts that a party may act on, show and print: one class a fact, and `Event`, the closed union of them all.

The tag of a class is its name in `--json` and its attributes are the fields there (docs/EVENTS.md): they stay when a
class or a text is renamed. Attributes are plain values, never payloads, arrays or secrets. A fact knows no time; who
writes it down adds that. Its text for people is in `parties/progress.py`.
"""

from __future__ import annotations

import msgspec

from secure_gal.assistance import RoundRecord


class Fact(msgspec.Struct, frozen=True, tag_field="event"):
    """What all events are; only those of the union `Event` exist."""


# milestones


class RunAgreed(Fact, frozen=True, tag="run"):
    """Every party has signed the run of this id, 64 hexadecimal digits."""

    run: str


class RoundBegun(Fact, frozen=True, tag="round-begins"):
    """The sponsor sends the residual of this round."""

    round: int


class Committed(Fact, frozen=True, tag="committed"):
    """A round is on the sponsor's disk.

    Attributes:
        record: what it did; its metric in the label's own unit once the report has seen it.
        bytes: sent and received in this run so far; None where nobody counts.
        seconds_left: estimate for the rounds that are left; None where nobody measures.
    """

    record: RoundRecord
    bytes: int | None = None
    seconds_left: float | None = None


class Learned(Fact, frozen=True, tag="learned"):
    """The sponsor has had its last round; so many rounds were run, of which so many are kept."""

    rounds: int
    kept: int


class Certified(Fact, frozen=True, tag="certified"):
    """This party holds a certificate over every party's ledger head of this round."""

    round: int


# connections


class Listening(Fact, frozen=True, tag="listening"):
    """The sponsor's port is open at this address."""

    bind: str


class Dialling(Fact, frozen=True, tag="dialling"):
    """The assistor dials this address."""

    address: str


class Connected(Fact, frozen=True, tag="attached"):
    """A channel to this peer came up."""

    peer: str


class Disconnected(Fact, frozen=True, tag="lost"):
    """The channel to this peer is gone."""

    peer: str


class Waiting(Fact, frozen=True, tag="waiting"):
    """Parties that are needed are away: their names with ", " between, and the seconds that they have left."""

    names: str
    seconds: float


class Undelivered(Fact, frozen=True, tag="undelivered"):
    """The last messages to these parties (names with ", " between) were not confirmed."""

    names: str


class RefusedPeer(Fact, frozen=True, tag="refused-peer"):
    """What this peer sent is not taken."""

    peer: str
    why: str


class RolledBack(Fact, frozen=True, tag="rolled-back"):
    """This peer's run directory is older than what is known of it here."""

    peer: str


class Transport(Fact, frozen=True, tag="transport"):
    """What a socket says: clients that were refused, attempts to connect."""

    text: str


# agreement and alignment


class Greeted(Fact, frozen=True, tag="greeted"):
    """This peer has sent its hello of the same study."""

    peer: str


class StudyDiffers(Fact, frozen=True, tag="study-differs"):
    """This peer has another study; how it differs, in words."""

    peer: str
    how: str


class UnlikeRelease(Fact, frozen=True, tag="unlike-release"):
    """A peer runs another release; which, and who must upgrade, in words."""

    how: str


class Resumed(Fact, frozen=True, tag="resumed"):
    """A saved run is taken up in this phase of the protocol."""

    phase: str


class Masking(Fact, frozen=True, tag="masking"):
    """This party masks so many ids."""

    rows: int


class Tagged(Fact, frozen=True, tag="tagged"):
    """This party has tagged so many masked ids of the sponsor."""

    rows: int


class PairAligned(Fact, frozen=True, tag="pair-aligned"):
    """Ids in common with this assistor, and how many it holds in all."""

    peer: str
    common: int
    held: int


class Aligned(Fact, frozen=True, tag="aligned"):
    """At the sponsor: rows that take part, those of training and validation, and by party how many it holds."""

    aligned: int
    train: int
    validation: int
    held: dict[str, int]


class RowsKnown(Fact, frozen=True, tag="rows-known"):
    """At an assistor: rows of its own that take part, and how many of them are for training."""

    rows: int
    train: int


# preparations and rounds


class Prepared(Fact, frozen=True, tag="prepared"):
    """This assistor's features are made."""


class Width(Fact, frozen=True, tag="width"):
    """This peer works on ciphertexts with so many padded columns."""

    peer: str
    padded: int


class GotKeys(Fact, frozen=True, tag="keys"):
    """Evaluation keys of so many bytes have come."""

    bytes: int


class Exposure(Fact, frozen=True, tag="exposure"):
    """Sums counted so far on this party's data, as equations, and their number over that of all features."""

    equations: int
    ratio: float


class PeerFitted(Fact, frozen=True, tag="fitted"):
    """This peer's fitted values of this round, or their sealed form, are at the sponsor."""

    peer: str
    round: int


class RoundFitted(Fact, frozen=True, tag="round"):
    """This assistor has fitted this round and answered."""

    round: int


class Summed(Fact, frozen=True, tag="summed"):
    """The aggregator has answered with the weighted sum of this round."""

    round: int


class Hiding(Fact, frozen=True, tag="hiding"):
    """Learning has ended before the agreed rounds, which are run all the same."""


class Finished(Fact, frozen=True, tag="finished"):
    """This assistor's learning stage is over; so many rounds were run, of which so many are kept."""

    rounds: int
    kept: int


class FinishedEncrypted(Fact, frozen=True, tag="finished-encrypted"):
    """The same where an assistor learns only how many rounds were run."""

    rounds: int


class LearnerUsed(Fact, frozen=True, tag="learner"):
    """What this party computes with, in words, as in computing.json; None for what its kind has not."""

    kind: str
    features: str | None = None
    device: str | None = None
    precision: str | None = None


# results and predictions


class Scored(Fact, frozen=True, tag="validation"):
    """The metric of this name on validation rows, in the label's own unit, with assistors and without.

    Attributes:
        gal_on_true_labels: where the study learns from released labels: the first one on true labels.
    """

    metric: str
    gal: float
    alone: float
    gal_on_true_labels: float | None


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
    """

    rows: int
    path: str
    lacking: int
    summed: bool


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


# words for people


class Warned(Fact, frozen=True, tag="warning"):
    """What a person should look at."""

    text: str


class Logged(Fact, frozen=True, tag="log"):
    """What a learner says during a long fit."""

    text: str


class Failed(Fact, frozen=True, tag="error"):
    """The command ends with this exit code and message."""

    exit_code: int
    text: str


Milestone = RunAgreed | RoundBegun | Committed | Learned | Certified
"""What others act on: certificates, syncing to disk, times and the report. Each of them matches all of these."""
Connection = (
    Listening | Dialling | Connected | Disconnected | Waiting | Undelivered | RefusedPeer | RolledBack | Transport
)
Beginning = (
    Greeted | StudyDiffers | UnlikeRelease | Resumed | Masking | Tagged | PairAligned | Aligned | RowsKnown | Prepared
)
Round = (
    Width | GotKeys | Exposure | PeerFitted | RoundFitted | Summed | Hiding | Finished | FinishedEncrypted | LearnerUsed
)
Result = (
    Scored
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
Words = Warned | Logged | Failed
Event = Milestone | Connection | Beginning | Round | Result | Words
"""Every fact there is."""
