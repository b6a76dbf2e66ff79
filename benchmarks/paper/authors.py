r"""The authors' public code beside ours, in one run: same rows, same columns by party, M = 8, T = 10, linear models.

    python -m benchmarks.paper.authors --home FOLDER                  # clones it, makes its environment, runs both
    python -m benchmarks.paper.authors --home FOLDER --code CLONE     # from a clone that is there already
    python -m benchmarks.paper.authors --table

The code is neither part of this repository nor copied from. By hand it is started like this, in a clone of ADDRESS at
COMMIT, in an environment with REQUIREMENTS, in the folder `src`:

    python make_stats.py
    python train_model_assist.py --data_name Wine --model_name linear --device cpu \
        --control_name 8_stack_100_10_search_0

`authors_start.py` does the same for one set and says what today's versions need. Each run of theirs is a process of its
own; seconds are of learning alone, after all imports, of one thread.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import output
from benchmarks.harness import machine
from benchmarks.paper import cases
from benchmarks.paper.data.split import deal, eighty_twenty
from benchmarks.paper.data.tables import uci
from benchmarks.paper.run import Due, one_run
from benchmarks.peers.environments import Environment

ADDRESS = (
    "https://github.com/dem123456789/GAL-Gradient-Assisted-Learning-for-Decentralized-Multi-Organization-Collaborations"
)
COMMIT = "b335edc"
REQUIREMENTS: tuple[str, ...] = ("torch==2.13.0", "anytree", "matplotlib", "pandas", "Pillow", "PyYAML")
REQUIREMENTS += ("scikit-learn", "six", "tabulate", "tensorboard", "tqdm")
ENVIRONMENT = Environment("gal-authors", REQUIREMENTS)
SETS, PARTIES = ("Wine", "BreastCancer"), 8
START = Path(__file__).parent / "authors_start.py"
RESULTS = Path(__file__).resolve().parent.parent / "results" / "authors.json"


def main() -> None:
    """Run both, seed by seed; the JSON is written after every run, and what stands in it is not run again."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--home", type=Path, help="folder for their code and its environment")
    parser.add_argument("--code", default=ADDRESS, help="what to clone (default: %(default)s)")
    parser.add_argument("--seeds", type=int, default=4)
    parser.add_argument("--out", type=Path, default=RESULTS, help="where the JSON goes (default: %(default)s)")
    parser.add_argument("--table", action="store_true", help="print the table of --out and run nothing")
    asked = parser.parse_args()
    if asked.table:
        return print(markdown(json.loads(asked.out.read_text())["runs"]), end="")
    if asked.home is None:
        parser.error("--home FOLDER is needed")
    os.environ["OMP_NUM_THREADS"] = "1"
    python, code = ENVIRONMENT.interpreter(asked.home), checkout(asked.code, asked.home / "gal-code")
    runs = json.loads(asked.out.read_text())["runs"] if asked.out.exists() else []
    ours(SETS[0], 0)  # not counted: libraries are loaded by the first run
    for who, name, seed in due(runs, asked.seeds):
        found = theirs(python, code, name, seed) if who == "authors" else ours(name, seed)
        runs.append({"who": who, "data": name, "seed": seed} | found)
        print(json.dumps(runs[-1]), file=sys.stderr, flush=True)
        output.write({"machine": machine(), "commit": COMMIT, "requirements": REQUIREMENTS, "runs": runs}, asked.out)


def due(runs: Sequence[dict[str, Any]], seeds: int) -> list[tuple[str, str, int]]:
    """(who, set, seed) of what is not among the runs yet, seed by seed."""
    done = {(run["who"], run["data"], run["seed"]) for run in runs}
    every = [(who, name, seed) for seed in range(seeds) for name in SETS for who in ("authors", "ours")]
    return [one for one in every if one not in done]


def checkout(code: str, folder: Path) -> Path:
    """`src` of a clone at COMMIT, as it was published; the papers beside it, 50 MB, are left out."""
    if not folder.exists():
        subprocess.run(["git", "clone", "--quiet", "--no-checkout", code, str(folder)], check=True)
    subprocess.run(["git", "-C", str(folder), "checkout", "--quiet", "--force", COMMIT, "--", "src"], check=True)
    return folder / "src"


def theirs(python: Path, code: Path, name: str, seed: int) -> dict[str, Any]:
    """One run of their code, in a folder of its own; it is told our rows and columns."""
    x, y = uci(name, Path())
    test, train = eighty_twenty(len(y), seed)
    columns = deal(x.shape[1], PARTIES, seed)
    split = {"rows": [*train.tolist(), *test.tolist()], "columns": [c.tolist() for c in columns]}
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "split.json").write_text(json.dumps(split))
        command = [str(python), str(START), str(code), name, str(seed)]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
        if done.returncode:
            raise SystemExit(f"{' '.join(command)}\n{done.stderr[-2000:]}")
        found: dict[str, Any] = json.loads((Path(folder) / "found.json").read_text())
    return found


def ours(name: str, seed: int) -> dict[str, Any]:
    """The case of the table by the paper's rule."""
    [case] = cases.chosen([f"uci/{name}/GAL/paper"])
    record = one_run(Due(case, seed), Path(), quick=False)
    return {key: record[key] for key in ("value", "trail", "eta", "cpu_seconds", "seconds")}


def markdown(runs: Sequence[dict[str, Any]]) -> str:
    """Accuracy of the last round with its deviation over seeds, and medians of seconds."""
    rows = ["| set | code | accuracy, % | CPU s | wall s | seeds |", "|---|---|---|---|---|---|"]
    for data in SETS:
        for who in ("authors", "ours"):
            some = [run for run in runs if (run["data"], run["who"]) == (data, who)]
            if not some:
                continue
            values = [run["value"] for run in some]
            cpu, wall = (np.median([run[key] for run in some]) for key in ("cpu_seconds", "seconds"))
            spread = f" ({np.std(values, ddof=1):.1f})" if len(values) > 1 else ""
            rows.append(f"| {data} | {who} | {np.mean(values):.1f}{spread} | {cpu:.2f} | {wall:.2f} | {len(values)} |")
    return "\n".join(rows) + "\n"


if __name__ == "__main__":
    main()
