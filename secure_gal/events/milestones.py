"""What others act on: certificates, syncing to disk, times and the report."""

from __future__ import annotations

from secure_gal.events.fact import Fact
from secure_gal.events.record import RoundRecord


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


Milestone = RunAgreed | RoundBegun | Committed | Learned | Certified
"""What others act on: certificates, syncing to disk, times and the report. Each of them matches all of these."""
