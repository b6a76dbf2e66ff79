"""Parties are killed at random moments of learning and of a prediction, in every mode and over bad lines: nothing is
lost, nothing hangs.

    python -m benchmarks.campaign                       # 200 trials, 15 minutes at most; exit code 1 if one went wrong
    python -m benchmarks.campaign --modes ckks --trials 20 --seed 3 --links slow,corrupting

A trial is one kill (-9 or -ABRT) of one of three processes, which is started again with the same command, as is one
that died of a signal by itself (libzmq aborts under some flipped bytes). Each study takes several, then its F is
compared with that of the same study undisturbed (same bits where ids and residuals are clear; not at all where noise is
drawn anew in every study), and its predictions of the rows that it learnt from with its own F.
"""

from __future__ import annotations

import argparse
import csv
import random
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table
from scipy.special import expit

from benchmarks import harness
from benchmarks.line import Line, mbit
from parties.commands import demo
from parties.run.store import RunStore

ROWS, COLUMNS, ROUNDS = 150, 3, 4
SILENCE_SECONDS = 90.0
"""A study of which no party has ended, and none has said anything, for so long hangs."""
LINES_BEFORE, SECONDS_BEFORE = 7, 0.2
"""A kill comes after at most so many lines of the victim's log, and after them at most so many seconds."""
PAUSED = 6
STUDY = 'rounds = {rounds}\nvalidation = 0.0\n[protect]\nids = "{ids}"\n{protect}\n'
Link = Callable[[int], AbstractContextManager[int]]
OFTEN = 3_000_000
"""Bytes between two things that go wrong on a bad line, on average: some in an encrypted study's keys. Each costs a
second, a stall twenty."""


@contextmanager
def over(port: int, **traits: int) -> Iterator[int]:
    """A line of 40 Mbit/s and 100 ms round trip with these traits."""
    with Line(("127.0.0.1", port), mbit(40), 0.05) as line:
        for name, value in traits.items():
            setattr(line, name, value)
        yield line.port


LINKS: dict[str, Link] = {
    "loopback": nullcontext,
    "slow": over,
    "cut": partial(over, cut_every=OFTEN),
    "corrupting": partial(over, flip_every=OFTEN),
    "stalling": partial(over, stall_every=10 * OFTEN),
}
"""By name what stands between the assistors and the sponsor's port: given that port, the port that they dial."""


@dataclass(frozen=True)
class Mode:
    """What travels in which form.

    Attributes:
        protect: lines of `[protect]` besides `ids`.
        error: largest difference of F from that of the undisturbed study, as a share of its largest value; None where
            noise decides the outcome: with sums that of the inner products, which moves weights (undisturbed studies
            differ by 5%).
        predicted: largest difference of a prediction from the probability that F gives; None where it is noised.
    """

    protect: str
    error: float | None
    predicted: float | None


MODES = {
    "clear": Mode("", 0.0, 1e-5),
    "dp": Mode('residuals = "dp"\nepsilon = 2.0\nclasses = ["0", "1"]', 0.0, 1e-5),
    "noise": Mode('predictions = "noise"\nnoise = 0.1', None, None),
    "ckks": Mode('residuals = "ckks"\nparameters = "fast"', 1e-2, 1e-2),
    "sum": Mode('predictions = "sum"', None, 1e-2),
    "ckks+sum": Mode('residuals = "ckks"\npredictions = "sum"', None, 1e-2),
}
SECRET_ORDER = 1e-4
"""The same with private ids: rows stand in another order, so that sums round otherwise."""


@dataclass
class Tally:
    """What became of the trials of one mode."""

    trials: int = 0
    aborts: int = 0
    studies: int = 0
    lost: int = 0
    hung: int = 0
    compared: int = 0
    equal: int = 0
    asked: int = 0
    predicted: int = 0
    said: list[str] = field(default_factory=list)


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
        file.write_text(
            STUDY.format(rounds=ROUNDS, ids=ids, protect=mode.protect).replace("[protect]", f"{head}[protect]")
        )


def outputs(folder: Path) -> np.ndarray:
    """F (N, K) by the sponsor's own rows."""
    store = RunStore(folder / "hospital" / "run")
    state = store.state()
    store.close()
    return np.asarray(state["ensemble/F"])[np.argsort(state["rows"])]


def results_lack(folder: Path) -> list[str]:
    """Results of the learning stage that are not there."""
    return [n for n in ("summary.json", "rounds.csv", "report.html") if not (folder / "hospital" / "run" / n).exists()]


def predictions_differ(folder: Path, f: np.ndarray) -> float:
    """Largest difference of the predicted probabilities from those of F, over the rows that were asked about."""
    with (folder / "hospital" / "out.csv").open(newline="") as file:
        found = {int(row["patient"]): float(row["p_1"]) for row in csv.DictReader(file)}
    if sorted(found) != list(range(0, ROWS, 3)):
        return float("inf")
    return max(abs(p - float(expit(f[i, 0]))) for i, p in found.items())


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


def trial(
    origin: Path, wanted: np.ndarray, mode: Mode, ids: str, link: str, kills: int, chance: random.Random, tally: Tally
) -> None:
    """One disturbed study beside the undisturbed one."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(shutil.copytree(origin, Path(name) / "study"))
        study, bound_to = Study(folder), (folder / "hospital" / "hospital.toml").read_text()
        port = int(bound_to.partition('bind = "tcp://127.0.0.1:')[2].partition('"')[0])
        tally.studies += 1
        try:
            with LINKS[link](port) as near:
                dial(folder, near)
                run_study(study, kills, chance)
        except Hung as error:
            tally.hung += 1
            tally.said.append(f"hung ({link}): {error}")
            return
        except RuntimeError as error:
            tally.lost += 1
            tally.said.append(f"lost ({link}): {error}")
            return
        finally:
            tally.trials += study.kills
            tally.aborts += study.aborts
        lacking, f = results_lack(folder), outputs(folder)
        if lacking:
            tally.lost += 1
            tally.said.append(f"lost: {', '.join(lacking)}")
        bound = error_of(mode, ids)
        if bound is not None:
            tally.compared += 1
            tally.equal += float(np.abs(f - wanted).max()) <= bound * float(np.abs(wanted).max())
        if mode.predicted is not None:
            tally.asked += 1
            tally.predicted += predictions_differ(folder, f) <= mode.predicted


def error_of(mode: Mode, ids: str) -> float | None:
    """Largest difference of F, as a share."""
    return mode.error if mode.error is None or ids == "clear" else max(mode.error, SECRET_ORDER)


def campaign(name: str, ids: str, links: Sequence[str], trials: int, kills: int, seed: int, deadline: float) -> Tally:
    """All studies of one mode, one after the other; ends early at the deadline (of the monotonic clock)."""
    mode, tally, chance = MODES[name], Tally(), random.Random(f"{name} {ids} {seed}")
    with tempfile.TemporaryDirectory() as scratch:
        origin = Path(scratch) / "origin"
        write(origin, mode, ids)
        reference = Path(shutil.copytree(origin, Path(scratch) / "reference"))
        run_study(Study(reference), 0, chance)
        wanted = outputs(reference)
        for home in reference.glob("*/keys/releases"):  # labels are released once: all studies learn from the same
            shutil.copytree(home, origin / home.relative_to(reference))
        while tally.trials < trials and time.monotonic() < deadline:
            some = min(kills, trials - tally.trials)
            trial(origin, wanted, mode, ids, chance.choice(links), some, chance, tally)
    return tally


def show(tallies: dict[str, Tally]) -> bool:
    """Print the table; whether nothing went wrong."""
    table = Table(title="kills at random moments")
    for column in ("mode, ids", "trials", "aborts", "studies", "lost", "hung", "F equal", "predictions equal"):
        table.add_column(column, justify="left" if column == "mode, ids" else "right")
    numbers = [name for name in Tally.__dataclass_fields__ if name != "said"]
    whole = Tally(**{name: sum(getattr(t, name) for t in tallies.values()) for name in numbers})
    for name, t in (tallies | {"all": whole}).items():
        equal = f"{t.equal} of {t.compared}" if t.compared else "-"
        predicted = f"{t.predicted} of {t.asked}" if t.asked else "-"
        table.add_row(name, *map(str, (t.trials, t.aborts, t.studies, t.lost, t.hung)), equal, predicted)
    Console().print(table)
    for name, t in tallies.items():
        for text in t.said:
            print(f"{name}: {text}")
    return not whole.lost and not whole.hung and whole.equal == whole.compared and whole.predicted == whole.asked


def main() -> None:
    """Parse arguments, run every mode, print one table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=200, help="kills in all")
    parser.add_argument("--minutes", type=float, default=15.0, help="no study begins later")
    parser.add_argument("--modes", default=",".join(MODES), help="separated by commas")
    parser.add_argument("--ids", default="clear,psi")
    parser.add_argument("--links", default=",".join(LINKS), help="what studies run over, drawn for each")
    parser.add_argument("--kills", type=int, default=9, help="in one study")
    parser.add_argument("--jobs", type=int, default=2, help="modes at a time")
    parser.add_argument("--seed", type=int, default=0)
    chosen = parser.parse_args()
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # no memory of a party on the disk
    deadline = time.monotonic() + 60 * chosen.minutes - SILENCE_SECONDS
    pairs = [(mode, ids) for mode in chosen.modes.split(",") for ids in chosen.ids.split(",")]
    share = -(-chosen.trials // len(pairs))

    def one(pair: tuple[str, str]) -> Any:
        return campaign(*pair, chosen.links.split(","), share, chosen.kills, chosen.seed, deadline)

    with ThreadPoolExecutor(chosen.jobs) as pool:
        tallies = dict(zip([f"{mode}, {ids}" for mode, ids in pairs], pool.map(one, pairs), strict=True))
    raise SystemExit(0 if show(tallies) else 1)


if __name__ == "__main__":
    main()
