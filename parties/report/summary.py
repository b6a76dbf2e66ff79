"""What summary.json and what is kept of rounds hold, as their readers take them.

What a reader can do without is not required: an earlier release may not have written it.
"""

from __future__ import annotations

import json
from typing import Literal, NotRequired, TypedDict

import msgspec

from parties.run.traffic import Counts

Number = int | float
"""As it was written: a whole number stays one."""


class Interval(TypedDict):
    """A number with its 95% interval, as far as they are known."""

    value: Number | None
    low: Number | None
    high: Number | None


class Compared(TypedDict):
    """One metric of `secure_gal.measures.evaluation.Compared`."""

    name: str
    gal: Interval
    alone: Interval
    own: Interval | None
    difference: Interval


class Bin(TypedDict):
    """Of the reliability picture."""

    rows: NotRequired[int]
    said: Number
    seen: Number
    low: Number
    high: Number


class Points(TypedDict):
    """A curve."""

    x: list[Number]
    y: list[Number]


class Group(TypedDict):
    """Rows of one value of a column; None where they are too few."""

    column: str
    level: str
    rows: int
    selected: Interval | None
    found: Interval | None
    auc: Interval | None
    gap: Interval | None


class Worth(TypedDict):
    """`secure_gal.measures.evaluation.Evaluation`, and its `worth` in words."""

    rows: int
    of: str
    metrics: list[Compared]
    own_model: str
    threshold: Number | None
    rule: str
    positive: str
    confusion: dict[str, int]
    calibration_error: Interval | None
    bins: list[Bin]
    roc: list[Points]
    precision_recall: list[Points]
    lift: list[Points]
    groups: list[Group]
    weighted: NotRequired[bool]
    worth: str


class Judged(TypedDict):
    """`secure_gal.gal.verdict.Verdict`, and what it comes to."""

    rows: int
    gal: Number
    alone: Number
    low: Number
    high: Number
    word: str
    gain: Number


class Found(TypedDict):
    """`secure_gal.gal.verdict.Finding`, and its text."""

    kind: str
    about: str
    text: str


class Share(TypedDict):
    """One party's contribution."""

    party: str
    leave_one_out: Interval
    shapley: Interval


class Shares(TypedDict):
    """`secure_gal.gal.contributions.Contributions` in the label's own unit, and what a sum hides."""

    rows: int
    none: Number
    all: Number
    exact: bool
    parties: tuple[Share, ...]
    note: str


class History(TypedDict):
    """What the page takes of `secure_gal.events.RoundRecord`."""

    out_of_fold: bool


class Beside(TypedDict):
    """What was foretold and what came; None where it is not known."""

    foretold: Number | None
    actual: Number | None


What = Literal["rows", "rounds", "bytes", "cpu", "from_ready"]
Foretold = dict[What, Beside]


class Rows(TypedDict, total=False):
    """`secure_gal.protocol.sponsor_records.Counts`."""

    aligned: int
    train: int
    validation: int
    held: dict[str, int]


class Summary(TypedDict):
    """summary.json. `pooled` is of whoever has all data, and adds it."""

    format: NotRequired[int]
    study: str
    digest: str
    run: str
    parties: dict[str, str]
    rows: Rows
    rounds: int
    kept: int
    metric: str
    judged: str | None
    verdict: Judged | None
    evaluation: NotRequired[Worth | None]
    findings: list[Found]
    contributions: Shares | None
    gal: Number | None
    alone: Number | None
    pooled: NotRequired[Number | None]
    gal_on_true_labels: NotRequired[Number | None]
    history: list[History]
    seconds: dict[str, Number | None]
    computing: dict[str, object]
    bytes: Counts
    versions: dict[str, str]
    forecast: NotRequired[Foretold | None]


class Measured(TypedDict):
    """Of one round, by this side alone."""

    round: int
    seconds: Number
    bytes_sent: int
    bytes_received: int


def read(text: str) -> Summary:
    """summary.json from its text; keys that are none of its own are left out.

    Raises:
        ValueError: it is no JSON, or not what a summary holds.
    """
    return msgspec.convert(json.loads(text), Summary)


def measured(text: str) -> list[Measured]:
    """What was kept of the rounds so far; empty text: of none."""
    return msgspec.json.decode(text, type=list[Measured]) if text else []
