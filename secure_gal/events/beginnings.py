"""Agreement on a run, and alignment of rows."""

from __future__ import annotations

from secure_gal.events.fact import Fact


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


class Classes(Fact, frozen=True, tag="classes"):
    """The classes of the sponsor's label with their rows, in words, before anything is sent."""

    how: str


class Unmatched(Fact, frozen=True, tag="unmatched"):
    """The alignment left no rows to learn from: this study is over."""


class Prepared(Fact, frozen=True, tag="prepared"):
    """This assistor's features are made."""


Beginning = (
    Greeted
    | StudyDiffers
    | UnlikeRelease
    | Resumed
    | Masking
    | Tagged
    | PairAligned
    | Aligned
    | RowsKnown
    | Classes
    | Unmatched
    | Prepared
)
