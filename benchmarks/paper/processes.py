"""One run of a case by the product's own processes, one a party, so that a run of hours that is killed goes on.

Parties commit every step of the protocol, with what they send, to their run directories, and go on from there when
they are started again. The states of an estimator's roles could be kept as well, but keys, messages on the way and jobs
that are due would then need a second run store. What a party holds in memory alone, its encoded rows and its feature
map, is made again from the same seed.

All parties compute at once, and share this machine's cores and memory.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any

import numpy as np
import polars as pl

from benchmarks import harness
from benchmarks.paper.case import Case
from benchmarks.paper.data.split import Array
from benchmarks.paper.outcome import Outcome, accuracy, area, deviation
from benchmarks.paper.party_folders import names_of, table_of, write_settings, write_tables
from benchmarks.paper.rounds import initial_loss
from benchmarks.paper.running import Running
from parties.commands import demo
from parties.run.store import RunStore
from secure_gal.errors import EnvironmentFailure
from secure_gal.protocol.sponsor_records import SponsorRecords
from secure_gal.settings.party import LearnerSettings
from secure_gal.state import State

Rows = tuple[list[Array], Array]
"""Blocks by party, the sponsor's first, and labels."""
PARTY = (
    "import ctypes, signal, sys\n"
    "if sys.platform == 'linux':\n"
    "    ctypes.CDLL(None).prctl(1, signal.SIGTERM)\n"  # PR_SET_PDEATHSIG: no party outlives the bench
    "sys.argv[0] = 'secure-gal'\n"
    "import parties.commands.predict as predict; predict._places = lambda *_: None\n"
    "from parties.cli import main; main()\n"
)
"""What a party runs. A predictions file leaves out digits below the error of decryption; in an area under the curve
they break ties, as they do by the estimator."""
LOOK_SECONDS = 0.2


def play(
    case: Case, learners: Sequence[LearnerSettings], train: Rows, test: Rows, seed: int, running: Running
) -> Outcome:
    """One study over `train`, judged on `test`; it goes on where its folder stands."""
    (blocks, y), (new, _) = train, test
    if not running.begun:
        made = running.path.with_name(running.path.name + ".new")
        shutil.rmtree(made, ignore_errors=True)
        write_tables(made, blocks, y, new)
        made.rename(running.path)
    write_settings(running.path, case, learners, blocks, y, seed)
    sponsor, *assistors = names_of(len(blocks))
    with Parties(running, sponsor, assistors) as parties:
        if running.begun:
            print(f"    goes on in {running.path}", file=sys.stderr, flush=True)
        else:
            parties.run("forecast", f"{sponsor}.toml", "--rows", str(len(y)))
        parties.run("train", f"{sponsor}.toml")
        parties.run("predict", f"{sponsor}.toml", "--ids", table_of(new[0], "new"), "--out", "out.csv")
    return _outcome(case, running.path / sponsor, y, test[1])


class Parties:
    """A study's processes. The sponsor says on standard error how it goes, the others in the `log` of their folders."""

    def __init__(self, running: Running, sponsor: str, assistors: Sequence[str]) -> None:
        self._running, self._sponsor, self._assistors = running, sponsor, assistors
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        share = max(
            1, (os.cpu_count() or 1) // len(assistors)
        )  # of worker processes; of threads parties take their own
        self._environment = os.environ | {"LOKY_MAX_CPU_COUNT": str(share)}

    def __enter__(self) -> Parties:
        self._running.note(now=True)
        return self

    def __exit__(self, *_: object) -> None:
        for process in self._processes.values():
            process.terminate()
        for process in self._processes.values():
            process.wait()
        self._running.note(now=True)

    def run(self, *command: str) -> None:
        """A command of the sponsor's to its end, with the assistors beside it unless it goes to nobody.

        Raises:
            EnvironmentFailure: it failed, or an assistor ended. The folder stays, and may be gone on with.
        """
        if command[0] != "forecast":
            self._assist()
        home = self._running.path / self._sponsor
        sponsor = self._processes[self._sponsor] = self._start(home, command, sys.stderr)
        while (code := _ended(sponsor)) is None:
            self._running.note()
            for name in self._assistors:
                if name in self._processes and (ended := self._processes[name].poll()) is not None:
                    raise self._failed(name, ended, f"see {self._running.path / name / 'log'}")
        if code:
            raise self._failed(self._sponsor, code, f"`{command[0]}` says why above")

    def _assist(self) -> None:
        for name in self._assistors:
            if name not in self._processes:
                home = self._running.path / name
                command = ("assist", f"{name}.toml", *demo._consent(home), *harness._beyond(home))
                with (home / "log").open("ab") as log:
                    self._processes[name] = self._start(home, command, log)

    def _start(self, home: Path, command: Sequence[str], out: IO[Any]) -> subprocess.Popen[bytes]:
        words = [sys.executable, "-c", PARTY, *command]
        return subprocess.Popen(words, cwd=home, stdout=out, stderr=out, env=self._environment)

    def _failed(self, name: str, code: int, where: str) -> EnvironmentFailure:
        again = f"run the case again to go on, or remove {self._running.path} first to begin anew"
        return EnvironmentFailure(f"{name} ended with exit code {code}: {where}; {again}")


def _ended(process: subprocess.Popen[bytes]) -> int | None:
    try:
        return process.wait(LOOK_SECONDS)
    except subprocess.TimeoutExpired:
        return None


def _outcome(case: Case, home: Path, y: Array, new_y: Array) -> Outcome:
    """From the sponsor's own files; y: of its rows, new_y: of those that it predicted."""
    summary = json.loads((home / "run/summary.json").read_text())
    history, parties = summary["history"], list(summary["parties"])
    store = RunStore(home / "run")
    kept = SponsorRecords(State(store.state()))
    learnt = kept.rows.get()[kept.train.get().astype(np.bool_)]
    store.close()
    return Outcome(
        [_score(case, pl.read_csv(home / "out.csv", infer_schema=False), new_y)],
        [initial_loss(case, y[learnt]), *(record["train_loss"] for record in history)],
        [record["eta"] for record in history],
        [[record["weights"][name] for name in parties] for record in history],
        summary["kept"],
    )


def _score(case: Case, predicted: pl.DataFrame, y: Array) -> float:
    if case.source.metric == "auc":
        second = [name for name in predicted.columns if name.startswith("p_")][1]
        return area(predicted[second].cast(pl.Float64).to_numpy(), y)
    score = deviation if case.source.metric == "mad" else accuracy
    return score(predicted["prediction"].to_numpy().astype(y.dtype), y)
