"""Runs what is still to do, one line of results after the other."""

from __future__ import annotations

import sys
import time
import traceback
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

from joblib import Parallel, delayed, parallel_config

from benchmarks.paper import methods, results, running
from benchmarks.paper.case import Case
from benchmarks.paper.data.sources import SOURCES
from benchmarks.paper.data.split import Asked, Split
from parties.run.cores import cores


class Due(NamedTuple):
    """One run."""

    case: Case
    seed: int

    @property
    def name(self) -> str:
        """As a person is told it."""
        return f"{self.case.name}, seed {self.seed}"


def due(cases: Sequence[Case], out: Path, quick: bool, again: bool = False) -> list[Due]:
    """Runs of these cases that have no result by this release in the folder yet, or `again` all of them."""
    known = () if again else results.read(out)
    done = {results.key_of(record) for record in known if results.current(record)}
    every = (Due(case, seed) for case in cases for seed in range(case.seeds))
    return [one for one in every if results.key(one.case, one.seed, quick) not in done]


def run(cases: Sequence[Case], data: Path, out: Path, quick: bool, again: bool = False, jobs: int = 1) -> int:
    """Run them, so many at a time; what is finished stands in the folder at once. Those that fail are told again at the
    end, by name.

    Returns:
        How many failed.
    """
    waiting, clock = due(cases, out, quick, again), Clock(results.read(out), jobs)
    failed: list[str] = []
    running.sweep(out)

    def begun() -> Iterator[Any]:
        for at, one in enumerate(waiting):
            left = clock.left(waiting[at:])
            _tell(f"{at + 1} of {len(waiting)}: {one.name}; {left} left")
            folder = running.place(out, one.case, one.seed, quick) if running.goes_on(one.case, quick) else None
            yield delayed(_attempt)(one, data, quick, folder)

    with parallel_config("loky", inner_max_num_threads=max(1, cores() // jobs)) if jobs > 1 else nullcontext():
        for ended in Parallel(jobs, batch_size=1, pre_dispatch=jobs, return_as="generator_unordered")(begun()):
            if ended.record is None:
                _tell(ended.why)
                failed.append(ended.due.name)
                continue
            results.add(results.file_of(out, ended.due.case), ended.record)
            if ended.folder is not None:
                running.remove(ended.folder)
            clock.learn(ended.record)
            which = f"{ended.due.name}: " if jobs > 1 else ""
            _tell("    {}{metric} {value:g}, {seconds:.1f} s".format(which, **ended.record))
    if failed:
        _tell(f"{len(failed)} of {len(waiting)} runs failed: {'; '.join(failed)}")
    return len(failed)


def _tell(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


class Ended(NamedTuple):
    """A run that is over; without a record it failed, and `why` is the traceback."""

    due: Due
    folder: Path | None
    record: results.Record | None
    why: str = ""


def _attempt(one: Due, data: Path, quick: bool, folder: Path | None) -> Ended:
    try:
        return Ended(one, folder, one_run(one, data, quick, folder))
    except Exception:  # the others are still to be had; the exit status tells
        return Ended(one, folder, None, traceback.format_exc())


@lru_cache(maxsize=1)
def _loaded(data: Path, name: str, asked: Asked) -> Split:
    """Several cases in a row have the same data, and reading patients or images takes a while."""
    return SOURCES[name].load(data, asked)


def one_run(one: Due, data: Path, quick: bool, folder: Path | None = None) -> results.Record:
    """Its result, not among the others yet; in this process, or by a process a party in a folder where it goes on."""
    split = _loaded(data, one.case.data, one.case.asked(one.seed))
    at = None if folder is None else running.Running(folder)
    spent = results.Spent() if at is None else at.spent
    outcome = methods.play(one.case, split, one.seed, at)
    spent.stop()
    rows, code = (len(split.y), len(split.test_y)), results.commit() if at is None else at.commit
    return results.made(one.case, one.seed, quick, outcome, rows, spent, code)


class Clock:
    """How long the rest takes, by runs that are done: of the same case, else of the same group and mode, else of
    all."""

    def __init__(self, records: Sequence[results.Record], jobs: int = 1) -> None:
        self._jobs = jobs
        self._seconds: dict[tuple[str, ...], list[float]] = defaultdict(list)
        for record in records:
            self.learn(record)

    def learn(self, record: results.Record) -> None:
        """Take in a run."""
        case = record["case"]
        for kind in _kinds(record["name"], case["group"], case["mode"]):
            self._seconds[kind].append(record["seconds"])

    def left(self, waiting: Sequence[Due]) -> str:
        """In words."""
        guesses = [self._guess(one.case) for one in waiting]
        known = [guess for guess in guesses if guess is not None]
        if not known:
            return "not known how much is"
        seconds = sum(known) / len(known) * len(guesses) / self._jobs
        return time.strftime("%H:%M:%S", time.gmtime(seconds)) if seconds < 86_400 else f"{seconds / 86_400:.1f} days"

    def _guess(self, case: Case) -> float | None:
        for kind in _kinds(case.name, case.group, case.mode):
            if self._seconds[kind]:
                return sum(self._seconds[kind]) / len(self._seconds[kind])
        return None


def _kinds(name: str, group: str, mode: str) -> tuple[tuple[str, ...], ...]:
    return (("case", name), ("group", group, mode), ("all",))
