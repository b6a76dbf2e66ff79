"""Known answers of the report's figures: where each point, bar and label stands, reckoned by hand.

The plot is 370 units wide from x = 58 and 188 high from y = 12, of a picture of 440 by 240.
"""

from __future__ import annotations

import pytest

from parties.report.charts import Axis, Chart, line_chart, share_chart, xy_chart


def ticks(chart: Chart) -> tuple[list[tuple[float, str]], list[tuple[float, str]]]:
    return [(t.at, t.text) for t in chart.x_ticks], [(t.at, t.text) for t in chart.y_ticks]


def test_a_line_chart_of_four_rounds() -> None:
    chart = line_chart("Loss", {"GAL": [1.0, None, 2.0, 3.0]}, {"alone": 1.5}, kept=3)
    assert chart is not None
    gal, alone = chart.curves
    assert gal.path == "M104.2 200.0M289.2 106.0L381.8 12.0" and gal.style == "line s0"
    assert gal.dots == ((104.2, 200.0), (289.2, 106.0), (381.8, 12.0))
    assert (alone.path, alone.style, alone.dots) == ("M58 153.0H428", "level l0", ())
    assert chart.kept_x == 289.2
    across, up = ticks(chart)
    assert across == [(104.2, "1"), (196.8, "2"), (289.2, "3"), (381.8, "4")]
    assert up == [(200.0, "1.0"), (153.0, "1.5"), (106.0, "2.0"), (59.0, "2.5"), (12.0, "3.0")]
    box = (chart.width, chart.height, chart.left, chart.right, chart.top, chart.bottom)
    assert box == (440, 240, 58, 428, 12, 200)


def test_an_axis_that_must_hold_zero_does() -> None:
    series = {"eta": [2.0, 1.0], "none": [None, None], "second": [1.0, 2.0]}
    free, held = (line_chart("Rate", series, {}, 0, from_zero=zero) for zero in (False, True))
    assert free is not None and held is not None
    assert [t.text for t in free.y_ticks] == ["1.0", "1.2", "1.4", "1.6", "1.8", "2.0"]
    assert [t.text for t in held.y_ticks] == ["0", "0.5", "1.0", "1.5", "2.0"]
    assert [(c.name, c.style) for c in held.curves] == [("eta", "line s0"), ("second", "line s1")]
    assert held.kept_x is None, "no round is kept"
    told = "eta from 2 in round 1 to 1 in round 2; second from 1 in round 1 to 2 in round 2"
    assert held.alt == f"Rate over 2 rounds: {told}."


def test_shares_are_bars_that_stand_on_each_other() -> None:
    chart = share_chart("Weights", {"a": [0.25, 1.0], "b": [0.75, None]}, kept=2)
    assert chart is not None
    a, b = chart.curves
    assert a.path == "M83.9 200.0V153.0h133.2V200.0zM268.9 200.0V12.0h133.2V200.0z"
    assert b.path == "M83.9 153.0V12.0h133.2V153.0z"
    assert (a.style, b.style, chart.kept_x) == ("bar s0", "bar s1", 335.5)
    assert [t.text for t in chart.y_ticks] == ["0", "0.2", "0.4", "0.6", "0.8", "1.0"]
    assert chart.alt == "Weights over 2 rounds, stacked to 1; means: a 0.62; b 0.38."
    over = share_chart("Weights", {"a": [0.6], "b": [0.6]}, kept=0)
    assert over is not None and "V12.0h" in over.curves[1].path and over.kept_x is None, "a bar ends at 1"


@pytest.mark.parametrize(("parties", "names"), [(8, 8), (9, 8), (20, 8)])
def test_at_most_eight_parties_are_told_apart(parties: int, names: int) -> None:
    chart = share_chart("Weights", {f"p{i:02d}": [float(i), 0.0] for i in range(parties)}, kept=0)
    assert chart is not None and len(chart.curves) == names
    assert ("others" in chart.curves[-1].name) is (parties > 8)
    if parties > 8:
        assert chart.curves[-1].name == f"{parties - 7} others"
        assert f"{parties - 7} others {sum(range(parties - 7)) / 2:.2f}." in chart.alt


def test_two_numbers_against_each_other() -> None:
    chart = xy_chart("ROC", ("false", "true"), {"GAL": ([0.0, 0.5, 1.0], [0.0, 0.75, None])}, level=True)
    level, gal = chart.curves
    assert level.path == "M58.0 200.0L428.0 12.0" and (level.name, level.style) == ("no difference", "level l0")
    assert gal.path == "M58.0 200.0L243.0 59.0" and gal.style == "line s0"
    across, up = ticks(chart)
    assert across == [(58.0, "0.0"), (132.0, "0.2"), (206.0, "0.4"), (280.0, "0.6"), (354.0, "0.8"), (428.0, "1.0")]
    assert [at for at, _ in up] == [200.0, 162.4, 124.8, 87.2, 49.6, 12.0]
    assert chart.alt == "ROC: true by false; GAL, 2 points."
    assert len(xy_chart("ROC", ("x", "y"), {"GAL": ([0.5], [0.5])}, level=False).curves) == 1


@pytest.mark.parametrize(("points", "marked"), [(20, 20), (21, 0)])
def test_points_of_a_curve_are_marked_while_they_are_few(points: int, marked: int) -> None:
    numbers = [i / points for i in range(points)]
    assert len(xy_chart("x", ("x", "y"), {"a": (numbers, numbers)}, level=False).curves[0].dots) == marked
    rounds = line_chart("x", {"a": [float(i) for i in range(2 * points)]}, {}, 0)
    assert rounds is not None and len(rounds.curves[0].dots) == 2 * marked


@pytest.mark.parametrize(
    ("count", "labels"),
    [
        (1, [1]),
        (8, [*range(1, 9)]),
        (10, [1, 2, 4, 6, 8, 10]),
        (40, [1, *range(5, 41, 5)]),
        (100, [1, 20, 40, 60, 80, 100]),
    ],
)
def test_rounds_are_labelled_at_about_eight_places(count: int, labels: list[int]) -> None:
    chart = line_chart("x", {"a": [0.0] * (count - 1) + [1.0]}, {}, 0)
    assert chart is not None and [t.text for t in chart.x_ticks] == [str(n) for n in labels]
    assert chart.x_ticks[-1].at == round(58 + 370 * (labels[-1] - 0.5) / count, 1)


@pytest.mark.parametrize(
    ("axis", "texts"),
    [
        (Axis(0.0, 40_000.0, 20_000.0), ["0", "20000", "40000"]),
        (Axis(0.0, 100_000.0, 50_000.0), ["0", "5e+04", "1e+05"]),
        (Axis(0.0, 2e-5, 1e-5), ["0", "0.00001", "0.00002"]),
        (Axis(0.0, 2e-6, 1e-6), ["0", "1e-06", "2e-06"]),
        (Axis(-2.0, 1.0, 1.0), ["-2", "-1", "0", "1"]),
    ],
)
def test_labels_are_plain_numbers_where_those_are_short(axis: Axis, texts: list[str]) -> None:
    assert [tick.text for tick in axis.ticks()] == texts


@pytest.mark.parametrize(
    ("values", "found"),
    [
        ([0.0, 5.0], (0.0, 5.0, 1.0)),
        ([0.0, 7.5], (0.0, 8.0, 2.0)),
        ([0.1, 24.9], (0.0, 25.0, 5.0)),
        ([-30.0, 20.0], (-30.0, 20.0, 10.0)),
        ([-10.0, -10.0], (-16.0, -4.0, 2.0)),
        ([3.0, 3.0 + 1e-9], (1.0, 5.0, 1.0)),
    ],
)
def test_an_axis_has_steps_of_one_two_or_five(values: list[float], found: tuple[float, float, float]) -> None:
    axis = Axis.around(values)
    assert (axis.low, axis.high, axis.step) == pytest.approx(found)
