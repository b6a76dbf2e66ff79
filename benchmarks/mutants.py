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
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path

from benchmarks.mutants_listed import ROOT, Mutant, drawn, equivalents, kept, place
from benchmarks.mutants_reach import Reach, measure, read

OUT = Path(__file__).with_name("results") / "mutants.json"
NAMED_SECONDS, REST_SECONDS = 600, 3600
"""A mutant whose tests run longer than this hangs them, which is a failure too."""


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


class Copy:
    """A copy of the tree that mutants are made in, one after the other."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True).stdout.decode()
        for name in filter(None, listed.split("\0")):
            target = folder / name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes((ROOT / name).read_bytes())
        self._clock = int(time.time()) - 1_000_000
        self._sound: set[tuple[str, ...]] = set()

    def judge(self, mutant: Mutant, reach: Reach, rest: bool, most: float = math.inf) -> tuple[str, str]:
        """(verdict, the test that failed)."""
        first, last = mutant.lines()
        tests = reach.of(mutant.file, first, last, most) or reach.of(mutant.file, 1, last + 10_000, most)
        stages: list[tuple[tuple[str, ...], int]] = [(mutant.first, NAMED_SECONDS)] if mutant.first else []
        stages += [(tuple(tests), REST_SECONDS)] if tests else []
        stages += [(("tests",), REST_SECONDS)] if rest or not tests else []
        for stage, seconds in stages:
            found, by = self._try(mutant, stage, seconds)
            if found == "hung" or (found == "detected" and self._holds(mutant, by, stage)):
                return found, by
        return "survived", ""

    def _holds(self, mutant: Mutant, by: str, shown: tuple[str, ...]) -> bool:
        """Whether what failed, a test or a file that could not even be collected, fails on the mutant again, and not on
        the code as it is; where pytest named nothing, all that it was shown."""
        tests = (by,) if by.startswith("tests/") else shown
        if tests not in self._sound:
            if self._run(tests, NAMED_SECONDS)[0] != "survived":
                print(f"{by} fails on code that was not changed, and does not count", flush=True)
                return False
            self._sound.add(tests)
        return self._try(mutant, tests, NAMED_SECONDS)[0] != "survived"

    def _try(self, mutant: Mutant, arguments: tuple[str, ...], seconds: int) -> tuple[str, str]:
        before, path = mutant.apply(self.folder), self.folder / mutant.file
        try:
            self._touch(path)
            return self._run(arguments, seconds)
        finally:
            path.write_text(before)
            self._touch(path)

    def _touch(self, path: Path) -> None:
        """A time that no compiled file has: Python compares whole seconds and lengths, and both may agree."""
        self._clock += 1
        os.utime(path, (self._clock, self._clock))

    def _run(self, arguments: Sequence[str], seconds: int) -> tuple[str, str]:
        command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", "--tb=no", *arguments]
        env = os.environ | {"PYTHONPATH": str(self.folder), "PYTHONHASHSEED": "0"}
        with subprocess.Popen(
            command,
            cwd=self.folder,
            env=env,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        ) as process:
            try:
                out, _ = process.communicate(timeout=seconds)
            except subprocess.TimeoutExpired:
                return "hung", f"after {seconds} s"
            finally:
                _end(process)
        if process.returncode == 0:
            return "survived", ""
        lines = [line for line in out.splitlines() if line.startswith(("FAILED ", "ERROR "))]
        failed = [line.partition(" ")[2].partition(" - ")[0] for line in lines]
        said = failed or out.strip().splitlines()[-1:] or [f"ended with {process.returncode}, without a word"]
        return "detected", said[0][:300]


def _end(process: subprocess.Popen[str]) -> None:
    """End the tests with every process that they started."""
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        return


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


def mapped(folder: Path, workers: int) -> Reach:
    """The map of tests and lines in this folder, made first where there is none."""
    if not folder.exists():
        Copy(folder)
        measure(folder, workers)
    return read(folder)


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
    parser.add_argument(
        "--map", type=Path, help="where the map of tests and lines is, or is made; kept for the next call"
    )
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
    with tempfile.TemporaryDirectory(prefix="secure-gal-reach-") as made:
        reach = mapped(asked.map or Path(made) / "map", asked.workers)
    verdicts = run(mutants, book, reach, asked.workers, asked.all, asked.most)
    print(summary(verdicts))
    if asked.what == "removed" and any(v.verdict == "survived" for v in verdicts):
        raise SystemExit(1)


if __name__ == "__main__":
    main()
