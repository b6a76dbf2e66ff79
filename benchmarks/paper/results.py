"""Results as lines of JSON, one a run: what was run, on what, what came out."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import platform
import resource
import subprocess
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
ROOT = Path(__file__).resolve().parents[2]
LEFT_OUT = (":(exclude)benchmarks/results", ":(exclude)docs")
"""What runs change, or may: no result hangs on it."""
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


def made(
    case: Case, seed: int, quick: bool, outcome: Outcome, rows: tuple[int, int], spent: Spent, code: str
) -> Record:
    """The record of a run; rows: of training and of test; code: as `commit`."""
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
        "commit": code,
        "machine": machine(),
        "versions": versions(),
    }


def current(record: Record) -> bool:
    """Whether this release made it: what an older one measured stands in tables until it is measured again."""
    return bool(record["versions"]["secure-gal"] == versions()["secure-gal"])


@cache
def commit() -> str:
    """Of this code as it was when first asked, `-dirty` where tracked files but results and docs are changed; empty
    without git."""
    try:
        known = _git("describe", "--always")
        changed = _git("status", "--porcelain", "--untracked-files=no", "--", ".", *LEFT_OUT)
    except (OSError, subprocess.CalledProcessError):
        return ""
    return f"{known}-dirty" if changed else known


def _git(*arguments: str) -> str:
    command = ["git", "-C", str(ROOT), *arguments]
    return subprocess.run(command, capture_output=True, check=True, text=True).stdout.strip()


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
    """Wall and CPU seconds of this process and of all that it has started, since it was made.

    Args:
        wall, cpu: of earlier starts of the same run.
    """

    def __init__(self, wall: float = 0.0, cpu: float = 0.0) -> None:
        self._wall, self._cpu = time.monotonic() - wall, _cpu() - cpu
        self.wall, self.cpu = wall, cpu

    def stop(self) -> None:
        """Set `wall` and `cpu`; it goes on counting."""
        self.wall, self.cpu = time.monotonic() - self._wall, max(self.cpu, _cpu() - self._cpu)


def _cpu() -> float:
    """Of processes that have ended, and of those that live (workers wait for more work)."""
    both = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    living = sum(_tree_ticks(child) for child in _children(os.getpid())) / os.sysconf("SC_CLK_TCK")
    return living + sum(usage.ru_utime + usage.ru_stime for usage in both)


def _tree_ticks(pid: int) -> int:
    """Of a process, of those that it has ended, and of its living descendants; 0 once it is gone."""
    with contextlib.suppress(OSError):
        times = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11:15]
        return sum(map(int, times)) + sum(map(_tree_ticks, _children(pid)))
    return 0


def _children(pid: int) -> list[int]:
    """Of all its threads; none where the system does not say."""
    found: list[int] = []
    for path in Path(f"/proc/{pid}/task").glob("*/children"):
        with contextlib.suppress(OSError):
            found += map(int, path.read_text().split())
    return found


def add(path: Path, record: Record) -> None:
    """Append a line. An older one of the same run goes, and one that is torn, where a run was killed in the middle."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with _alone_in(path.parent):
        there = path.read_text().splitlines() if path.exists() else []
        kept = [line for line in there if _key_of_line(line) not in (None, key_of(record))]
        if len(kept) == len(there):
            with path.open("a") as file:
                file.write(json.dumps(record) + "\n")
            return
        part = path.with_suffix(".part")
        part.write_text("".join(f"{line}\n" for line in [*kept, json.dumps(record)]))
        os.replace(part, path)


def _key_of_line(line: str) -> str | None:
    try:
        return key_of(json.loads(line))
    except json.JSONDecodeError:
        return None


@contextlib.contextmanager
def _alone_in(folder: Path) -> Iterator[None]:
    """Runs side by side may have one folder of results."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


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
