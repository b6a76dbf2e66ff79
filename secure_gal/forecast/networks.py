"""What a network's fits take: a few epochs on as many of the party's own rows as fill one step and two, timed.

An epoch is so many steps, and a fit at most so many epochs: more rows are more steps of the same size, and the rest of
the epochs are reckoned. Training that stops early takes less, which nothing tells before it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple, Protocol

import msgspec

from secure_gal import options
from secure_gal.learners.cross_fit import folds_for
from secure_gal.learners.declare import KINDS
from secure_gal.settings.party import LearnerSettings
from secure_gal.settings.study import Study

if TYPE_CHECKING:
    from secure_gal.learners.torch_options import TorchOptions

ENOUGH = 0.4
"""CPU seconds that the epochs after the first are timed for, where one is shorter; and of one on the larger sample."""
LONG = 0.2
"""CPU seconds of an epoch on a quarter of a step from which nothing larger is timed."""
MOST_STEPS = 16
"""Of an epoch on the larger sample."""
Clock = Callable[[Callable[[], object]], float]
"""CPU seconds that some work takes."""


class Fits(NamedTuple):
    """CPU seconds of a fit in round 1, and in a later one."""

    first: float
    later: float


class Rounds(Protocol):
    """A fit of a round by a learner that trains for so many epochs: `fit(epochs)` readies it, and what it returns fits
    the round that it is given."""

    def __call__(self, epochs: int) -> Callable[[int], object]: ...


def trained(learner: LearnerSettings) -> TorchOptions | None:
    """How the network of these settings is trained; None where they name none of ours."""
    if learner.kind not in KINDS.names():
        return None
    kind = KINDS.find(learner.kind, "[learner] kind")
    if not kind.torch:
        return None
    from secure_gal.learners.torch_options import TorchOptions

    return options.of_kind(TorchOptions, options.read(kind.options, learner.options))


def shortened(learner: LearnerSettings, epochs: int, batch: int) -> LearnerSettings:
    """The same network, trained for just so many epochs in steps of so many rows."""
    given = {**learner.options, "epochs": epochs, "patience": epochs, "batch": batch}
    return msgspec.structs.replace(learner, options=given)


class Steps(NamedTuple):
    """Of a network in a study of so many rows: its folds, rows of a step, and those of a table whose every fit has one
    step an epoch."""

    folds: int
    batch: int
    rows: int


def steps_of(learner: LearnerSettings, study: Study, rows: int) -> Steps:
    """In a study of so many rows."""
    from secure_gal.learners.torch_trainer import HELD_OUT, TorchLearner, batch_of

    how = trained(learner)
    assert how is not None  # noqa: S101
    folds = folds_for(TorchLearner, learner.folds, int(rows * (1.0 - study.validation)))
    fitted = (1.0 - HELD_OUT) * (1.0 - study.validation) * ((folds - 1) / folds if study.cross_fitted else 1.0)
    batch = batch_of(how.batch, int(rows * fitted))
    return Steps(folds, batch, max(2, int((batch - 1) / fitted)))


def sizes(few: int, quarter: int, rows: int, one: float) -> list[int]:
    """Rows of the samples, by the seconds of one epoch on a quarter of a step: of a step and of several, or, where that
    takes long, that quarter alone, from which time then grows with the rows."""
    if one > LONG:
        return [quarter]
    several = int(min(max(ENOUGH / max(4 * one, 1e-4), 2), MOST_STEPS))
    return sorted({min(few, rows), min(several * few, rows)})


def timed(rounds: Rounds, how: TorchOptions, clock: Clock) -> Fits:
    """Time one epoch and some more, in a process that has trained before, and reckon all of them."""
    fit = rounds(1)
    one = clock(lambda: fit(1))
    more = max(1, min(how.epochs - 1, round(ENOUGH / max(one, 1e-4))))
    longer = rounds(1 + more)
    each = 0.0 if how.epochs == 1 else max(0.0, clock(lambda: longer(1)) - one) / more
    whole = one + (how.epochs - 1) * each
    return Fits(whole, clock(lambda: fit(2)) if how.share_extractor else whole)
