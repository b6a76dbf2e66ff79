"""Studies over lines of 1, 3, 10 and 100 Mbit/s with 200 ms round trip, by real processes.

    python -m benchmarks.links                     # the encrypted study of about 10 MB on each line; JSON at the end
    python -m benchmarks.links --rates 3,10 --parameters strict --out links.json

Two parties, what `secure-gal new` writes but for the parameter set (`standard`). The floor is bytes
over bandwidth, plus what the same study takes on a line of 200 ms without a limit: its round trips, and its CPU.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks import harness
from benchmarks.line import Line, mbit

ROUND_TRIP = 0.2
ALLOWED = 1.3
"""How many times its floor a study may take."""


def main() -> None:
    """Parse arguments, run the lines, print a table and one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rates", default="1,3,10,100", help="Mbit/s, separated by commas")
    parser.add_argument("--rows", type=int, default=16_000)
    parser.add_argument("--parameters", choices=("standard", "strict"), default="standard")
    parser.add_argument("--out", type=Path)
    chosen = parser.parse_args()
    results = [_study(chosen, None, 0.0), _study(chosen, None, ROUND_TRIP / 2)]
    for rate in map(float, chosen.rates.split(",")):
        result = _study(chosen, rate, ROUND_TRIP / 2)
        floor = result["bytes"] / mbit(rate) + results[1]["seconds"]
        results.append(result | {"floor": round(floor, 2), "ratio": round(result["seconds"] / floor, 3)})
        Console().print(json.dumps(results[-1]), highlight=False, soft_wrap=True)
    _show(results)
    found = {"machine": harness.machine(), "parameters": chosen.parameters, "results": results}
    print(json.dumps(found, indent=2))
    if chosen.out:
        chosen.out.write_text(json.dumps(found, indent=2) + "\n")


def _study(chosen: argparse.Namespace, rate: float | None, delay: float) -> dict[str, Any]:
    """One study of two parties, the assistor behind a line; seconds with start-up."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        case = harness.synthetic(folder, chosen.rows, 8, parties=2)
        protect = f'[protect]\nids = "psi"\nresiduals = "ckks"\nparameters = "{chosen.parameters}"'
        harness.write_settings(folder, case, study=protect)
        port = int((folder / "p0" / "study.toml").read_text().partition("tcp://127.0.0.1:")[2].partition('"')[0])
        with Line(("127.0.0.1", port), mbit(rate) if rate else None, delay) as line:
            party = folder / "p1" / "p1.toml"
            party.write_text(f'address = "tcp://127.0.0.1:{line.port}"\n{party.read_text()}')
            measured = harness.run(folder, case)
            carried = dict(line.carried)
    return {
        "mbit": rate,
        "round_trip": 2 * delay,
        "bytes": measured["bytes"],
        "carried": carried,
        "seconds": measured["seconds"]["with_start_up"],
    }


def _show(results: list[dict[str, Any]]) -> None:
    table = Table(title="a study over slow lines")
    for column in ("Mbit/s", "round trip s", "MB", "MB on the line", "seconds", "floor", "ratio"):
        table.add_column(column, justify="right")
    for r in results:
        ratio = f"{r['ratio']:.2f}{' !' if r['ratio'] > ALLOWED else ''}" if "ratio" in r else ""
        table.add_row(
            str(r["mbit"] or "no limit"),
            f"{r['round_trip']:.1f}",
            f"{r['bytes'] / 1e6:.1f}",
            f"{sum(r['carried'].values()) / 1e6:.1f}",
            f"{r['seconds']:.1f}",
            str(r.get("floor", "")),
            ratio,
        )
    Console().print(table)


if __name__ == "__main__":
    main()
