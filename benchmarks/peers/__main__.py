"""This product beside SecretFlow, HEU, OpenMined PSI and XGBoost, on the same rows, in one interleaved run.

    python -m benchmarks.peers --data DIR                             # everything, one turn
    python -m benchmarks.peers --data DIR --only HEU 'ours, one column' --repeats 3
    python -m benchmarks.peers --data DIR --cases breast --out peers.json --continue
    python -m benchmarks.peers --table                                # of benchmarks/results/peers.json

Each system gets a virtual environment under --home, made on the first run and kept. One that cannot be installed, that
fails or that takes longer than --limit is a row of the table with its error. Turns are interleaved: every system once,
then again. Learning is on FATE's vertical sets, two parties, 80/20 split with seed 0, ids already aligned; it includes
the start of the processes and the prediction of the test rows. CPU seconds are of all processes of a system (`usage`);
bytes are counted by relays between the parties, but for PSI of ours (payloads) and the columns (sizes of what is sent).
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks import output
from benchmarks.harness import machine
from benchmarks.peers import table
from benchmarks.peers.catalogue import CASES, PEERS, Given, Peer
from benchmarks.peers.environments import NotInstalled
from benchmarks.peers.launch import Failed
from benchmarks.peers.usage import Usage
from secure_gal.errors import EnvironmentFailure

RESULTS = Path(__file__).resolve().parent.parent / "results" / "peers.json"
HOME = Path(tempfile.gettempdir()) / "secure-gal-peers"


def main() -> None:
    """Run what is asked; the JSON is written after every run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="folder of data sets (fate/...)")
    parser.add_argument("--home", type=Path, default=HOME, help="folder of environments (default: %(default)s)")
    parser.add_argument("--only", nargs="+", choices=[peer.name for peer in PEERS], metavar="NAME", help="systems")
    parser.add_argument("--cases", nargs="+", choices=CASES, default=CASES, metavar="CASE", help=f"of {CASES}")
    parser.add_argument("--repeats", type=int, default=1, help="turns (default 1)")
    parser.add_argument("--limit", type=float, default=1800, help="seconds a run may take (default %(default)g)")
    parser.add_argument("--out", type=Path, default=RESULTS, help="where the JSON goes (default: %(default)s)")
    parser.add_argument("--continue", dest="go_on", action="store_true", help="add to what stands in --out")
    parser.add_argument("--table", action="store_true", help="print the table of --out and run nothing")
    asked = parser.parse_args()
    if asked.table:
        return print(table.markdown(json.loads(asked.out.read_text())["runs"]), end="")
    if asked.data is None:
        parser.error("--data DIR is needed")
    os.environ["OMP_NUM_THREADS"] = "1"  # for every system alike: threads that wait for each other burn CPU seconds
    runs = json.loads(asked.out.read_text())["runs"] if asked.go_on and asked.out.exists() else []
    order = [peer.name for peer in PEERS]
    for peer, case in _turns(asked):
        runs.append(_measure(peer, case, asked))
        print(json.dumps(runs[-1]), file=sys.stderr, flush=True)
        runs.sort(key=lambda run: (CASES.index(run["case"]), order.index(run["peer"])))
        output.write({"machine": machine(), "runs": runs}, asked.out)
    print(table.markdown(runs), end="")


def _turns(asked: argparse.Namespace) -> Iterator[tuple[Peer, str]]:
    for _ in range(asked.repeats):
        for case in asked.cases:
            for peer in PEERS:
                if case in peer.cases and (asked.only is None or peer.name in asked.only):
                    yield peer, case


def _measure(peer: Peer, case: str, asked: argparse.Namespace) -> dict[str, Any]:
    """One run."""
    about = {"case": case, "peer": peer.name, "what": peer.what}
    try:
        python = peer.environment.interpreter(asked.home) if peer.environment else Path(sys.executable)
        with tempfile.TemporaryDirectory() as folder:
            given, usage = Given(python, case, asked.data, Path(folder), asked.limit), Usage()
            try:
                with usage:
                    found = dict(peer.run(given))
            finally:
                usage.end_what_is_left()
    except NotInstalled as error:
        return about | {"failed": f"not installed: {error}"}
    except (Failed, EnvironmentFailure, subprocess.CalledProcessError) as error:
        return about | {"failed": str(error)}
    spent = {"cpu_seconds": round(usage.cpu_seconds, 2), "wall_seconds": round(usage.wall_seconds, 2)}
    return about | spent | {"load": round(os.getloadavg()[0], 1)} | found


if __name__ == "__main__":
    main()
