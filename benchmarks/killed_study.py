"""A study of three processes of which some are killed on the way, and what it left: its outputs and its predictions."""

from __future__ import annotations

import csv
import random
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.special import expit

from benchmarks import harness
from parties.commands import demo
from parties.run.store import RunStore

ROWS, COLUMNS, ROUNDS = 150, 3, 4
SILENCE_SECONDS = 90.0
"""A study of which no party has ended, and none has said anything, for so long hangs."""
LINES_BEFORE, SECONDS_BEFORE = 7, 0.2
"""A kill comes after at most so many lines of the victim's log, and after them at most so many seconds."""
PAUSED = 6
RULES = {"clear": "validation = 0.25", "psi": 'weights = "paper"'}
"""By ids. With private ids rows stand in another order each time, so that other people would be held out; by the
paper's rule F of rows that were learnt from is what a prediction gives, and none needs to be."""
STUDY = 'rounds = {rounds}\n{rule}\n[protect]\nids = "{ids}"\n{protect}\n'


@dataclass(frozen=True)
class Mode:
    """What travels in which form.

    Attributes:
        protect: lines of `[protect]` besides `ids`.
        error: largest difference of F from that of the undisturbed study, as a share of its largest value; None where
            noise decides the outcome: with sums that of the inner products, which moves weights (undisturbed studies
            differ by 5%).
        predicted: largest difference of a held-out row's prediction from the probability that its F gives; None where
            it is noised.
    """

    protect: str
    error: float | None
    predicted: float | None


class Hung(Exception):
    """Nothing moves any more."""


class Study:
    """Three processes of one study in a folder, each with a log that goes on over restarts."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.commands: dict[str, tuple[str, ...]] = {
            lab: ("assist", f"{lab}.toml", *demo._consent(folder / lab), *harness._beyond(folder / lab))
            for lab in demo.PARTIES[1:]
        }
        self.running: dict[str, subprocess.Popen[bytes]] = {}
        self.kills = self.aborts = 0

    def start(self, name: str) -> None:
        with self.log(name).open("ab") as log:
            command = [sys.executable, "-m", "parties.cli", *self.commands[name]]
            self.running[name] = subprocess.Popen(command, cwd=self.folder / name, stdout=log, stderr=log)

    def log(self, name: str) -> Path:
        return self.folder / name / "log"

    def lines(self, name: str) -> int:
        return self.log(name).read_bytes().count(b"\n")

    def stage(self, command: tuple[str, ...], kills: int, chance: random.Random) -> None:
        """Run the sponsor's command to its end, with so many kills on the way. Raises Hung, RuntimeError."""
        self.commands["hospital"] = command
        for name in demo.PARTIES:
            if name not in self.running or self.running[name].poll() is not None:
                self.start(name)
        for _ in range(kills):
            self._kill(chance.choice(demo.PARTIES), chance)
        while (code := self._wait()) == PAUSED:
            self.start("hospital")
        if code:
            raise RuntimeError(f"{command[0]} ended with exit code {code}: {self._last_words('hospital')}")
        for name in demo.PARTIES[1:]:
            if self.running[name].poll() is not None:
                raise RuntimeError(
                    f"{name} ended with exit code {self.running[name].returncode}: {self._last_words(name)}"
                )

    def _mend(self) -> None:
        """Start those again that a signal has ended which was not ours."""
        for name, process in self.running.items():
            if (process.poll() or 0) < 0:
                self.aborts += 1
                self.start(name)

    def _kill(self, victim: str, chance: random.Random) -> None:
        process, due = self.running[victim], self.lines(victim) + chance.randint(0, LINES_BEFORE)
        until = time.monotonic() + SILENCE_SECONDS
        while process.poll() is None and self.lines(victim) < due and time.monotonic() < until:
            if self.running["hospital"].poll() is not None:
                break  # the stage is over: nobody says anything more
            time.sleep(0.005)
        time.sleep(chance.uniform(0, SECONDS_BEFORE))
        self.kills += process.poll() is None  # the others meet nobody
        process.send_signal(chance.choice((signal.SIGKILL, signal.SIGABRT)))
        process.wait()
        if process.returncode < 0:
            self.start(victim)

    def _wait(self) -> int:
        """The exit code of the sponsor's command; Hung when everyone has been silent for too long."""
        size, since = -1, time.monotonic()
        while (code := self.running["hospital"].poll()) is None or code < 0:
            self._mend()
            now = sum(self.lines(name) for name in demo.PARTIES)
            if now != size:
                size, since = now, time.monotonic()
            if time.monotonic() - since > SILENCE_SECONDS:
                raise Hung("; ".join(f"{name}: {self._last_words(name)}" for name in demo.PARTIES))
            time.sleep(0.02)
        return code

    def _last_words(self, name: str) -> str:
        return " / ".join(self.log(name).read_text(errors="replace").splitlines()[-3:])

    def end(self) -> None:
        for process in self.running.values():
            process.kill()
            process.wait()


def write(folder: Path, mode: Mode, ids: str) -> None:
    """Everybody's folder, before anything was said."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((ROWS, COLUMNS * len(demo.PARTIES)))
    y = (x[:, ::COLUMNS].sum(axis=1) + rng.standard_normal(ROWS) > 0).astype(int)
    for i, party in enumerate(demo.PARTIES):
        (folder / party).mkdir(parents=True)
        cut = slice(COLUMNS * i, COLUMNS * (i + 1))
        names = [f"c{j}" for j in range(x.shape[1])[cut]]
        demo._table(folder / party / f"{party}.csv", names, x[:, cut], list(range(ROWS)), None if i else y)
    asked = list(range(0, ROWS, 3))
    demo._table(folder / "hospital" / "new.csv", [f"c{j}" for j in range(COLUMNS)], x[:, :COLUMNS], asked, None)
    demo._write_settings(folder, demo._free_port())
    for party in demo.PARTIES:
        file = folder / party / "study.toml"
        head = file.read_text().partition("[protect]")[0]
        text = STUDY.format(rounds=ROUNDS, rule=RULES[ids], ids=ids, protect=mode.protect)
        file.write_text(text.replace("[protect]", f"{head}[protect]"))


def outputs(folder: Path) -> np.ndarray:
    """F (N, K) by the sponsor's own rows."""
    store = RunStore(folder / "hospital" / "run")
    state = store.state()
    store.close()
    return np.asarray(state["ensemble/F"])[np.argsort(state["rows"])]


def held_out(folder: Path) -> np.ndarray:
    """F (N, K) after the kept rounds by the sponsor's own rows, as a prediction gives it; where rows were held out, nan
    in those that were learnt from, whose F is of fits without them."""
    store = RunStore(folder / "hospital" / "run")
    state = store.state()
    store.close()
    kept, train = np.array(state["ensemble/F-kept"]), np.asarray(state["train"], dtype=bool)
    if not train.all():
        kept[train] = np.nan
    return kept[np.argsort(state["rows"])]


def results_lack(folder: Path) -> list[str]:
    """Results of the learning stage that are not there."""
    return [n for n in ("summary.json", "rounds.csv", "report.html") if not (folder / "hospital" / "run" / n).exists()]


def predictions_differ(folder: Path, f: np.ndarray) -> float:
    """Largest difference of the predicted probabilities from those of F, over the rows that were asked about.

    Args:
        f: as `held_out`, some of whose rows were asked about.
    """
    with (folder / "hospital" / "out.csv").open(newline="") as file:
        found = {int(row["patient"]): float(row["p_1"]) for row in csv.DictReader(file)}
    if sorted(found) != list(range(0, ROWS, 3)):
        return float("inf")
    return max(abs(p - float(expit(f[i, 0]))) for i, p in found.items() if not np.isnan(f[i, 0]))


ASK = ("predict", "hospital.toml", "--ids", "new.csv", "--out", "out.csv")


def run_study(study: Study, kills: int, chance: random.Random) -> None:
    """Learn, and predict, with so many kills. Raises Hung, RuntimeError."""
    try:
        study.stage(("train", "hospital.toml"), kills - kills // 2, chance)
        study.stage(ASK, kills // 2, chance)
    finally:
        study.end()


def dial(folder: Path, port: int) -> None:
    """Let the assistors dial this port of loopback."""
    for lab in demo.PARTIES[1:]:
        file = folder / lab / f"{lab}.toml"
        file.write_text(f'address = "tcp://127.0.0.1:{port}"\n{file.read_text()}')
