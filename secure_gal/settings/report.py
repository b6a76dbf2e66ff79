"""`[report]` of the sponsor's file: what is measured of a finished study, and where its predictions are cut."""

from __future__ import annotations

import math
from typing import Literal, NamedTuple

import msgspec

BinaryMetric = Literal["roc_auc", "average_precision", "f1", "neg_brier_score"]
ClassMetric = Literal["accuracy", "balanced_accuracy", "log_loss"]
TargetMetric = Literal["mean_absolute_error", "root_mean_squared_error", "r2"]
MetricName = BinaryMetric | ClassMetric | TargetMetric
"""By scikit-learn's names; the first are for two classes, the second for any, the last for a regression."""


class ReportSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`[report]`.

    Attributes:
        metrics: None for those that are usual for the task.
        threshold: above which the second of two classes is predicted, or the rule that chooses it.
        groups: columns of the sponsor's table, whether learnt from or not, by whose values rows are told apart.
        own_model: whether scikit-learn's HistGradientBoosting on the sponsor's columns alone is measured beside.
    """

    metrics: tuple[MetricName, ...] | None = None
    threshold: float | str = 0.5
    groups: tuple[str, ...] = ()
    own_model: bool = True


class LeastCost(NamedTuple):
    """The cut at which so much a false negative and so much a false positive cost least."""

    fn: float
    fp: float


Cut = float | Literal["f1"] | LeastCost
"""A number, or the rule that chooses one."""
ACCEPTED = '"f1", "cost:FN=5,FP=1" (what a miss and a false alarm cost, above 0), or a number above 0 and below 1'


def cut_of(threshold: float | str) -> Cut:
    """What `threshold` says; ValueError for anything but ACCEPTED."""
    if isinstance(threshold, str) and threshold == "f1":
        return "f1"
    if isinstance(threshold, str) and threshold.startswith("cost:"):
        pairs = [part.partition("=") for part in threshold.removeprefix("cost:").replace(" ", "").split(",")]
        costs = {name: float(value) for name, _, value in pairs}
        if len(pairs) != 2 or set(costs) != {"FN", "FP"} or not all(0 < c < math.inf for c in costs.values()):
            raise ValueError(ACCEPTED)
        return LeastCost(costs["FN"], costs["FP"])
    number = float(threshold)
    if not 0 < number < 1:
        raise ValueError(ACCEPTED)
    return number
