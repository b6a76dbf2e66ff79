"""Is every protection held by a test? Edits of the code, one at a time, each of which some test must fail on.

    python -m benchmarks.mutants removed            protections removed by name (removed_protections.toml)
    python -m benchmarks.mutants random             edits drawn at random (`mutants_drawn`)
    python -m benchmarks.mutants check              the kept list still fits the code; runs nothing
    python -m benchmarks.mutants table              what has been found

Each mutant is made in a copy of the tree, and shown to the tests of the default suite that run its lines
(`mutants_reach`), until the first failure; with `--all`, to every other test after them. A failure counts if it comes
again, and does not come on the code as it is. Verdicts are kept after every mutant in a JSON file, so the same command
goes on where it was stopped. A mutant that no test can tell is `equivalent`, and says why.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import tempfile
import time
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path

from benchmarks.mutants_copy import Copy, copy_tree
from benchmarks.mutants_listed import ROOT, Mutant, drawn, equivalents, kept, place
from benchmarks.mutants_reach import Reach, read, refresh

OUT = Path(__file__).with_name("results") / "mutants.json"
MAP = ROOT / ".mutants"


@dataclass(frozen=True)
class Verdict:
    """What became of a mutant: detected (by which test), hung, survived, or equivalent."""

    id: str
    name: str
    file: str
    line: int
    old: str
    new: str
    verdict: str
    by: str
    seconds: float


class Book:
    """The verdicts so far, kept after each."""

    def __init__(self, path: Path) -> None:
        self._path = path
        listed = json.loads(path.read_text())["mutants"] if path.exists() else []
        self.verdicts = {entry["id"]: Verdict(**entry) for entry in listed}

    def add(self, verdict: Verdict) -> None:
        """Keep one."""
        self.verdicts[verdict.id] = verdict
        self._path.parent.mkdir(parents=True, exist_ok=True)
        part = self._path.with_suffix(".part")
        part.write_text(json.dumps({"mutants": [asdict(v) for v in self.verdicts.values()]}, indent=1) + "\n")
        os.replace(part, self._path)


def mapped(kept: Path, workers: int) -> Reach:
    """The map of tests and lines that is kept in this folder, brought up to date."""
    with tempfile.TemporaryDirectory(prefix="secure-gal-reach-") as made:
        copy_tree(Path(made))
        refresh(Path(made), kept, workers)
    return read(kept)


def run(
    mutants: Sequence[Mutant], book: Book, reach: Reach, workers: int, rest: bool, most: float = math.inf
) -> list[Verdict]:
    """Judge those that have no verdict yet, and survivors again: a test may have come since."""
    known = equivalents()
    todo = [m for m in mutants if m.id not in book.verdicts or book.verdicts[m.id].verdict == "survived"]
    with tempfile.TemporaryDirectory(prefix="secure-gal-mutants-") as made, ThreadPoolExecutor(workers) as pool:
        copies = []
        for number in range(workers):
            (Path(made) / str(number)).mkdir()
            copies.append(Copy(Path(made) / str(number)))

        def work(number: int) -> None:
            for mutant in todo[number::workers]:
                began = time.monotonic()
                why = known.get(place(mutant), "")
                verdict, by = ("equivalent", why) if why else copies[number].judge(mutant, reach, rest, most)
                line = mutant.lines()[0]
                book.add(
                    Verdict(
                        mutant.id,
                        mutant.name,
                        mutant.file,
                        line,
                        mutant.old,
                        mutant.new,
                        verdict,
                        by,
                        round(time.monotonic() - began, 1),
                    )
                )
                print(f"{verdict:<10} {mutant.file}:{line} {mutant.name}  {by}", flush=True)

        list(pool.map(work, range(workers)))
        for copy in copies:
            copy.close()
    return [book.verdicts[m.id] for m in mutants]


def summary(verdicts: Iterable[Verdict]) -> str:
    """Counts, and each mutant that no test failed on."""
    listed = list(verdicts)
    counts = {kind: sum(v.verdict == kind for v in listed) for kind in ("detected", "hung", "survived", "equivalent")}
    found, decided = counts["detected"] + counts["hung"], len(listed) - counts["equivalent"]
    lines = [", ".join(f"{number} {kind}" for kind, number in counts.items() if number)]
    lines.append(f"{found} of {decided} that are not equivalent: {found / max(1, decided):.1%}")
    for v in listed:
        if v.verdict in ("survived", "equivalent"):
            lines.append(f"{v.verdict:<10} {v.file}:{v.line} {v.name}: {v.old!r} -> {v.new!r} {v.by}")
    return "\n".join(lines)


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("removed", "random", "check", "table"))
    parser.add_argument("--count", type=int, default=300, help="random mutants (default 300)")
    parser.add_argument("--seed", type=int, default=1, help="of the draw (default 1)")
    parser.add_argument("--workers", type=int, default=1, help="mutants at a time (default 1)")
    parser.add_argument(
        "--most",
        type=float,
        default=math.inf,
        metavar="SECONDS",
        help="show a mutant to no more tests than take so long together: more of them survive, in less time",
    )
    parser.add_argument("--all", action="store_true", help="show a survivor to the tests that do not run its lines too")
    parser.add_argument("--map", type=Path, default=MAP, help="where the map of tests and lines is kept")
    parser.add_argument("--out", type=Path, default=OUT, help="the file of verdicts")
    asked = parser.parse_args()
    book = Book(asked.out)
    if asked.what == "table":
        print(summary(book.verdicts.values()))
        return
    mutants = drawn(asked.count, asked.seed) if asked.what == "random" else kept()
    if asked.what == "check":
        print(f"{len(mutants)} removed protections fit the code")
        return
    verdicts = run(mutants, book, mapped(asked.map, asked.workers), asked.workers, asked.all, asked.most)
    print(summary(verdicts))
    if asked.what == "removed" and any(v.verdict == "survived" for v in verdicts):
        raise SystemExit(1)


if __name__ == "__main__":
    main()
