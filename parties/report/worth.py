"""What the page shows of an evaluation: pictures, intervals, and groups by column."""

from __future__ import annotations

from typing import Final

from parties.report.charts import Chart, xy_chart
from parties.report.summary import Group, Interval, Number, Points, Worth

WHOSE = ("GAL", "sponsor alone")
ENDS: Final = ("low", "high")


def worth_charts(evaluation: Worth | None) -> list[Chart]:
    """Calibration, ROC and precision-recall, as far as the task has them."""
    if evaluation is None:
        return []
    charts = []
    if bins := evaluation["bins"]:
        picture = {"GAL": ([b["said"] for b in bins], [b["seen"] for b in bins])}
        picture |= {f"95% interval, {end}": ([b["said"] for b in bins], [b[end] for b in bins]) for end in ENDS}
        charts.append(
            xy_chart("Calibration", ("probability that was said", "share that was seen"), picture, level=True)
        )
    if evaluation["roc"]:
        axes = ("false positive rate", "true positive rate")
        charts.append(xy_chart("ROC", axes, _both(evaluation["roc"]), level=True))
        axes = ("recall", "precision")
        charts.append(xy_chart("Precision and recall", axes, _both(evaluation["precision_recall"]), level=False))
    return charts


def _both(curves: list[Points]) -> dict[str, tuple[list[Number], list[Number]]]:
    return {name: (curve["x"], curve["y"]) for name, curve in zip(WHOSE, curves, strict=True)}


def by_column(evaluation: Worth | None) -> dict[str, list[Group]]:
    """Column -> its groups."""
    found: dict[str, list[Group]] = {}
    for group in evaluation["groups"] if evaluation is not None else ():
        found.setdefault(group["column"], []).append(group)
    return found


def interval(estimate: Interval | None) -> str:
    """A number with its interval."""
    if estimate is None or estimate["value"] is None:
        return "–"
    value, low, high = estimate["value"], estimate["low"], estimate["high"]
    return f"{value:.3g}" if low is None else f"{value:.3g} ({low:.3g} to {high:.3g})"
