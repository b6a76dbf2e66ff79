"""Which test runs which line: a map, so that a mutant is shown only to the tests that can tell it.

A test that never runs a line cannot fail on an edit of it. Each file of tests is run once under coverage.py, with the
running test as the context of every line, in the processes that a test starts as well (a `sitecustomize` in the copied
tree starts coverage in each). What it ran is kept beside digests of the files in which it ran lines: a file of tests is
run again once one of those has changed, and no other. Lines that a killed process ran are missed, for it writes no
data: whoever wants to be sure of a survivor shows it to all tests.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import math
import os
import subprocess
import sys
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import coverage

DATA = "COVERAGE_REACH_DATA"
BATCH = 12
"""Files of tests run together: what is lost when it is stopped."""
CODE = ("crypto", "transport", "parties", "secure_gal")
SHARED = ("tests/conftest.py", "tests/support/*.py")
"""What many tests stand on: when it changes, every test may run other lines."""
CUSTOMIZE = f"""
import atexit, os
if {DATA!r} in os.environ:
    import coverage
    test = os.environ.get("PYTEST_CURRENT_TEST", "").rpartition(" ")[0]
    here = os.path.dirname(os.path.abspath(__file__))
    reach = coverage.Coverage(data_file=os.environ[{DATA!r}], data_suffix=True, context=test or None, config_file=False,
                              source=[os.path.join(here, name) for name in {CODE!r}], concurrency=["thread"])
    reach.start()
    atexit.register(lambda: (reach.stop(), reach.save()))
"""
PLUGIN = """
import json, os, pytest, sitecustomize
spent = {}

@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item):
    sitecustomize.reach.switch_context(item.nodeid)
    before = os.times()
    try:
        return (yield)
    finally:
        spent[item.nodeid] = round(sum(os.times()[:4]) - sum(before[:4]), 3)
        sitecustomize.reach.switch_context("")

def pytest_sessionfinish():
    with open(f"spent-{os.getpid()}.json", "w") as file:
        json.dump(spent, file)
"""


@dataclass(frozen=True)
class Reach:
    """Tests by (file, line), and the CPU seconds of each test."""

    tests: dict[str, dict[int, frozenset[str]]]
    seconds: dict[str, float]

    def of(self, file: str, first: int, last: int, seconds: float = math.inf) -> list[str]:
        """The tests that run one of these lines, files with little to run before others; empty if only imports run
        them.

        Tests of one file stay together, where they share what was costly to make.

        Args:
            seconds: no more tests than take so long together, but one at least.
        """
        lines = self.tests.get(file, {})
        found = frozenset[str]().union(*(lines.get(number, frozenset()) for number in range(first, last + 1)))
        cost: dict[str, float] = defaultdict(float)
        for test in found:
            cost[_file(test)] += self.seconds.get(test, 1.0)
        place = {test: number for number, test in enumerate(self.seconds)}
        chosen = sorted(found, key=lambda test: (cost[_file(test)], _file(test), place.get(test, 0)))
        spent = itertools.accumulate(self.seconds.get(test, 1.0) for test in chosen)
        return [
            test for number, (test, sum_) in enumerate(zip(chosen, spent, strict=True)) if not number or sum_ <= seconds
        ]

    def cost(self, tests: Sequence[str]) -> float:
        """CPU seconds of these tests, as far as they are known."""
        return sum(self.seconds.get(test, 1.0) for test in tests)


def refresh(tree: Path, kept: Path, workers: int, only: str = "tests") -> None:
    """Bring what is kept of a copied tree's files of tests (below the folder `only`) up to date.

    A dozen files at a time, so that it may be stopped and gone on with. All anew takes 1.5 times the suite's CPU.
    """
    stale = [test for test in _suite(tree) if test.startswith(only) and not _fresh(tree, kept, test)]
    for start in range(0, len(stale), BATCH):
        batch = stale[start : start + BATCH]
        _measure(tree, batch, workers)
        _keep(tree, kept, batch)
        print(f"{start + len(batch)} of {len(stale)} files of tests are mapped", flush=True)


def read(kept: Path) -> Reach:
    """What `refresh` kept."""
    tests: dict[str, dict[int, set[str]]] = defaultdict(lambda: defaultdict(set))
    seconds: dict[str, float] = {}
    for path in sorted(kept.glob("*.json")):
        entry = json.loads(path.read_text())
        seconds |= entry["seconds"]
        for file, by_test in entry["ran"].items():
            for test, lines in by_test.items():
                for line in lines:
                    tests[file][line].add(test)
    frozen = {file: {line: frozenset(names) for line, names in lines.items()} for file, lines in tests.items()}
    return Reach(frozen, seconds)


def _suite(tree: Path) -> list[str]:
    return sorted(str(path.relative_to(tree)) for path in (tree / "tests").rglob("test_*.py"))


def _entry(kept: Path, test: str) -> Path:
    return kept / (test.replace("/", ".") + ".json")


def _fresh(tree: Path, kept: Path, test: str) -> bool:
    path = _entry(kept, test)
    if not path.exists():
        return False
    needs: dict[str, str] = json.loads(path.read_text())["needs"]
    return all(_digest(tree, name) == digest for name, digest in needs.items())


def _digest(tree: Path, pattern: str) -> str:
    """Of a file, or of all that a pattern names."""
    whole = hashlib.sha256()
    for path in sorted(tree.glob(pattern)):
        whole.update(path.name.encode() + hashlib.sha256(path.read_bytes()).digest())
    return whole.hexdigest()[:16]


def _measure(tree: Path, tests: Sequence[str], workers: int) -> None:
    (tree / "sitecustomize.py").write_text(CUSTOMIZE)
    (tree / "reach_plugin.py").write_text(PLUGIN)
    for old in (*tree.glob(".reach*"), *tree.glob("spent-*.json")):
        old.unlink()
    env = os.environ | {"PYTHONPATH": str(tree), DATA: str(tree / ".reach"), "OMP_NUM_THREADS": "1"}
    env.pop("PYTEST_CURRENT_TEST", None)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "reach_plugin", "--tb=line"]
    if workers > 1:
        command += ["-n", str(workers), "--dist", "loadfile"]
    subprocess.run([*command, *tests], cwd=tree, env=env, check=False)  # failures under coverage are of no interest
    whole = coverage.Coverage(data_file=str(tree / ".reach"), config_file=False)
    whole.combine([str(tree)])
    whole.save()


def _keep(tree: Path, kept: Path, batch: Sequence[str]) -> None:
    spent: dict[str, float] = {}
    for part in tree.glob("spent-*.json"):
        spent |= json.loads(part.read_text())
    ran: dict[str, dict[str, dict[str, list[int]]]] = {test: defaultdict(dict) for test in batch}
    data = coverage.CoverageData(str(tree / ".reach"))
    data.read()
    for name in data.measured_files():
        by_test: dict[str, list[int]] = defaultdict(list)
        for line, contexts in data.contexts_by_lineno(name).items():
            for test in filter(None, contexts):
                by_test[test].append(line)
        for test, lines in by_test.items():
            ran[_file(test)][str(Path(name).relative_to(tree))][test] = sorted(lines)
    kept.mkdir(parents=True, exist_ok=True)
    for test in batch:
        needs = {name: _digest(tree, name) for name in (test, *SHARED, *ran[test])}
        seconds = {name: cost for name, cost in spent.items() if _file(name) == test}
        whole = {"needs": needs, "seconds": seconds, "ran": ran[test]}
        part = _entry(kept, test).with_suffix(".part")
        part.write_text(json.dumps(whole))
        os.replace(part, _entry(kept, test))


def _file(test: str) -> str:
    return test.partition("::")[0]
