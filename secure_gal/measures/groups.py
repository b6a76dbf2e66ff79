"""The same measures among people that a column tells apart: whether a model serves some of them worse."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import msgspec
import numpy as np
import numpy.typing as npt

from secure_gal.measures.bootstrap import Drawn, Estimate
from secure_gal.measures.metrics import Array, Statistic, mean_of, ratio
from secure_gal.measures.ranked import Ranked

SMALLEST = 20
"""Rows below which a group is named and nothing of it is computed: it would be noise, and about a few people."""
MOST_GROUPS = 20
OTHERS = "others"


class Group(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Rows of one value of a column; estimates are None where the group is too small.

    Attributes:
        selected: share of them that are predicted to be of the second class.
        found: share of those of the second class that are (the true positive rate).
        auc: among them alone.
        gap: mean probability less the share of the second class: above 0 where the model expects too many.
    """

    column: str
    level: str
    rows: int
    selected: Estimate | None = None
    found: Estimate | None = None
    auc: Estimate | None = None
    gap: Estimate | None = None


def of_groups(
    column: str,
    levels: Sequence[str],
    positive: npt.NDArray[np.bool_],
    probability: Array,
    threshold: float,
    seed: int,
    weights: Array | None = None,
) -> tuple[Group, ...]:
    """Largest first; beyond MOST_GROUPS the smallest are one group.

    Args:
        levels: of each row, (n,).
        positive, probability: (n,).
        threshold: above which the second class is predicted.
        seed: of the bootstrap.
        weights: of the rows, (n,), in estimates; None: equal.
    """
    v = np.ones(len(positive)) if weights is None else weights
    counts = Counter(levels).most_common()
    named = {level for level, _ in counts[: MOST_GROUPS if len(counts) <= MOST_GROUPS else MOST_GROUPS - 1]}
    shown = np.array([level if level in named else OTHERS for level in levels], dtype=object)
    order = [level for level, _ in counts if level in named] + ([OTHERS] if len(named) < len(counts) else [])
    found = []
    for level in order:
        there = shown == level
        found.append(_group(column, level, positive[there], probability[there], threshold, seed, v[there]))
    return tuple(found)


def _group(
    column: str,
    level: str,
    positive: npt.NDArray[np.bool_],
    probability: Array,
    threshold: float,
    seed: int,
    weights: Array,
) -> Group:
    rows = len(positive)
    if rows < SMALLEST:
        return Group(column, level, rows)
    said = probability > threshold
    statistics: list[Statistic] = [
        mean_of(said),
        lambda w: ratio(float(w @ (said & positive)), float(w @ positive)),
        Ranked(positive, probability).area,
        mean_of(probability - positive),
    ]
    drawn = Drawn(statistics, rows, seed, weights)
    return Group(column, level, rows, *(drawn.estimate(i) for i in range(len(statistics))))
