"""What was timed of a party's own code, and what a study of so many rows takes by it."""

from __future__ import annotations

from typing import Annotated, NamedTuple

import msgspec

from secure_gal.features.encoder_options import epochs_for
from secure_gal.measures.bootstrap import draws_of

MAX_SECONDS = 1e6
Seconds = Annotated[float, msgspec.Meta(ge=0, le=MAX_SECONDS)]
Rows = Annotated[int, msgspec.Meta(ge=1, le=2**31)]
OF_OWN = 0.5
"""Of the evaluation of the study and the sponsor alone: what that of the best own model takes, beside the rounds."""


class Pace(NamedTuple):
    """CPU seconds of a party.

    Attributes:
        imports: of libraries that the first round needs.
        prepare: encoding all rows.
        first, later: a fit of its own in round 1, and in every later one.
        commit: of a round, at the sponsor.
        own: the sponsor's best own model, the library that fits it, and its evaluation.
        results: what comes after the last round, at the sponsor.
    """

    imports: float
    prepare: float
    first: float
    later: float
    commit: float = 0.0
    own: float = 0.0
    results: float = 0.0


class Training(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A network as an encoder, which trains once.

    Attributes:
        epoch: CPU seconds of an epoch on so many training `rows`.
        share: training rows for a row of the study.
        asked: `encoder_epochs`; 0: as many as suit the rows.
    """

    epoch: Seconds
    rows: Rows
    share: Annotated[float, msgspec.Meta(ge=0, le=1)]
    asked: Annotated[int, msgspec.Meta(ge=0, le=10_000)]

    def after_one(self, rows: int) -> float:
        """All epochs but the first, in a study of so many rows."""
        train = rows * self.share
        return (epochs_for(self.asked, int(train)) - 1) * self.epoch * train / self.rows


class Sample(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """CPU seconds of each step on so many rows; 0 for what a party does not do.

    Attributes:
        first, later: a fit in round 1, and in a later one.
        commit: of a round.
        alone, contributions, evaluation: after the last round.
    """

    rows: Rows
    first: Seconds = 0.0
    later: Seconds = 0.0
    commit: Seconds = 0.0
    alone: Seconds = 0.0
    contributions: Seconds = 0.0
    evaluation: Seconds = 0.0


class Timings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """CPU seconds of a party's own code.

    Attributes:
        samples: of one or two sizes, the smaller first; in between and beyond, time is taken as a line.
        large: rows that `prepare` and `own` were timed on.
        prepare, imports: as `Pace` has them.
        own: one fit of the sponsor's own model; own_fits: how many there are, each of all rows; own_imports: of what
            fits it.
        once: what the first fit of a process takes besides.
        epochs: that a network's fits are reckoned with; 0 where a fit is timed whole.
        training: of an encoder, whose first epoch is in each sample's `first`; None where none is trained.
    """

    samples: Annotated[tuple[Sample, ...], msgspec.Meta(min_length=1, max_length=2)]
    large: Rows
    prepare: Seconds
    imports: Seconds = 0.0
    own: Seconds = 0.0
    own_fits: Annotated[float, msgspec.Meta(ge=0, le=1000)] = 0.0
    own_imports: Seconds = 0.0
    once: Seconds = 0.0
    epochs: Annotated[int, msgspec.Meta(ge=0)] = 0
    training: Training | None = None

    def pace(self, rows: int) -> Pace:
        """CPU seconds of a study of so many rows."""
        draws = draws_of(rows) / draws_of(self.samples[-1].rows)
        bootstrap = self._line("evaluation", rows) * draws
        own = self.own_imports + self.own * self.own_fits * rows / self.large
        own += OF_OWN * bootstrap if own else 0.0
        results = bootstrap + self._line("alone", rows) + self._line("contributions", rows)
        trained = self.training.after_one(rows) if self.training else 0.0
        fits = self.once + self._line("first", rows) + trained, self._line("later", rows)
        return Pace(self.imports, self.prepare * rows / self.large, *fits, self._line("commit", rows), own, results)

    def _line(self, what: str, rows: int) -> float:
        """Through the samples, at so many rows; never falling."""
        few, many = self.samples[0], self.samples[-1]
        at_few, at_many = getattr(few, what), getattr(many, what)
        more = many.rows - few.rows
        slope = max(0.0, (at_many - at_few) / more) if more > 0 else at_many / many.rows
        return float(max(0.0, at_many + slope * (rows - many.rows)))
