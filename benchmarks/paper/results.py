"""Results as lines of JSON, one a run: what was run, on what, what came out."""

from __future__ import annotations

import json
import platform
import resource
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

from benchmarks.harness import machine
from benchmarks.paper.case import Case
from benchmarks.paper.outcome import Outcome

Record = dict[str, Any]
DIGITS = 6
"""Significant digits that are kept."""
PACKAGES = ("numpy", "scipy", "scikit-learn", "tenseal", "torch")


def file_of(folder: Path, case: Case) -> Path:
    """Where a case's results lie."""
    return folder / f"{case.group}.jsonl"


def key_of(record: Record) -> str:
    """The same for runs of which one replaces the other."""
    return json.dumps([record["case"], record["seed"], record["quick"]], sort_keys=True)


def key(case: Case, seed: int, quick: bool) -> str:
    """Of a run that may still be to do."""
    return key_of({"case": json.loads(json.dumps(case.declared())), "seed": seed, "quick": quick})


def made(case: Case, seed: int, quick: bool, outcome: Outcome, rows: tuple[int, int], spent: Spent) -> Record:
    """The record of a run; rows: of training and of test."""
    found = asdict(outcome) | {"value": outcome.value}
    return {
        "name": case.name,
        "quick": quick,
        "seed": seed,
        "metric": case.source.metric,
        **{name: _rounded(value) for name, value in found.items()},
        "rows": rows[0],
        "test_rows": rows[1],
        "seconds": round(spent.wall, 2),
        "cpu_seconds": round(spent.cpu, 2),
        "published": case.published,
        "case": case.declared(),
        "date": time.strftime("%Y-%m-%d"),
        "machine": machine(),
        "versions": versions(),
    }


def current(record: Record) -> bool:
    """Whether this release made it: what an older one measured stands in tables until it is measured again."""
    return bool(record["versions"]["secure-gal"] == versions()["secure-gal"])


@cache
def versions() -> dict[str, str]:
    """Of Python, this package, and what computes."""
    from secure_gal import __version__

    return {"python": platform.python_version(), "secure-gal": __version__} | {p: version(p) for p in PACKAGES}


def _rounded(value: Any) -> Any:
    if isinstance(value, float):
        return float(f"{value:.{DIGITS}g}")
    return [_rounded(one) for one in value] if isinstance(value, list) else value


class Spent:
    """Wall and CPU seconds of this process and of those that it has ended, since it was made."""

    def __init__(self) -> None:
        self._wall, self._cpu = time.monotonic(), _cpu()
        self.wall = self.cpu = 0.0

    def stop(self) -> None:
        """Set `wall` and `cpu`."""
        self.wall, self.cpu = time.monotonic() - self._wall, _cpu() - self._cpu


def _cpu() -> float:
    both = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(usage.ru_utime + usage.ru_stime for usage in both)


def add(path: Path, record: Record) -> None:
    """Append a line, and a line break before it where a run was killed in the middle of one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    torn = path.exists() and (raw := path.read_bytes()) and not raw.endswith(b"\n")
    with path.open("a") as file:
        file.write(("\n" if torn else "") + json.dumps(record) + "\n")


def read(folder: Path) -> list[Record]:
    """All results of a folder; of several of one run the last. A torn line is told on stderr and left out."""
    found: dict[str, Record] = {}
    for path in sorted(folder.glob("*.jsonl")):
        for number, record in _lines(path):
            try:
                found[key_of(record)] = record
            except KeyError as error:
                raise SystemExit(
                    f"{path}, line {number}: no result of benchmarks.paper ({error} is missing)"
                ) from error
    return list(found.values())


def _lines(path: Path) -> Iterator[tuple[int, Record]]:
    for number, line in enumerate(path.read_text().splitlines(), 1):
        try:
            yield number, json.loads(line)
        except json.JSONDecodeError:
            print(f"{path}, line {number} is torn and left out: its run is to do again", file=sys.stderr)
