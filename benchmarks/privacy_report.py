"""Repetitions of the privacy benchmark put together: intervals, tables, curves and JSON."""

from __future__ import annotations

import json
import math
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np
from rich.table import Table

from secure_gal.attacks.finding import Estimate, Finding, interval, repeated

ROUNDS = ("1", "3", "10", "all")
"""Rounds whose findings are kept; every round is attacked."""
LABELS = ("labels", "one label", "one column")
"""Targets that are no columns with names of their own."""
PER_COLUMN = {
    "none": "regression on known rows",
    "ckks (standard)": "regression on known rows",
    "ckks+sum": "regression on sums, known rows",
}
"""By mode the attack that is listed column by column too."""
CURVES = {
    "epsilon": (
        ("sign of the residual", "labels", "all"),
        ("value of the residual", "labels", "all"),
        ("model on known labels", "labels", "all"),
    ),
    "noise": (
        ("regression on known rows", "mean column", "all"),
        ("independent components", "mean column", "all"),
        ("share of the columns inside the recovered space", "mean column", "all"),
    ),
}
"""Attack, target and rounds of what a curve shows beside the metrics."""
Key = tuple[str, str, str, str, str]


class Report:
    """Findings of one data set over repetitions.

    Args:
        name: of the data set.
        curves: modes that are points of a curve, with the curve's name and the value there.
    """

    def __init__(self, name: str, curves: Mapping[str, tuple[str, float] | None]) -> None:
        self._name, self._curves = name, curves
        self._scores: dict[Key, list[tuple[float, float]]] = defaultdict(list)
        self._knows: dict[Key, str] = {}
        self._columns: dict[tuple[str, str], list[tuple[float, float]]] = defaultdict(list)
        self._metrics: dict[tuple[str, str], list[float]] = defaultdict(list)

    def add(self, mode: str, findings: Iterable[Finding], metrics: Mapping[str, float]) -> None:
        """One repetition: labels as they are; columns as their mean, and the one with the largest gain.

        The largest of many gains is above 0 even where every one is 0 on average: only the mean tells a leak from
        chance.
        """
        for metric, value in metrics.items():
            self._metrics[mode, metric].append(value)
        groups: dict[tuple[str, str, str], list[Finding]] = defaultdict(list)
        for f in findings:
            if f.rounds in ROUNDS:
                groups[f.attack, f.rounds, f.measure].append(f)
        for (attack, rounds, measure), members in groups.items():
            if members[0].target in LABELS:
                targets = {f.target: [f] for f in members}
            else:
                targets = {"mean column": members, "worst column": [max(members, key=lambda f: f.gain.value)]}
                for f in members if attack == PER_COLUMN.get(mode) else ():
                    self._columns[mode, f.target].append((f.score.value, f.baseline.value))
            for target, chosen in targets.items():
                score, baseline = ([getattr(f, side).value for f in chosen] for side in ("score", "baseline"))
                key = (mode, attack, target, rounds, measure)
                self._knows.setdefault(key, members[0].knows)
                self._scores[key].append((float(np.mean(score)), float(np.mean(baseline))))

    def findings(self) -> Iterator[tuple[str, Finding]]:
        """(mode, finding over all repetitions)."""
        for key, pairs in self._scores.items():
            mode, attack, target, rounds, measure = key
            knows = self._knows[key]
            yield mode, repeated(measure, pairs, attack=attack, target=target, rounds=rounds, knows=knows)

    def metrics(self) -> dict[str, dict[str, Estimate]]:
        """By mode, metrics on held-out true labels."""
        found: dict[str, dict[str, Estimate]] = defaultdict(dict)
        for (mode, metric), values in self._metrics.items():
            found[mode][metric] = interval(np.array(values))
        return found

    def curves(self) -> dict[str, list[dict[str, Any]]]:
        """By curve its points: the value, held-out metrics, and (score, baseline) of the attacks of CURVES."""
        found = {(mode, f.attack, f.target, f.rounds): f for mode, f in self.findings()}
        metrics, out = self.metrics(), defaultdict(list)
        for mode, point in [("none", None), *self._curves.items()]:
            for curve in CURVES if point is None else (point[0],):
                leaks = {wanted[0]: found[mode, *wanted] for wanted in CURVES[curve] if (mode, *wanted) in found}
                if leaks and curve in {place[0] for place in self._curves.values() if place}:
                    out[curve].append({curve: point and point[1], "held_out": metrics[mode], "attacks": leaks})
        return dict(out)

    def content(self) -> dict[str, Any]:
        """For JSON: an estimate is [value, low, high], rounded; the gain is the score less the baseline, paired."""
        columns: dict[str, dict[str, Any]] = defaultdict(dict)
        for (mode, column), pairs in self._columns.items():
            f = repeated("R2", pairs, attack=PER_COLUMN[mode], target=column, rounds="all", knows="")
            columns[mode][column] = [*_ends(f.score), _rounded(f.baseline.value)]
        return {
            "held_out": {mode: {m: _ends(e) for m, e in found.items()} for mode, found in self.metrics().items()},
            "curves": {
                curve: [
                    point
                    | {
                        "held_out": {m: _ends(e) for m, e in point["held_out"].items()},
                        "attacks": {
                            a: [_rounded(f.score.value), _rounded(f.baseline.value)]
                            for a, f in point["attacks"].items()
                        },
                    }
                    for point in points
                ]
                for curve, points in self.curves().items()
            },
            "findings": [
                {
                    "mode": mode,
                    "attack": f.attack,
                    "target": f.target,
                    "rounds": f.rounds,
                    "knows": f.knows,
                    "measure": f.measure,
                    "score": _ends(f.score),
                    "baseline": _ends(f.baseline),
                    "gain": _ends(f.gain),
                }
                for mode, f in self.findings()
            ],
            "r2_by_column_score_low_high_baseline": columns,
        }

    def tables(self) -> Iterator[Table]:
        """One row a mode and attack, then one table a curve."""
        table, metrics = Table(title=f"{self._name}: score, baseline without the messages, gain (95%)"), self.metrics()
        for heading in ("mode", "held out", "attack", "target", "rounds", "score", "baseline", "gain"):
            table.add_column(heading)
        for mode, f in self.findings():
            if f.rounds in ("1", "all"):
                held_out = ", ".join(f"{m} {e.value:.3f}" for m, e in metrics.get(mode, {}).items())
                table.add_row(mode, held_out, f.attack, f.target, f.rounds, *map(str, (f.score, f.baseline, f.gain)))
        yield table
        for curve, points in self.curves().items():
            heads = [*points[0]["held_out"], *points[0]["attacks"]]
            table = Table(
                curve, *heads, title=f"{self._name}: what {curve} buys and costs (score / baseline of attacks)"
            )
            for point in points:
                cells = [str(e) for e in point["held_out"].values()]
                cells += [f"{f.score.value:.3f} / {f.baseline.value:.3f}" for f in point["attacks"].values()]
                table.add_row("none" if point[curve] is None else f"{point[curve]:g}", *cells)
            yield table


def _rounded(value: float) -> float | None:
    return round(value, 4) if math.isfinite(value) else None


def _ends(e: Estimate) -> list[float | None]:
    return [_rounded(e.value), _rounded(e.low), _rounded(e.high)]


def as_json(result: dict[str, Any]) -> str:
    """Indented, with innermost lists and mappings on one line each; ends with a newline."""

    def flat(match: re.Match[str]) -> str:
        return re.sub(r"\s*\n\s*", " ", match[0])

    text = re.sub(r"\[[^\[\]{}]*\]", flat, json.dumps(result, indent=1))
    return re.sub(r"\{[^{}]*\}", flat, text) + "\n"
