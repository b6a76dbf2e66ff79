"""Predictions by real processes of which one is killed on the way."""

from __future__ import annotations

import csv
import subprocess
from pathlib import Path

import numpy as np
import pytest
from scipy.special import expit

from parties import demo
from parties.store import RunStore
from tests.test_processes import cli, wait_for

pytestmark = pytest.mark.processes
ROWS = 150
ASK = ("predict", "hospital.toml", "--ids", "new.csv", "--out", "predictions.csv")


def write_study(
    folder: Path, ids: str, residuals: str = "none", predictions: str = "none", validation: float = 0.0
) -> None:
    """The demo's folders and settings over a small table of numbers; two rounds, and everything reproducible."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((ROWS, 9))
    y = (x[:, 0] + x[:, 4] + x[:, 8] + rng.standard_normal(ROWS) > 0).astype(int)
    for i, party in enumerate(demo.PARTIES):
        (folder / party).mkdir(parents=True)
        cut = slice(3 * i, 3 * i + 3)
        names = [f"c{j}" for j in range(9)[cut]]
        label = y if party == "hospital" else None
        demo._table(folder / party / f"{party}.csv", names, x[:, cut], list(range(ROWS)), label)
    demo._table(folder / "hospital" / "new.csv", ["c0", "c1", "c2"], x[:, :3], list(range(0, ROWS, 3)), None)
    demo._write_settings(folder, demo._free_port(), residuals, ids, "fast")
    for party in demo.PARTIES:
        file = folder / party / "study.toml"
        file.write_text(f'rounds = 2\nvalidation = {validation}\n{file.read_text()}predictions = "{predictions}"\n')


def assist(folder: Path, name: str, *more: str) -> subprocess.Popen[str]:
    return cli(folder / name, "assist", f"{name}.toml", "--consent", *more)


def ended(process: subprocess.Popen[str], code: int = 0, seconds: float = 120) -> str:
    """What it wrote, once it has ended with this exit code."""
    text = process.communicate(timeout=seconds)[1]
    assert process.returncode == code, text
    return text


def scores(path: Path) -> dict[str, float]:
    with path.open(newline="") as file:
        return {row["patient"]: float(row["p_1"]) for row in csv.DictReader(file)}


def learnt_scores(hospital: Path) -> dict[str, float]:
    """What the learning stage made of the rows of new.csv, every third one."""
    store = RunStore(hospital / "run")
    state = store.state()
    store.close()
    f = dict(zip(np.asarray(state["rows"]).tolist(), np.asarray(state["ensemble/F"])[:, 0].tolist(), strict=True))
    return {f"{i:04d}": float(expit(f[i])) for i in range(0, ROWS, 3)}


def test_an_assistor_killed_during_the_private_alignment_of_a_prediction(tmp_path: Path) -> None:
    write_study(tmp_path, "psi")
    hospital = tmp_path / "hospital"
    labs = {name: assist(tmp_path, name) for name in demo.PARTIES[1:]}
    try:
        ended(cli(hospital, "train", "hospital.toml"))
        wait_for(labs["lab-a"], "learning stage finished")
        asking = cli(hospital, *ASK)
        wait_for(labs["lab-a"], "private alignment: masking")
        labs["lab-a"].kill()
        labs["lab-a"].communicate()
        labs["lab-a"] = assist(tmp_path, "lab-a")
        ended(asking)
    finally:
        for lab in labs.values():
            lab.kill()
            lab.communicate()
    assert scores(hospital / "predictions.csv") == pytest.approx(learnt_scores(hospital), abs=1e-6)
