"""Tables in markdown, made of results alone."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from benchmarks.paper.case import MODES
from benchmarks.paper.results import Record

PUBLISHED_RUNS = 4
ROUNDING = 0.1 / 12**0.5
"""Standard deviation of what a published value lost: it has one decimal."""
BESIDE = ("ckks", "sum")
"""Modes whose difference from `product` is given, by seeds that both have."""
WORSE = " ▼"
"""Behind a mean that is worse than published by more than two standard errors."""
UNITS = {"accuracy": "accuracy, %", "mad": "mean absolute deviation", "auc": "area under the ROC curve"}
TITLES = {
    "uci": "Linear models",
    "learners": "Boosted trees, support vectors, and both",
    "noise": "Half of the parties noisy",
    "privacy": "Noised residuals",
    "local-loss": "Local losses",
    "parties": "Numbers of parties",
    "images": "Images in patches",
    "small-images": "Images in patches, in small",
    "objects": "Objects in views",
    "small-objects": "Objects in views, in small",
    "clinical": "Clinical series",
    "small-clinical": "Clinical series, in small",
    "houses": "Sets of two houses",
    "theorem": "Theorem 1",
    "boosting": "One organisation is gradient boosting",
    "splits": "Twenty splits",
    "stored-split": "The split that the published runs share",
    "why-al": "Assisted Learning, taken apart",
    "why-product": "Where the product's rule ends early, taken apart",
    "why-trees": "Trees and support vectors, taken apart",
    "cifar-costs": "CIFAR-10, one thing changed at a time",
}
"""By group, in the order of the tables; others follow."""
LEGEND = (
    "Mean (standard deviation) over seeds. `paper` and `product` are the rules for weights and rate, in the clear, and "
    "what has no such rule stands under `paper`; `ckks` and `sum` are the product's rule by ciphertexts, and their "
    "differences are paired by seed, mean ± standard error. `▼`: worse than published by more than two standard errors."
)


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a table: runs by mode and seed."""

    group: str
    data: str
    row: str
    metric: str
    runs: dict[str, dict[int, float]]
    published: tuple[float, float] | None
    quick: bool

    def mean(self, mode: str) -> str:
        """Mean and standard deviation of a mode, and whether it is worse than published."""
        values = list(self.runs.get(mode, {}).values())
        if not values:
            return ""
        return _said(self.metric, float(np.mean(values)), _deviation(values)) + (WORSE if self._worse(values) else "")

    def difference(self, mode: str) -> str:
        """From `product`, over the seeds of both."""
        ours, other = self.runs.get(mode, {}), self.runs.get("product", {})
        apart = [ours[seed] - other[seed] for seed in ours if seed in other]
        if not apart:
            return ""
        places, deviation = _places(self.metric, float(np.mean(list(ours.values())))), _deviation(apart)
        error = "" if deviation is None else f" ± {deviation / np.sqrt(len(apart)):.{places}f}"
        return f"{np.mean(apart):+.{places}f}{error}"

    def _worse(self, values: Sequence[float]) -> bool:
        if self.published is None or self.quick:
            return False
        mean, spread = self.published
        error = np.sqrt((_deviation(values) or 0.0) ** 2 / len(values) + spread**2 / PUBLISHED_RUNS + ROUNDING**2)
        by = float(np.mean(values)) - mean
        return bool((by if self.metric == "mad" else -by) > 2 * error)


def lines(records: Iterable[Record]) -> list[Line]:
    """Lines in the order in which their first results stand; a quick one only where no full result is there."""
    found: dict[tuple[str, str, str], dict[bool, list[Record]]] = defaultdict(lambda: defaultdict(list))
    for record in records:
        case = record["case"]
        found[case["group"], case["data"], case["row"]][record["quick"]].append(record)
    return [_line(place, runs[False] or runs[True]) for place, runs in found.items()]


def _line(place: tuple[str, str, str], records: list[Record]) -> Line:
    runs: dict[str, dict[int, float]] = defaultdict(dict)
    for record in records:
        runs[record["case"]["mode"]][record["seed"]] = record["value"]
    first = records[0]
    published = tuple(first["published"]) if first["published"] else None
    return Line(*place, first["metric"], dict(runs), published, first["quick"])


def markdown(records: Sequence[Record]) -> str:
    """All tables, a heading each, and what they were measured on."""
    if not records:
        return "No results."
    groups: dict[str, list[Line]] = {group: [] for group in TITLES}
    for line in lines(records):
        groups.setdefault(line.group, []).append(line)
    parts = ["# Tables of the paper's experiments", LEGEND, _where(records)]
    for group, listed in groups.items():
        if listed:
            parts += [f"## {TITLES.get(group, group)} (`{group}`)", _table(listed)]
    return "\n\n".join(parts)


def _table(listed: list[Line]) -> str:
    modes = [mode for mode in MODES if any(mode in line.runs for line in listed)]
    heads, published = ["data", "method"], any(line.published for line in listed)
    heads += ["published"] if published else []
    for mode in modes:
        heads += [mode, f"{mode} - product"] if mode in BESIDE else [mode]
    rows, before = [], ""
    for line in listed:
        cells = [_named(line) if line.data != before else "", line.row + (" (quick)" if line.quick else "")]
        cells += [_said(line.metric, *line.published) if line.published else ""] if published else []
        for mode in modes:
            cells += [line.mean(mode), line.difference(mode)] if mode in BESIDE else [line.mean(mode)]
        rows.append(cells)
        before = line.data
    return "\n".join("| " + " | ".join(cells) + " |" for cells in (heads, ["---"] * len(heads), *rows))


def _named(line: Line) -> str:
    return f"{line.data} ({UNITS[line.metric]})"


def _where(records: Sequence[Record]) -> str:
    machines = sorted({f"{r['machine']['cpu']}, {r['machine']['cores']} cores" for r in records})
    releases = sorted({r["versions"]["secure-gal"] for r in records})
    dates = sorted({r["date"] for r in records})
    hours = sum(r["cpu_seconds"] or r["seconds"] for r in records) / 3600
    return (
        f"{len(records)} runs, {hours:.1f} hours of CPU, {dates[0]} to {dates[-1]}; secure-gal {', '.join(releases)}; "
        f"{'; '.join(machines)}."
    )


def _said(metric: str, mean: float, deviation: float | None) -> str:
    places = _places(metric, mean)
    return f"{mean:.{places}f}" + ("" if deviation is None else f" ({deviation:.{places}f})")


def _places(metric: str, mean: float) -> int:
    match metric:
        case "auc":
            return 3
        case "mad" if abs(mean) < 20:
            return 2
        case _:
            return 1


def _deviation(values: Sequence[float]) -> float | None:
    return float(np.std(values, ddof=1)) if len(values) > 1 else None
