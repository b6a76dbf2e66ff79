"""Reading a table by its schema against polars' own read of the same file: CPU seconds, side by side, and memory.

    python -m benchmarks.read_tables --rows 1000000 --columns 50

The file is made here, of numbers with three decimals, some empty; a second one has a marker among its numbers, which
takes the way by text. JSON goes to benchmarks/results/read_tables.json.
"""

from __future__ import annotations

import argparse
import json
import resource
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl

from benchmarks.harness import machine
from secure_gal.data.table import read_table
from secure_gal.settings.party import DataSettings

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


def main() -> None:
    """Measure, print and keep."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--columns", type=int, default=50)
    parser.add_argument("--repeats", type=int, default=3)
    asked = parser.parse_args()
    found = {}
    with tempfile.TemporaryDirectory() as folder:
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
