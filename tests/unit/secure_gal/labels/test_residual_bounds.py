"""Each rule of a clear residual, at the last value that is honest and at the first that is not.

Room is for float32 alone: 2^-21 for a value, 1e-6 for a mean, 1e-5 of a sum of squares.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from crypto.label_privacy import bin_count
from secure_gal.labels.residual_rules import residual_problem
from secure_gal.settings.study import Study
from tests.support.residual_studies import classes, dp_classes, ranged, targets

ROOM, STEP = 2.0**-21, 2.0**-23
N = 10
SIDES = "more than half of the rows on one side of the median"


def problem(settings: Study, round_: int, values: Sequence[float] | Sequence[Sequence[float]]) -> str:
    r = np.array(values, dtype=np.float32)
    return residual_problem(settings, round_, r[:, None] if r.ndim == 1 else r)


def both(large: float, rows: int = N) -> list[float]:
    """Half of the rows above, half below: a mean of 0."""
    return [large, -large] * (rows // 2)


@pytest.mark.parametrize(
    ("settings", "honest", "crafted", "rule"),
    [
        (classes(), [1 + ROOM, 0.5], [1 + ROOM + STEP, 0.5], "a value beyond 1"),
        (classes(), [-1 - ROOM, 0.5], [-1 - ROOM - STEP, 0.5], "a value beyond 1"),
        (dp_classes(4.0, 2), [0.76159], [0.76162], "a value beyond 0.7616"),
        (classes(3), [[0.5, -0.25, -0.25 + ROOM]], [[0.5, -0.25, -0.25 + 2 * ROOM]], "a row that does not add up to 0"),
        (classes(3), [[0.5, -0.25, -0.25 - ROOM]], [[0.5, -0.25, -0.25 - 2 * ROOM]], "a row that does not add up to 0"),
        (classes(3), [[0.5, ROOM, -0.5 - ROOM]], [[0.5, 2 * ROOM, -0.5 - 2 * ROOM]], "a row with two positive values"),
        (targets("gamma"), [-1 - ROOM, 9.0], [-1 - 2 * ROOM, 9.0], "a value below -1"),
        (targets("huber"), [1.0, -1.0], [1 + STEP, 0.0], "a value beyond 1"),
        (targets("huber"), [1.0, -1.0], [0.0, -1 - STEP], "a value beyond 1"),
        (targets("l1"), [1 + ROOM, -1 - ROOM, ROOM], [1.0, 2 * ROOM], "a value that is no sign"),
        (targets("l1"), [1.0] * N, [1.0, 0.5], "a value that is no sign"),
    ],
)
def test_a_rule_of_every_round(settings: Study, honest: Sequence[float], crafted: Sequence[float], rule: str) -> None:
    assert problem(settings, 2, honest) == "" and problem(settings, 2, crafted) == rule


@pytest.mark.parametrize(
    ("settings", "honest", "crafted", "rule"),
    [
        (targets("l2"), [0.9e-6] * N, [1.1e-6] * N, "a mean other than 0"),
        (targets("l2"), [-0.9e-6] * N, [-1.1e-6] * N, "a mean other than 0"),
        (targets("huber"), [0.9e-6] * N, [1.1e-6] * N, "a mean other than 0"),
        (targets("poisson"), [-0.5] * 8 + [4 + 9 * 3.5e-6], [-0.5] * 8 + [4 + 9 * 4.5e-6], "a mean other than 0"),
        (targets("gamma"), [-0.5] * 8 + [4 + 9 * 3.5e-6], [-0.5] * 8 + [4 + 9 * 4.5e-6], "a mean other than 0"),
        (targets("poisson"), both(1.0), both(1.5), "a value below -1"),
        (targets("l1"), [1.0] * 5 + [-1.0] * 5, [1.0] * 6 + [-1.0] * 4, SIDES),
        (targets("l1"), [0.0] * 5 + [-1.0] * 5, [1.0] * 4 + [-1.0] * 6, SIDES),
        (
            targets("l2"),
            both((1 + 0.9e-5) ** 0.5),
            both((1 + 1.2e-5) ** 0.5),
            "a larger sum of squares than F^0 leaves, which every round lowers",
        ),
    ],
)
def test_a_rule_of_round_one_over_all_rows(
    settings: Study, honest: Sequence[float], crafted: Sequence[float], rule: str
) -> None:
    """Of some of the rows, or later, the same may be honest."""
    assert problem(settings, 1, honest) == "" and problem(settings, 1, crafted) == rule
    if settings.loss_name not in ("l2", "gamma"):
        assert problem(settings, 2, crafted) == ""


@pytest.mark.parametrize("loss", ["l2", "huber", "l1"])
def test_of_some_of_the_rows_no_mean_and_no_median_is_known(loss: str) -> None:
    assert problem(targets(loss, rows="sponsor"), 1, [1.0] * N) == ""


def test_a_sum_of_squares_falls_unless_the_rate_is_fixed() -> None:
    longer = [3.0] + [0.0] * (N - 1)
    assert problem(targets("l2"), 2, longer) == "" and problem(targets("l2"), 2, [3.2] + [0.0] * (N - 1)) != ""
    assert problem(targets("l2", learning_rate=0.5), 2, [100.0] * N) == "", "a step may be too long"
    some = targets("l2", rows="sponsor", max_ids=100)
    assert problem(some, 2, [10.0]) == "" and "sum of squares" in problem(some, 2, [10.0001])


def test_counts_have_no_bound_above_and_weighted_ones_none_below_in_round_one() -> None:
    assert problem(targets("poisson", row_weights="sponsor"), 1, both(1.5)) == ""
    assert problem(targets("poisson"), 2, [-7.0, 1e6]) == problem(targets("gamma"), 2, [-1.0, 1e6]) == ""


QUANTILE = {"quantile_level": 0.75}


@pytest.mark.parametrize(
    ("round_", "values", "rule"),
    [
        (1, [0.75] * 2 + [-0.25] * 6, ""),
        (1, [0.75] * 3 + [-0.25] * 5, "rows on the wrong side"),
        (1, [0.75] + [-0.25] * 7, "rows on the wrong side"),
        (1, [0.75] * 2 + [0.0] * 6, ""),
        (2, [0.75] * 8, ""),
        (2, [-0.25] * 8, ""),
        (2, [0.5], "a value other than 0.75, -0.25 and 0"),
        (2, [-0.75], "a value other than 0.75, -0.25 and 0"),
        (2, [0.25], "a value other than 0.75, -0.25 and 0"),
    ],
)
def test_a_quantile_leaves_three_values_and_its_share_of_rows_above(
    round_: int, values: list[float], rule: str
) -> None:
    assert problem(targets("quantile", **QUANTILE), round_, values) == rule


@pytest.mark.parametrize(
    ("values", "rule"),
    [
        ([0.75 + ROOM, 0.1, -0.25 - ROOM], ""),
        ([0.75 + 2 * ROOM], "a value beyond 0.75 or -0.25"),
        ([-0.25 - 2 * ROOM], "a value beyond 0.75 or -0.25"),
    ],
)
def test_weighted_a_quantile_leaves_what_lies_between(values: list[float], rule: str) -> None:
    assert problem(targets("quantile", row_weights="sponsor", **QUANTILE), 2, values) == rule


def test_randomised_response_leaves_as_many_values_as_bins_in_round_one() -> None:
    count = bin_count(2.0)
    settings = ranged("huber", 2.0)
    few, many = (np.linspace(-0.5, 0.5, number).tolist() for number in (count, count + 1))
    assert problem(settings, 1, few) == ""
    assert problem(settings, 1, many) == f"more different values than there are bins, {count}"
    assert problem(settings, 2, many) == problem(ranged("huber", None), 1, many) == ""


@pytest.mark.parametrize("rows", ["common", "sponsor"])
def test_round_one_of_classes_is_labels_less_their_shares(rows: str) -> None:
    """7 of 10 rows are of class 1; with some of the rows another share is as good."""
    settings = classes(rows=rows)
    honest = np.array([0.3] * 7 + [-0.7] * 3)
    assert problem(settings, 1, honest.tolist()) == ""
    other = problem(settings, 1, np.array([0.4] * 7 + [-0.6] * 3).tolist())
    assert other == ("other values than F^0 leaves for any labels" if rows == "common" else "")
    odd = honest.copy()
    odd[9] += 1.5 * ROOM
    assert problem(settings, 1, odd.tolist()) == "other values than F^0 leaves for any labels"
    odd[9] = honest[9] + 0.5 * ROOM
    assert problem(settings, 1, odd.tolist()) == ""


def test_weighted_rows_of_a_class_differ_in_their_weight_alone() -> None:
    settings = classes(3, row_weights="sponsor")
    shares = np.array([0.5, 0.25, 0.25])
    rows = np.array([w * (np.eye(3)[y] - shares) for w, y in ((1.0, 0), (0.5, 0), (0.75, 1), (0.75, 2))])
    assert np.abs(rows.mean(axis=0)).max() < 1e-12, "1.5 of class 0 and 0.75 of each other"
    assert problem(settings, 1, rows.tolist()) == ""
    turned = rows.copy()
    turned[1, 1:] += [-2e-6, 2e-6]
    assert problem(settings, 1, turned.tolist()) == "rows of a class that differ in more than their weight"
    moved = rows.copy()
    moved[2] *= 1.00002
    assert problem(settings, 1, moved.tolist()) == "a mean other than 0"
    assert problem(classes(3, row_weights="sponsor", rows="sponsor"), 1, moved.tolist()) == "", "of some of the rows"
    assert problem(classes(row_weights="sponsor"), 1, [0.5, -0.5, 0.25, -0.25]) == ""
    assert problem(classes(row_weights="sponsor"), 1, [0.5, -0.25]) == "a mean other than 0"
