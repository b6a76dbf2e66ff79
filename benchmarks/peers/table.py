"""The table of docs/MEASURED.md, made of the JSON alone."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from statistics import median
from typing import Any

Run = Mapping[str, Any]
HEADS = ("on", "system", "settings", "CPU s", "wall s", "MB between parties", "result", "runs")


def markdown(runs: Sequence[Run]) -> str:
    """One row a case and system, in the order of their first runs in the file; medians over its runs."""
    found: dict[tuple[str, str], list[Run]] = defaultdict(list)
    for run in runs:
        found[run["case"], run["peer"]].append(run)
    rows = [_row(case, peer, several) for (case, peer), several in found.items()]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in (HEADS, ["---"] * len(HEADS), *rows)) + "\n"


def _row(case: str, peer: str, runs: Sequence[Run]) -> list[str]:
    done = [run for run in runs if "failed" not in run]
    if not done:
        return [case, peer, runs[0]["what"], "", "", "", runs[-1]["failed"].replace("|", r"\|"), "0"]
    cpu, wall = (f"{median(run[name] for run in done):.1f}" for name in ("cpu_seconds", "wall_seconds"))
    sent = [run["bytes"] for run in done if run["bytes"] is not None]
    return [case, peer, done[0]["what"], cpu, wall, _megabytes(sent), _result(done), str(len(done))]


def _megabytes(sent: Sequence[int]) -> str:
    return f"{median(sent) / 1e6:.2f}" if sent else "none"


def _result(done: Sequence[Run]) -> str:
    first = done[0]
    if "auc" in first:
        return f"AUC {median(run['auc'] for run in done):.4f}"
    if "common" in first:
        return f"{first['common']:,} in common"
    steps = {step: median(run["steps"][step] for run in done) for step in first["steps"]}
    said = ", ".join(f"{step} {seconds:.3g} s" for step, seconds in steps.items())
    return f"{said}; error {max(run['error'] for run in done):.0e}"
