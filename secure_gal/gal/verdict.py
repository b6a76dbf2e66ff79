"""Whether assistance was worth it, and what a study has silently not done: said where its result is shown."""

from __future__ import annotations

import math
from typing import Literal, assert_never

import msgspec
import numpy as np

from secure_gal.gal.ensemble import Ensemble
from secure_gal.gal.losses import Array

Z = 1.96
"""Standard errors on either side: an interval of 95%."""
Word = Literal["better", "no better", "worse"]
AsideKind = Literal["too-large", "copied", "only-where-told"]
"""Why what a party answered got no weight."""
FindingKind = Literal[
    "not-judged",
    "nothing-learnt",
    "no-weight",
    AsideKind,
    "no-finite-rate",
    "metric-undefined",
    "class-not-trained",
    "class-not-held-out",
]


class Verdict(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The study against the sponsor alone, by the same rule, on the same rows.

    Attributes:
        rows: that were judged.
        gal, alone: their mean loss.
        low, high: 95% interval of `alone - gal`, paired over rows; it knows nothing of another split or another seed.
    """

    rows: int
    gal: float
    alone: float
    low: float
    high: float

    @property
    def gain(self) -> float:
        """By how much assistance lowers the mean loss."""
        return self.alone - self.gal

    @property
    def word(self) -> Word:
        """`no better` where the interval holds 0."""
        return "better" if self.low > 0 else "worse" if self.high < 0 else "no better"


def verdict(gal: Array | None, alone: Array | None) -> Verdict | None:
    """From the losses of the judged rows, (n,) each; None where there are fewer than two."""
    if gal is None or alone is None or len(gal) < 2:
        return None
    difference = alone - gal
    mean, half = float(difference.mean()), Z * float(difference.std(ddof=1)) / math.sqrt(len(difference))
    return Verdict(len(gal), float(gal.mean()), float(alone.mean()), mean - half, mean + half)


class Finding(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Something that a person would not notice in numbers alone; `about`: a party, a round, a metric or a class."""

    kind: FindingKind
    about: str = ""

    @property
    def text(self) -> str:
        """In words, with the likely cause."""
        about = self.about
        match self.kind:
            case "not-judged":
                return (
                    "no row says whether the study is better than the sponsor alone: every row was fitted. Set "
                    "`validation` above 0 to hold some out"
                )
            case "nothing-learnt":
                return (
                    "nothing was learnt (no round is kept): every row gets the same prediction. Likely causes: "
                    "rows that are not the same people at all parties, columns that say nothing of the label, "
                    "or too few rows"
                )
            case "no-weight":
                return (
                    f"{about} had weight 0 in every kept round: what it predicts adds nothing to the others' parts. "
                    "Likely causes: its rows are not the same people, or its columns say nothing more of the label"
                )
            case "too-large" | "copied" | "only-where-told":
                return _aside(self.kind, about)
            case "no-finite-rate":
                return (
                    f"round {about}: no finite learning rate is best, since its values separate the classes. Likely "
                    "cause: a column that tells the label, such as one that was written after the fact"
                )
            case "metric-undefined":
                return (
                    f"{about} is not defined on the rows that it was to be measured on: they are all of one class. "
                    "Likely cause: too few rows, or a class that the common rows do not have"
                )
            case "class-not-trained":
                return (
                    f"class {about} is in no training row, so it is never predicted. Likely cause: too few rows of it "
                    "are common to all parties"
                )
            case "class-not-held-out":
                return (
                    f"class {about} is in no held-out row, so nothing measures how well it is predicted: set "
                    "`validation` to 0 or to a larger share"
                )
            case _:
                assert_never(self.kind)


def _aside(kind: AsideKind, party: str) -> str:
    """Why its fits got no weight, in words."""
    match kind:
        case "too-large":
            return (
                f"{party} answered with values far beyond any residual; they got no weight. Likely causes: a "
                "learner that diverges, or a party that does not follow the protocol"
            )
        case "copied":
            return (
                f"{party} answered with the residual itself, which got no weight. Likely causes: a party that does "
                "not follow the protocol, or a column of its that is the label in other words"
            )
        case "only-where-told":
            return (
                f"{party} explains rows whose residuals it was sent, and at most half as much of rows whose "
                "residuals are never sent; its fits got no weight. Likely causes: a party that does not follow "
                "the protocol, or a learner of its own that gives values of training rows which it has seen"
            )
        case _:
            assert_never(kind)


def findings(made: Ensemble, metric: str, classes: tuple[str, ...]) -> tuple[Finding, ...]:
    """Of a learning stage that is over.

    Args:
        metric: its name.
        classes: names in the order of their codes; none for a regression.
    """
    kept = made.history[: made.kept]
    found = [] if made.judged else [Finding("not-judged")]
    found += [] if kept else [Finding("nothing-learnt")]
    if len(made.parties) > 1 and kept:
        found += [
            Finding("no-weight", p)
            for p in made.parties
            if all(r.weights[p] == 0.0 for r in kept) and not any(p in r.set_aside for r in kept)
        ]
    aside = {(why, party): None for record in made.history for party, why in record.set_aside.items()}
    found += [Finding(msgspec.convert(why, FindingKind), party) for why, party in aside]
    found += [Finding("no-finite-rate", str(r.round)) for r in made.history if not r.attained]
    measured = made.kept_metric()
    if measured is not None and np.isnan(measured):
        found.append(Finding("metric-undefined", metric))
    trained, held_out = made.class_counts(len(classes))
    for name, here, there in zip(classes, trained, held_out, strict=True):
        if not here:
            found.append(Finding("class-not-trained", name))
        elif not there and held_out.any():
            found.append(Finding("class-not-held-out", name))
    return tuple(found)
