"""Preparations and rounds."""

from __future__ import annotations

from secure_gal.events.fact import Fact


class Width(Fact, frozen=True, tag="width"):
    """This peer works on ciphertexts with so many padded columns."""

    peer: str
    padded: int


class GotKeys(Fact, frozen=True, tag="keys"):
    """Evaluation keys have come, so many bytes of them; 0 where those of an earlier run are used again."""

    bytes: int
    held: int
    """Bytes of the keys."""


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
    """What this party computes with, in words, as in computing.json; None for what its kind has not.

    Attributes:
        values: how its values of the training rows are made; known after a fit.
    """

    kind: str
    features: str | None = None
    device: str | None = None
    precision: str | None = None
    values: str | None = None


Round = (
    Width | GotKeys | Exposure | PeerFitted | RoundFitted | Summed | Hiding | Finished | FinishedEncrypted | LearnerUsed
)
