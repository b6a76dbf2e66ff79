"""A copy of the tree in which mutants are made one after the other, and shown to tests."""

from __future__ import annotations

import json
import math
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks.mutants_listed import ROOT, Mutant
from benchmarks.mutants_reach import Reach

SERVER = Path(__file__).with_name("mutants_server.py")
LIMITS = "tests/vectors/test_vectors_limits.py"
"""Holds the constants of many modules, and runs no line of theirs."""
LEAST_SECONDS, REST_SECONDS = 120, 3600
"""CPU seconds: tests that run longer than this, and than three times what they took before, hang."""
WALL = 10
"""A mutant may wait for what never comes and take no CPU: it hangs after so many times the CPU seconds."""


class Copy:
    """A copy of the tree that mutants are made in, one after the other, and a process that forks to run its tests."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        copy_tree(folder)
        self._clock = int(time.time()) - 1_000_000
        self._sound: set[tuple[str, ...]] = set()
        self._server: subprocess.Popen[bytes] | None = None

    def judge(self, mutant: Mutant, reach: Reach, rest: bool, most: float = math.inf) -> tuple[str, str]:
        """(verdict, the test that failed)."""
        first, last = mutant.lines()
        tests = reach.of(mutant.file, first, last, most)
        if not tests and (others := reach.of(mutant.file, 1, last + 10_000, most)):  # only imports run it
            tests = [LIMITS, *others]
        stages: list[tuple[tuple[str, ...], int]] = [(mutant.first, REST_SECONDS)] if mutant.first else []
        stages += [(tuple(tests), LEAST_SECONDS + int(3 * reach.cost(tests)))] if tests else []
        stages += [(("tests",), REST_SECONDS)] if rest or not tests else []
        for stage, seconds in stages:
            found, by = self._try(mutant, stage, seconds)
            if found == "hung" or (found == "detected" and self._holds(mutant, by, stage)):
                return found, by
        return "survived", ""

    def close(self) -> None:
        """End the process that forks."""
        if self._server is not None:
            self._server.communicate()
            self._server = None

    def _holds(self, mutant: Mutant, by: str, shown: tuple[str, ...]) -> bool:
        """Whether what failed, a test or a file that could not even be collected, fails on the mutant again, and not on
        the code as it is; where pytest named nothing, all that it was shown."""
        tests = (by,) if by.startswith("tests/") else shown
        if tests not in self._sound:
            if self._run(tests, REST_SECONDS)[0] != "survived":
                print(f"{by} fails on code that was not changed, and does not count", flush=True)
                return False
            self._sound.add(tests)
        return self._try(mutant, tests, REST_SECONDS)[0] != "survived"

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
        out = self.folder / ".mutant-said"
        options = ["-x", "-q", "-p", "no:cacheprovider", "--tb=no"]
        code = self._forked({"arguments": [*options, *arguments], "out": str(out), "seconds": seconds}, seconds * WALL)
        if code is None or code == -signal.SIGXCPU:
            return "hung", f"after {seconds} s"
        if code == 0:
            return "survived", ""
        said = out.read_text(errors="replace")
        lines = [line for line in said.splitlines() if line.startswith(("FAILED ", "ERROR "))]
        failed = [line.partition(" ")[2].partition(" - ")[0] for line in lines]
        last = failed or said.strip().splitlines()[-1:] or [f"ended with {code}, without a word"]
        return "detected", last[0][:300]

    def _forked(self, asked: dict[str, object], wall: int) -> int | None:
        """The exit status of pytest in a fork; None if it was ended after so many seconds."""
        server = self._serving()
        assert server.stdin is not None and server.stdout is not None
        server.stdin.write(json.dumps(asked).encode() + b"\n")
        child = int(server.stdout.readline())
        in_time, _, _ = select.select([server.stdout], [], [], wall)
        if not in_time:
            os.killpg(child, signal.SIGKILL)  # not reaped yet, so the number is still its own
        code = int(server.stdout.readline())
        return code if in_time else None

    def _serving(self) -> subprocess.Popen[bytes]:
        if self._server is None:
            env = os.environ | {"PYTHONPATH": str(self.folder), "PYTHONHASHSEED": "0", "OMP_NUM_THREADS": "1"}
            command = [sys.executable, str(SERVER), str(self.folder)]
            pipe = subprocess.PIPE
            self._server = subprocess.Popen(command, env=env, stdin=pipe, stdout=pipe, bufsize=0)
        return self._server


def copy_tree(folder: Path) -> None:
    """What git lists of the tree, as it is now."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True).stdout.decode()
    for name in filter(None, listed.split("\0")):
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes((ROOT / name).read_bytes())
