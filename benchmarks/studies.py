"""Whole studies by real processes on this machine: metrics, seconds by phase, bytes against their floor.

    python -m benchmarks.studies --case breast --parties 8
    python -m benchmarks.studies --case default_credit --data DIR --learner gb

DIR holds fate/default_credit_hetero_{guest,host}.csv. The floor is rounds x 2 x N x K x 4 bytes an assistor.
"""

from __future__ import annotations

import argparse
import csv
import json
import platform
import shutil
import tempfile
import time
from pathlib import Path

import numpy as np
from sklearn.datasets import load_breast_cancer

from parties import demo, setup


def main() -> None:
    """Parse arguments, run one case, print one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--case", choices=("breast", "default_credit"), default="breast")
    parser.add_argument("--parties", type=int, default=8, help="for breast: over how many the columns are dealt out")
    parser.add_argument("--learner", default="linear")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--data", type=Path, help="folder of data sets, for default_credit")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if chosen.case == "breast":
            names, truth, extra = breast(folder, chosen.parties, chosen.seed)
        elif chosen.data is None:
            parser.error("--case default_credit needs --data DIR")
        else:
            names, truth, extra = default_credit(folder, chosen.data)
        settings(folder, names, extra, chosen.learner)
        print(json.dumps(run(folder, names, truth) | {"case": chosen.case, "learner": chosen.learner}, indent=2))


def breast(folder: Path, parties: int, seed: int) -> tuple[list[str], dict[str, int], str]:
    """80/20 split, columns dealt out evenly at random; the sponsor's new.csv holds the test rows."""
    x, y = load_breast_cancer(return_X_y=True)
    rng = np.random.default_rng(seed)
    columns = np.array_split(rng.permutation(x.shape[1]), parties)
    order = rng.permutation(len(y))
    test, train = order[: round(0.2 * len(y))].tolist(), order[round(0.2 * len(y)) :].tolist()
    names = [f"p{m}" for m in range(parties)]
    for m, name in enumerate(names):
        (folder / name).mkdir()
        titles, block = [f"c{j}" for j in columns[m]], x[:, columns[m]]
        rows = train if m == 0 else list(range(len(y)))
        demo._table(folder / name / "data.csv", titles, block, rows, y if m == 0 else None)
        if m == 0:
            demo._table(folder / name / "new.csv", titles, block, test, None)
    return names, {f"{i:04d}": int(y[i]) for i in test}, 'id = "patient"\nlabel = "benign"\nvalidation = 0.0'


def default_credit(folder: Path, data: Path) -> tuple[list[str], dict[str, int], str]:
    """FATE's split: the guest is the sponsor, the host the assistor; judged on the validation rows."""
    for name in ("guest", "host"):
        (folder / name).mkdir()
        shutil.copy(data / "fate" / f"default_credit_hetero_{name}.csv", folder / name / "data.csv")
    return ["guest", "host"], {}, 'id = "id"\nlabel = "y"\nvalidation = 0.2'


def settings(folder: Path, names: list[str], extra: str, learner: str) -> None:
    """study.toml, party files, keys and pins of every party."""
    port = demo._free_port()
    id_line, label_line, validation = extra.splitlines()
    for name in names:
        sponsor, home = name == names[0], folder / name
        (home / "study.toml").write_text(
            f'name = "bench"\ntask = "classification"\nsponsor = "{names[0]}"\naddress = "tcp://127.0.0.1:{port}"\n'
            f"assistors = {json.dumps(names[1:])}\n{validation}\n"
        )
        (home / f"{name}.toml").write_text(
            f'study = "study.toml"\nparty = "{name}"\nhome = "keys"\nrun_dir = "run"\n'
            + (f'bind = "tcp://127.0.0.1:{port}"\n' if sponsor else "")
            + f'[data]\npath = "data.csv"\n{id_line}\n'
            + (f"{label_line}\n" if sponsor else "")
            + f'[learner]\nkind = "{learner}"\n'
        )
        setup.keygen(name, home / "keys")
    for one in names:
        for other in names:
            if one != other:
                setup.trust_card(folder / one / "keys" / f"{one}.card", folder / other / "keys", False, lambda _: True)


def run(folder: Path, names: list[str], truth: dict[str, int]) -> dict[str, object]:
    """Start all processes, train, predict if there is a truth; returns what was measured."""
    began = time.monotonic()
    assistors = [demo._start(folder / name, "assist", f"{name}.toml") for name in names[1:]]
    sponsor = folder / names[0]
    try:
        demo._finish(demo._start(sponsor, "train", f"{names[0]}.toml"), "train")
        wall = time.monotonic() - began
        accuracy = None
        if truth:
            ask = ("predict", f"{names[0]}.toml", "--ids", "new.csv", "--out", "out.csv")
            demo._finish(demo._start(sponsor, *ask), "predict")
            with (sponsor / "out.csv").open() as file:
                accuracy = float(np.mean([truth[r["patient"]] == int(r["prediction"]) for r in csv.DictReader(file)]))
    finally:
        for process in assistors:
            process.terminate()
        for process in assistors:
            process.wait(timeout=30)
    summary = json.loads((sponsor / "run" / "summary.json").read_text())
    total = sum(sum(kinds.values()) for way in summary["bytes"].values() for kinds in way.values())
    return {
        "machine": f"{platform.machine()}, Python {platform.python_version()}",
        "parties": len(names),
        "rows": summary["rows"],
        "rounds": summary["rounds"],
        "kept": summary["kept"],
        summary["metric"]: {"gal": summary["gal"], "alone": summary["alone"]},
        "test_accuracy": accuracy,
        "seconds": summary["seconds"] | {"with_start_up": round(wall, 2)},
        "bytes": total,
        "floor_bytes": 2 * summary["rounds"] * summary["rows"]["aligned"] * 4 * (len(names) - 1),
    }


if __name__ == "__main__":
    main()
