"""What stands of cases: how many runs have a result, and of which date and code."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from benchmarks.paper import results, running
from benchmarks.paper.case import Case


def lines(cases: Sequence[Case], out: Path, quick: bool) -> list[str]:
    """One a case."""
    known = {results.key_of(record): record for record in results.read(out)}
    return [f"{case.name}  ({_settings(case)}): {_stands(case, out, quick, known)}" for case in cases]


def _settings(case: Case) -> str:
    return f"{case.method}, {case.learner}, M = {case.parties}, T = {case.rounds}"


def _stands(case: Case, out: Path, quick: bool, known: dict[str, results.Record]) -> str:
    keys = [results.key(case, seed, quick) for seed in range(case.seeds)]
    found = [known[key] for key in keys if key in known]
    begun = sum(running.place(out, case, seed, quick).is_dir() for seed in range(case.seeds))
    parts = [f"{len(found)} of {case.seeds} runs", *sorted({_made(record) for record in found})]
    return ", ".join([*parts, *([f"{begun} begun"] if begun else [])])


def _made(record: results.Record) -> str:
    """When, and by which commit; the release as well where it is another one, whose runs are to do again."""
    words = [record["date"], record.get("commit", "")]
    if not results.current(record):
        words.append(f"(release {record['versions']['secure-gal']}, to do again)")
    return " ".join(word for word in words if word)
