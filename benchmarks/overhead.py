"""What encryption costs: whole studies by real processes, clear against encrypted, side by side in one run.

    python -m benchmarks.overhead --data DIR --out results.json
    python -m benchmarks.overhead --quick               # breast and 30,000 synthetic rows only
    python -m benchmarks.overhead --turns 5             # all modes by turns, five times; medians
    python -m benchmarks.overhead --no-own-model --case "default_credit st" --data DIR
    python -m benchmarks.overhead --predictions sum     # sums only (see sum_overhead.py)

Cases: breast (3 parties), default_credit (2 parties; DIR holds fate/default_credit_hetero_{guest,host}.csv) with
standardised features and with `auto`, and synthetic tables of growing size. Seconds are from the last party's greeting
to the summary; of these `learning` is what the report's part (the sponsor alone, intervals, contributions: the same in
all modes) did not take. `x floor` is learning in the encrypted modes over its primitives alone (study_floor.py). Memory
is a party's whole process tree.
"""

from __future__ import annotations

import argparse
import itertools
import json
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from benchmarks import harness, study_floor
from parties.commands import demo

MODES = {
    "clear": '[protect]\nids = "clear"',
    "standard": '[protect]\nids = "clear"\nresiduals = "ckks"\nparameters = "standard"',
    "strict": '[protect]\nids = "clear"\nresiduals = "ckks"\nparameters = "strict"',
}
REPORT = ("sponsor_alone", "sponsor_contributions", "sponsor_conclude")
COLUMNS = (
    "case",
    "features",
    "mode",
    "rounds",
    "metric",
    "s from ready",
    "x clear",
    "s learning",
    "x clear",
    "x floor",
    "MB",
    "peak MB a party",
)
Make = Callable[[Path], harness.Case]


def main() -> None:
    """Parse arguments, run the cases, print a table, write JSON where `--out` says."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="folder of data sets, for default_credit")
    parser.add_argument("--rows", default="30000,100000,300000,1000000", help="sizes of the synthetic tables")
    parser.add_argument("--features", type=int, default=32, help="columns a party of the synthetic tables")
    parser.add_argument("--quick", action="store_true", help="breast and 30,000 rows only")
    parser.add_argument("--turns", type=int, default=1)
    parser.add_argument("--case", default="", help='cases whose "name features" begins so, such as "default_credit st"')
    parser.add_argument(
        "--no-own-model",
        action="store_true",
        help="without the sponsor's best own model, which is fitted beside rounds",
    )
    parser.add_argument("--out", type=Path)
    parser.add_argument("--predictions", choices=("none", "sum"), default="none", help="what the sponsor sees of fits")
    chosen = parser.parse_args()
    if chosen.predictions == "sum":
        from benchmarks import sum_overhead

        return sum_overhead.run(chosen)
    results = []
    asked = [one for one in cases(chosen) if f"{one[0]} {_plain(one[2])}".startswith(chosen.case)]
    if not asked:
        parser.error(f"--case: no case begins with {chosen.case!r}")
    for name, make, features in asked:
        for turn, mode in itertools.product(range(chosen.turns), MODES):
            found = measure(name, make, features, mode, MODES[mode], own_model=not chosen.no_own_model)
            results.append({"turn": turn} | found)
            Console().print(json.dumps(results[-1]), highlight=False, soft_wrap=True)
    show(results)
    if chosen.out:
        chosen.out.write_text(json.dumps({"machine": harness.machine(), "results": results}, indent=2) + "\n")


def cases(chosen: argparse.Namespace) -> list[tuple[str, Make, str]]:
    """(name, how to write its folders, the learner's features)."""
    found: list[tuple[str, Make, str]] = [("breast", lambda f: harness.breast(f, 3, 0), '["standardized"]')]
    if chosen.data:
        for features in ('["standardized"]', '"auto"'):
            found.append(("default_credit", lambda f: harness.default_credit(f, chosen.data), features))
    for rows in [30_000] if chosen.quick else [int(r) for r in chosen.rows.split(",")]:
        found.append((f"synthetic {rows:,}", _synthetic(rows, chosen.features), '["standardized"]'))
    return found


def _synthetic(rows: int, features: int) -> Make:
    return lambda folder: harness.synthetic(folder, rows, features, parties=2)


def measure(name: str, make: Make, features: str, mode: str, protect: str, *, own_model: bool = True) -> dict[str, Any]:
    """One study in one mode."""
    with tempfile.TemporaryDirectory() as folder:
        case = make(Path(folder))
        harness.write_settings(Path(folder), case, study=protect, learner=f'kind = "linear"\nfeatures = {features}')
        sponsor = Path(folder) / case.names[0]
        with (sponsor / f"{case.names[0]}.toml").open("a") as file:
            file.write(f"[report]\nown_model = {str(own_model).lower()}\n")
        demo._finish(demo._start(sponsor, "forecast", f"{case.names[0]}.toml"), "forecast")
        measured = harness.run(Path(folder), case)
        if mode != "clear" and measured["rounds"]:
            measured["floor"] = study_floor.floor(sponsor / "run", mode, measured["rounds"])
    return {"case": name, "features": _plain(features), "mode": mode} | measured


def _plain(features: str) -> str:
    return features.strip('"[]')


def show(results: list[dict[str, Any]]) -> None:
    """One line a study and mode: medians over the turns, and the price relative to the clear one."""
    table = Table(title="clear against encrypted")
    for column in COLUMNS:
        table.add_column(column, justify="left" if column in ("case", "features", "mode") else "right")
    clear: dict[tuple[str, str], tuple[float, float]] = {}
    for name, features, mode in dict.fromkeys((r["case"], r["features"], r["mode"]) for r in results):
        turns = [r for r in results if (r["case"], r["features"], r["mode"]) == (name, features, mode)]
        r = turns[0]
        total, learnt = (float(np.median([of(turn) for turn in turns])) for of in (_ready, learning))
        floors = [learning(turn) / turn["floor"] for turn in turns if "floor" in turn]
        whole, part = clear.setdefault((name, features), (total, learnt))
        table.add_row(
            name,
            features,
            mode,
            str(r["rounds"]),
            f"{r['test_accuracy'] or next(v['gal'] for k, v in r.items() if k in ('auc', 'accuracy', 'mad')):.4f}",
            f"{total:.2f}",
            f"{total / whole:.2f}",
            f"{learnt:.2f}",
            f"{learnt / part:.2f}",
            f"{np.median(floors):.2f}" if floors else "",
            f"{r['bytes'] / 1e6:.1f}",
            ", ".join(str(v) for v in r["peak_memory_mb"].values()),
        )
    Console(width=150).print(table)


def _ready(measured: dict[str, Any]) -> float:
    return float(measured["seconds"]["from_ready"])


def learning(measured: dict[str, Any]) -> float:
    """Seconds from the last party's greeting, less those of the report's part after the rounds."""
    return _ready(measured) - float(sum(measured["seconds"].get(part, 0.0) for part in REPORT))


if __name__ == "__main__":
    main()
