"""Parties are killed at random moments of learning and of a prediction, in every mode and over bad lines: nothing is
lost, nothing hangs.

    python -m benchmarks.campaign                       # 200 trials, 15 minutes at most; exit code 1 if one went wrong
    python -m benchmarks.campaign --modes ckks --trials 20 --seed 3 --links slow,corrupting

A trial is one kill (-9 or -ABRT) of one of three processes, which is started again with the same command, as is one
that died of a signal by itself (libzmq aborts under some flipped bytes). Each study takes several, then its F is
compared with that of the same study undisturbed (same bits where ids and residuals are clear; not at all where noise is
drawn anew in every study), and its predictions of rows that were held out, or fitted by the paper's rule, with
its own F.
"""

from __future__ import annotations

import argparse
import random
import resource
import shutil
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

from benchmarks.killed_study import (
    SILENCE_SECONDS,
    Hung,
    Mode,
    Study,
    dial,
    held_out,
    outputs,
    predictions_differ,
    results_lack,
    run_study,
    write,
)
from benchmarks.line import Line, mbit

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


MODES = {
    "clear": Mode("", 0.0, 1e-5),
    "dp": Mode('residuals = "dp"\nepsilon = 2.0\nclasses = ["0", "1"]', 0.0, 1e-5),
    "noise": Mode('predictions = "noise"\nnoise = 0.1', None, None),
    "ckks": Mode('residuals = "ckks"\nparameters = "standard"', 1e-2, 1e-2),
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
            tally.predicted += predictions_differ(folder, held_out(folder)) <= mode.predicted


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
