"""The geometry of the report's figures."""

from __future__ import annotations

import math

from hypothesis import given, settings
from hypothesis import strategies as st

from parties.report.charts import BOTTOM, HEIGHT, LEFT, RIGHT, TOP, WIDTH, Axis, line_chart, share_chart, xy_chart

numbers = st.floats(-1e9, 1e9).filter(lambda v: v == 0 or abs(v) > 1e-9)


@settings(deadline=None)
@given(st.lists(numbers, min_size=1, max_size=8))
def test_an_axis_holds_its_values_in_a_few_round_steps(values: list[float]) -> None:
    axis = Axis.around(values)
    slack = axis.step * 1e-6
    assert axis.low - slack <= min(values) and max(values) <= axis.high + slack
    assert round(axis.step / 10 ** math.floor(math.log10(axis.step) + 1e-9), 6) in (1, 2, 5)
    texts = [tick.text for tick in axis.ticks()]
    assert 2 <= len(texts) <= 8
    heights = [tick.at for tick in axis.ticks()]
    assert heights == sorted(heights, reverse=True) and heights[-1] == TOP


def test_axis_labels_read_well() -> None:
    texts = [t.text for t in Axis.around([0.9785, 1.0]).ticks()]
    assert texts == ["0.975", "0.980", "0.985", "0.990", "0.995", "1.000"]
    assert [t.text for t in Axis.around([0.0, 40.0]).ticks()] == ["0", "10", "20", "30", "40"]


def test_a_line_rises_with_its_values_and_stops_where_there_is_none() -> None:
    chart = line_chart("Metric", {"GAL": [1.0, None, 2.0, 3.0], "none": [None] * 4}, {"alone": 1.5}, kept=3)
    assert 0 < chart.left < chart.right < chart.width and 0 < chart.top < chart.bottom < chart.height
    assert chart is not None
    curve, level = chart.curves
    assert [x for x, _ in curve.dots] == [chart.x_ticks[i].at for i in (0, 2, 3)]
    assert curve.dots[0][1] > curve.dots[1][1] > curve.dots[2][1] == TOP
    assert curve.path.count("M") == 2 and curve.path.count("L") == 1
    assert level.name == "alone 1.5" and chart.kept_x == chart.x_ticks[2].at
    assert chart.alt == "Metric over 4 rounds: GAL from 1 in round 1 to 3 in round 4; alone 1.5."
    assert line_chart("Metric", {"GAL": [None]}, {}, 0) is None and share_chart("Weights", {}, 0) is None


def test_shares_stack_to_one_and_many_parties_are_folded() -> None:
    few = share_chart("Weights", {"a": [0.25, 1.0], "b": [0.75, 0.0]}, kept=1)
    assert few is not None
    assert [curve.path.count("M") for curve in few.curves] == [2, 1]
    assert f"V{TOP}" in few.curves[1].path
    many = share_chart("Weights", {f"p{i}": [i / 190] * 3 for i in range(20)}, kept=0)
    assert many is not None
    assert [curve.name for curve in many.curves] == [f"p{i}" for i in range(13, 20)] + ["13 others"]


def test_a_flat_line_lies_in_the_middle_of_half_its_height() -> None:
    assert (Axis.around([10.0, 10.0]).low, Axis.around([10.0]).high) == (4.0, 16.0), "5 to 15 in steps of 2"
    assert (Axis.around([0.0]).low, Axis.around([0.0]).high) == (-1.0, 1.0)


def test_curves_of_two_numbers_stand_where_their_numbers_say_and_a_gap_is_left_out() -> None:
    drawn = xy_chart("ROC", ("false", "true"), {"GAL": ([0.0, None, 1.0], [0.0, 0.3, 1.0])}, level=True)
    level, gal = drawn.curves
    assert level.path == gal.path
    assert gal.dots == ((float(LEFT), float(HEIGHT - BOTTOM)), (float(WIDTH - RIGHT), float(TOP)))
    assert (drawn.x_title, drawn.title, drawn.kept_x) == ("false", "ROC: true", None)
    assert [tick.text for tick in drawn.x_ticks] == ["0.0", "0.2", "0.4", "0.6", "0.8", "1.0"]
