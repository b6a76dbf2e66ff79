"""What a study's predictions are worth beside the sponsor's own: numbers with intervals, of rows that judge."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any, Literal, NamedTuple, assert_never

import msgspec
import numpy as np
import numpy.typing as npt

from secure_gal.measures.bootstrap import Drawn, Estimate
from secure_gal.measures.calibration import Bin, calibration_statistic, reliability
from secure_gal.measures.groups import Group, of_groups
from secure_gal.measures.metrics import Array, Statistic, predicted, statistics
from secure_gal.measures.ranked import Ranked, confusion
from secure_gal.settings.report import MetricName

Rows = Literal["test", "chose-rounds", "out-of-fold"]
"""Rows that judge: `test`, which no fit has seen and which chose nothing; held-out rows that chose the kept round; or
training rows by values from fits without them."""
SHARES = (0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)
"""Of the rows, at which lift is given."""


class Compared(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One metric of the same rows.

    Attributes:
        gal, alone: with the assistors; by the same learner, rounds and rule without them.
        own: of the sponsor's best own model; None where there is none.
        difference: gal less alone, paired over rows.
    """

    name: MetricName
    gal: Estimate
    alone: Estimate
    own: Estimate | None
    difference: Estimate


class Points(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A curve."""

    x: tuple[float, ...]
    y: tuple[float, ...]


class Evaluation(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Of a finished study.

    Attributes:
        rows, of: how many rows judge, and which.
        weighted: whether rows count by weights of their own; confusion and bins count rows all the same.
        own_model: what `own` is, or why there is none.
        threshold: above which the second of two classes is predicted; None but for two classes.
        rule: of the sponsor's file, by which it was chosen.
        positive: name of the second of two classes.
        confusion: TP, FP, FN and TN at it.
        calibration_error: ECE; above 0 by chance even for perfect probabilities, and more so on draws, so its interval
            leans upwards. Of more than two classes that of the predicted class; None for a regression.
        bins: of the reliability picture.
        roc, precision_recall, lift: of two classes, GAL and then alone.
    """

    rows: int
    of: Rows
    metrics: tuple[Compared, ...]
    own_model: str = ""
    threshold: float | None = None
    rule: str = ""
    positive: str = ""
    confusion: dict[str, int] = {}
    calibration_error: Estimate | None = None
    bins: tuple[Bin, ...] = ()
    roc: tuple[Points, ...] = ()
    precision_recall: tuple[Points, ...] = ()
    lift: tuple[Points, ...] = ()
    groups: tuple[Group, ...] = ()
    weighted: bool = False

    @property
    def worth(self) -> str:
        """What these rows can say, in words."""
        weighing = " Rows count by their weights, as in learning." if self.weighted else ""
        return self._which + weighing

    @property
    def _which(self) -> str:
        match self.of:
            case "test":
                return f"Test part: {self.rows:,} rows that no fit has seen and that chose nothing."
            case "chose-rounds":
                return (
                    f"{self.rows:,} held-out rows that no fit has seen, but which chose how many rounds are kept: "
                    "expect a little less of new rows."
                )
            case "out-of-fold":
                return (
                    f"Out-of-fold values of the {self.rows:,} training rows: each comes from fits without that row, "
                    "but these rows also chose weights, rates, the number of rounds"
                    f"{' and the threshold' if self.rule else ''}, and their labels shaped the residuals that other "
                    "rows were fitted to. Expect somewhat less of new rows; `validation = 0.2` in study.toml sets a "
                    "test part aside that chooses nothing."
                )
            case _:
                assert_never(self.of)


Measured = Callable[[float], Drawn]
"""What the metrics come to, in their order, where the second of two classes is predicted above a threshold."""


def measured(
    y: npt.NDArray[Any], outputs: Array, metrics: Sequence[MetricName], weights: Array | None, seed: int
) -> Measured:
    """Of these outputs; arguments as in `Judging` and `evaluate`. What was measured once is kept."""
    return cache(lambda threshold: Drawn(statistics(metrics, y, outputs, threshold), len(y), seed, weights))


class Judging(NamedTuple):
    """Rows and what was predicted of them.

    Attributes:
        y: int64 (n,) class codes, or float64 (n,) targets.
        gal, alone: float64 (n, classes) probabilities, or (n,) values in the target's unit.
        own: of the sponsor's best own model, on the same rows by the same seed.
        of: which rows.
        weights: of the rows, (n,), of mean 1; None: equal.
        alone_before: of `alone`, by the same metrics and seed, where that was measured already.
    """

    y: npt.NDArray[Any]
    gal: Array
    alone: Array
    own: Measured | None
    of: Rows
    weights: Array | None = None
    alone_before: Measured | None = None


def evaluate(
    judging: Judging,
    metrics: Sequence[MetricName],
    threshold: float | None,
    rule: str,
    own_model: str,
    groups: Mapping[str, Sequence[str]],
    seed: int,
) -> Evaluation:
    """Everything that the task has.

    Args:
        threshold: of two classes; None for more, and for a regression.
        rule: that chose it, empty where it is a number of the sponsor's file.
        own_model: as in `Evaluation`.
        groups: column -> the level of each row; of two classes only.
        seed: of the bootstrap.
    """
    y, gal, cut = judging.y, judging.gal, threshold or 0.5
    bins: tuple[Bin, ...] = ()
    sure: list[Statistic] = []
    if gal.ndim > 1:
        surest, right = (gal[:, 1], y == 1) if threshold is not None else (gal.max(axis=1), predicted(gal, cut) == y)
        bins, sure = reliability(right, surest), [calibration_statistic(right, surest)]
    drawn = Drawn([*statistics(metrics, y, gal, cut), *sure], len(y), seed, judging.weights)
    alone = (judging.alone_before or measured(y, judging.alone, metrics, judging.weights, seed))(cut)
    own = None if judging.own is None else judging.own(cut)
    found = Evaluation(
        len(y),
        judging.of,
        _compared(metrics, drawn, alone, own),
        own_model,
        threshold,
        rule,
        weighted=judging.weights is not None,
        bins=bins,
        calibration_error=drawn.estimate(len(metrics)) if sure else None,
    )
    return found if threshold is None else _of_two_classes(found, judging, threshold, groups, seed)


def _compared(metrics: Sequence[MetricName], gal: Drawn, alone: Drawn, own: Drawn | None) -> tuple[Compared, ...]:
    """Each has every metric, in this order."""
    return tuple(
        Compared(
            name,
            gal.estimate(i),
            alone.estimate(i),
            None if own is None else own.estimate(i),
            gal.difference(i, alone),
        )
        for i, name in enumerate(metrics)
    )


def _of_two_classes(
    found: Evaluation, judging: Judging, threshold: float, groups: Mapping[str, Sequence[str]], seed: int
) -> Evaluation:
    positive, probability = judging.y == 1, judging.gal[:, 1]
    both = [Ranked(positive, outputs[:, 1], judging.weights) for outputs in (judging.gal, judging.alone)]
    shares = np.array(SHARES)
    return msgspec.structs.replace(
        found,
        confusion=confusion(positive, probability > threshold),
        roc=tuple(_points(*ranked.roc()) for ranked in both),
        precision_recall=tuple(_points(*ranked.precision_recall()) for ranked in both),
        lift=tuple(_points(shares, ranked.lift(shares)) for ranked in both),
        groups=tuple(
            group
            for column, levels in groups.items()
            for group in of_groups(column, levels, positive, probability, threshold, seed, judging.weights)
        ),
    )


def _points(x: Array, y: Array) -> Points:
    return Points(tuple(x.round(6).tolist()), tuple(y.round(6).tolist()))
