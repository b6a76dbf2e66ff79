"""Which test runs which line: a map made once, so that a mutant is shown only to the tests that can tell it.

A test that never runs a line cannot fail on an edit of it. The default suite is run once under coverage.py, with the
running test as the context of every line, in the processes that a test starts as well (a `sitecustomize` in the copied
tree starts coverage in each). Lines that a killed process ran are missed, for it writes no data: whoever wants to be
sure of a survivor shows it to all tests.
"""

from __future__ import annotations

import itertools
import math
import os
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import coverage

DATA = "COVERAGE_REACH_DATA"
CUSTOMIZE = f"""
import atexit, os
if {DATA!r} in os.environ:
    import coverage
    test = os.environ.get("PYTEST_CURRENT_TEST", "").rpartition(" ")[0]
    reach = coverage.Coverage(data_file=os.environ[{DATA!r}], data_suffix=True, context=test or None, config_file=False,
                              source=[os.path.dirname(os.path.abspath(__file__))], concurrency=["thread"])
    reach.start()
    atexit.register(lambda: (reach.stop(), reach.save()))
"""
PLUGIN = """
import pytest, sitecustomize

@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item):
    sitecustomize.reach.switch_context(item.nodeid)
    try:
        return (yield)
    finally:
        sitecustomize.reach.switch_context("")
"""


@dataclass(frozen=True)
class Reach:
    """Tests by (file, line), and the seconds of each test."""

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


def measure(tree: Path, workers: int) -> None:
    """Run the default suite of a copied tree under coverage; the map's files are left in it. Minutes."""
    (tree / "sitecustomize.py").write_text(CUSTOMIZE)
    (tree / "reach_plugin.py").write_text(PLUGIN)
    env = os.environ | {"PYTHONPATH": str(tree), DATA: str(tree / ".reach"), "OMP_NUM_THREADS": "1"}
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
        "-p",
        "reach_plugin",
        "--tb=line",
        f"--junitxml={tree / 'reach.xml'}",
        "-o",
        "junit_family=xunit1",
    ]
    if workers > 1:
        command += ["-n", str(workers), "--dist", "loadfile"]
    env.pop("PYTEST_CURRENT_TEST", None)
    subprocess.run(command, cwd=tree, env=env, check=False)  # a failure under coverage is not of interest here
    whole = coverage.Coverage(data_file=str(tree / ".reach"), config_file=False)
    whole.combine([str(tree)])
    whole.save()


def read(tree: Path) -> Reach:
    """What `measure` left in a tree."""
    data = coverage.CoverageData(str(tree / ".reach"))
    data.read()
    tests: dict[str, dict[int, frozenset[str]]] = {}
    for name in data.measured_files():
        by_line = data.contexts_by_lineno(name)
        tests[str(Path(name).relative_to(tree))] = {
            line: frozenset(filter(None, contexts)) for line, contexts in by_line.items()
        }
    cases = ElementTree.parse(tree / "reach.xml").iter("testcase")  # noqa: S314 -- pytest wrote it here a moment ago
    return Reach(tests, dict(_timed(cases)))


def _file(test: str) -> str:
    return test.partition("::")[0]


def _timed(cases: Iterable[ElementTree.Element]) -> Iterable[tuple[str, float]]:
    for case in cases:
        yield f"{case.get('file')}::{case.get('name')}", float(case.get("time", "1"))
