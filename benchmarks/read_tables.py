"""Reading a table by its schema against polars' own read of the same file: CPU seconds, side by side, and memory.

    python -m benchmarks.read_tables --rows 1000000 --columns 50
    python -m benchmarks.read_tables --memory --rows 1000000     # peaks of reading, encoding and a fit, three sizes
    python -m benchmarks.read_tables --check                     # CPU of `secure-gal check`, 30,000 x 24: first, later

The file is made here, of numbers with three decimals, some empty; a second one has a marker among its numbers, which
takes the way by text. JSON of the first goes to benchmarks/results/read_tables.json.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from benchmarks.harness import machine
from parties.commands import setup
from secure_gal.data.encode_table import TableEncoder
from secure_gal.data.table import read_table
from secure_gal.holdings.local import LocalParty
from secure_gal.learners import make_learner
from secure_gal.settings.party import DataSettings, LearnerSettings

CHECKED_ROWS = 30_000
RESULTS = Path(__file__).parent / "results" / "read_tables.json"


def make(path: Path, rows: int, columns: int, marker: str) -> None:
    """A CSV with an id, and numbers of which 1% are missing."""
    rng = np.random.default_rng(0)
    frame = {"id": np.arange(rows)}
    frame |= {
        f"c{j}": np.where(rng.random(rows) < 0.01, np.nan, rng.normal(size=rows).round(3)) for j in range(columns)
    }
    pl.DataFrame(frame).fill_nan(None).write_csv(path, null_value=marker)


def cpu(work: Callable[[], object]) -> float:
    """CPU seconds of this process, all threads."""
    began = time.process_time()
    work()
    return time.process_time() - began


def measured(path: Path, marker: str, repeats: int) -> dict[str, float]:
    """The best of several runs of each, in turn."""
    data = DataSettings(path, "id")
    schema = read_table(data).schema
    ways: dict[str, Callable[[], object]] = {
        "polars": lambda: pl.read_csv(path, null_values=[marker] if marker else None),
        "by its schema": lambda: read_table(data, schema=schema),
        "and decided": lambda: read_table(data),
    }
    times: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(repeats):
        for name, way in ways.items():
            times[name].append(cpu(way))
    return {name: min(taken) for name, taken in times.items()}


def peaks(path: Path, small: Path) -> dict[str, float]:
    """MB that this process holds at most in each stage from a file to a first fit, every fifth row held out.

    Args:
        small: a table of the same columns, on which the schema is decided.
    """
    data, found = DataSettings(path, "id"), {}
    schema = read_table(DataSettings(small, "id")).schema

    def stage(name: str, work: Callable[[], Any]) -> Any:
        Path("/proc/self/clear_refs").write_text("5")  # VmHWM begins anew
        made = work()
        lines = Path("/proc/self/status").read_text().splitlines()
        found[name] = next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1e3
        return made

    table = stage("read", lambda: read_table(data, schema=schema))
    frame, rows = table.frame, np.arange(len(table.ids))
    assert isinstance(frame, pl.DataFrame)
    found["table"] = frame.estimated_size() / 1e6
    train = rows % 5 > 0
    encoder = stage("encoder", lambda: TableEncoder.fit(frame, schema, rows[train]))
    x = stage("encoded", lambda: encoder.transform(frame, rows)[0])
    learner = make_learner(LearnerSettings(), path.parent, "l2", 1, lambda: bytes(32))
    residual = np.random.default_rng(0).normal(size=(int(train.sum()), 1)).astype(np.float32)
    stage("first fit", lambda: LocalParty("s", x, train, learner, 0).fit_round(1, residual))
    return found


def memory(folder: Path, rows: int, columns: int) -> None:
    """Print the peaks for a quarter, a half and all of the rows, each in a process of its own."""
    small = folder / "small.csv"
    make(small, 1000, columns, "")
    for part in (rows // 4, rows // 2, rows):
        path = folder / f"{part}.csv"
        make(path, part, columns, "")
        with multiprocessing.get_context("spawn").Pool(1) as pool:
            found = pool.apply(peaks, (path, small))
        print(f"{part} rows", {name: round(value) for name, value in found.items()}, flush=True)
        path.unlink()


def check(folder: Path, rows: int, repeats: int, protect: str = "") -> tuple[float, list[float]]:
    """CPU seconds (user and system) of `secure-gal check` at a sponsor whose table has 24 columns: of the first, which
    decides on the schema and measures the machine, and of those after it, ascending."""
    rng = np.random.default_rng(0)
    numbers = {f"c{j}": np.where(rng.random(rows) < 0.01, np.nan, rng.normal(size=rows).round(3)) for j in range(20)}
    texts = {name: rng.choice(levels, rows) for name, levels in (("g", ["a", "b"]), ("h", ["c", "d", "e"]))}
    ids = [f"p{i:06d}" for i in rng.permutation(rows)]
    frame = pl.DataFrame({"id": ids} | numbers | texts | {"y": rng.choice(["yes", "no"], rows)})
    frame.fill_nan(None).write_csv(folder / "s.csv")
    (folder / "study.toml").write_text(
        'name = "c"\ntask = "classification"\nsponsor = "s"\naddress = "tcp://127.0.0.1:7101"\nassistors = ["l"]\n'
        + protect
    )
    (folder / "s.toml").write_text(
        'study = "study.toml"\nparty = "s"\nhome = "keys"\nrun_dir = "run"\nbind = "tcp://127.0.0.1:7101"\n'
        '[data]\npath = "s.csv"\nid = "id"\nlabel = "y"\n'
    )
    setup.keygen("s", folder / "keys")
    setup.keygen("l", folder / "other")
    setup.trust_card(folder / "other/l.card", folder / "keys", False, lambda text: True)
    command = [sys.executable, "-m", "parties.cli", "check", str(folder / "s.toml")]
    first, *later = [child(command) for _ in range(1 + repeats)]
    return first, sorted(later)


def child(command: list[str]) -> float:
    """CPU seconds of a process, user and system; Python keeps compiled modules, whatever this shell says of that."""
    env = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, stdout=subprocess.DEVNULL, check=True, env=env)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def checks(folder: Path, repeats: int) -> None:
    """Print them for a study in the clear and an encrypted one, beside what importing polars and numpy takes here."""
    for name, protect in (("clear", ""), ("ckks", '[protect]\nresiduals = "ckks"\n')):
        (folder / name).mkdir()
        first, later = check(folder / name, CHECKED_ROWS, repeats, protect)
        imports = sorted(child([sys.executable, "-c", "import polars, numpy"]) for _ in range(repeats))
        found: dict[str, float | list[float]] = {"first": first, "later": later, "importing polars": imports[0]}
        print(name, {what: np.round(seconds, 2).tolist() for what, seconds in found.items()}, "s", flush=True)


def main() -> None:
    """Measure, print and keep."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--columns", type=int, default=50)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--memory", action="store_true", help="the peaks instead")
    parser.add_argument("--check", action="store_true", help="the CPU of `check` instead")
    asked = parser.parse_args()
    found = {}
    with tempfile.TemporaryDirectory() as folder:
        if asked.memory:
            memory(Path(folder), asked.rows, asked.columns)
            return
        if asked.check:
            checks(Path(folder), asked.repeats)
            return
        for name, marker in (("empty", ""), ("NULL", "NULL")):
            path = Path(folder) / f"{name}.csv"
            make(path, asked.rows, asked.columns, marker)
            seconds = measured(path, marker, asked.repeats)
            found[name] = seconds | {
                "ratio": seconds["by its schema"] / seconds["polars"],
                "MB": path.stat().st_size / 1e6,
            }
            print(name, {key: round(value, 2) for key, value in found[name].items()}, flush=True)
            path.unlink()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3
    kept = {"machine": machine(), "rows": asked.rows, "columns": asked.columns, "seconds": found, "peak MB": peak}
    RESULTS.write_text(json.dumps(kept, indent=1) + "\n")
    print(f"peak memory {peak:.0f} MB; kept in {RESULTS}")


if __name__ == "__main__":
    main()
