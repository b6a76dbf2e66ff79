"""Predictions by real processes of which one is killed on the way."""

from __future__ import annotations

import csv
import shutil
import subprocess
import sys
from pathlib import Path

import msgspec
import numpy as np
import pytest
from scipy.special import expit

from parties.commands import demo
from parties.run.store import RunStore
from secure_gal.measures.evaluation import Evaluation
from tests.processes.test_processes import cli, wait_for

pytestmark = pytest.mark.processes
ROWS = 150
DIES = (
    "import errno, os, pathlib, sys\n"
    "name, how, keep = sys.argv[1], sys.argv[2], os.replace\n"
    "def replace(part, path):\n"
    "    if pathlib.Path(path).name != name: return keep(part, path)\n"
    "    if how == 'die': os._exit(137)\n"
    "    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))\n"
    "os.replace = replace\n"
    "sys.argv = ['secure-gal', *sys.argv[3:]]\n"
    "from parties.cli import main; main()\n"
)
ASK = ("predict", "hospital.toml", "--ids", "new.csv", "--out", "predictions.csv")


def write_study(
    folder: Path, ids: str, residuals: str = "none", predictions: str = "none", validation: float = 0.0
) -> None:
    """The demo's folders and settings over a small table of numbers; two rounds, and everything reproducible.

    By the paper's rule F of the training rows is what the saved models give, so a prediction of them can be compared.
    """
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
        head = f'rounds = 2\nweights = "paper"\nvalidation = {validation}\n'
        file.write_text(f'{head}{file.read_text()}predictions = "{predictions}"\n')


def failing(folder: Path, file: str, how: str, *arguments: str) -> subprocess.Popen[str]:
    """A command that dies, or whose disk is full, when it comes to write this file."""
    command = [sys.executable, "-c", DIES, file, how, *arguments]
    return subprocess.Popen(command, cwd=folder, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)


def assist(folder: Path, name: str, *more: str) -> subprocess.Popen[str]:
    return cli(folder / name, "assist", f"{name}.toml", *demo._consent(folder / name), *more)


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


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished study in the clear, whose assistors have ended."""
    folder = tmp_path_factory.mktemp("finished")
    write_study(folder, "clear")
    labs = [assist(folder, name, "--once") for name in demo.PARTIES[1:]]
    ended(cli(folder / "hospital", "train", "hospital.toml"))
    for lab in labs:
        ended(lab)
    return folder


@pytest.fixture
def learnt(finished: Path, tmp_path: Path) -> Path:
    """A copy of it of one's own."""
    return Path(shutil.copytree(finished, tmp_path / "study"))


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


def test_predictions_follow_the_threshold_that_was_kept_with_the_model(learnt: Path) -> None:
    """Whatever the sponsor's file says by now, which it is told of."""
    hospital = learnt / "hospital"
    store, kept = RunStore(hospital / "run"), Evaluation(ROWS, "out-of-fold", (), threshold=0.8, rule="f1")
    store.commit({"evaluation": msgspec.json.encode(kept)}, {}, [])
    store.close()
    labs = {name: assist(learnt, name) for name in demo.PARTIES[1:]}
    try:
        said = ended(cli(hospital, *ASK))
    finally:
        for lab in labs.values():
            lab.kill()
            lab.communicate()
    assert "[report] threshold is 0.5 now, and this model was learnt with 'f1'" in said
    with (hospital / "predictions.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    cut = {(row["prediction"], float(row["p_1"]) > 0.8) for row in rows}
    assert cut == {("1", True), ("0", False)} and any(0.5 < float(row["p_1"]) <= 0.8 for row in rows)


@pytest.mark.parametrize("how", ["die", pytest.param("full", marks=pytest.mark.slow)])
def test_an_answered_batch_whose_file_was_lost_is_written_and_nobody_is_asked_again(how: str, learnt: Path) -> None:
    hospital = learnt / "hospital"
    labs = {name: assist(learnt, name) for name in demo.PARTIES[1:]}
    try:
        ended(failing(hospital, "predictions.csv", how, *ASK), {"die": 137, "full": 5}[how])
    finally:
        for lab in labs.values():
            lab.kill()
            lab.communicate()
    said = ended(cli(hospital, *ASK))  # with nobody there
    assert "was not brought to its end" in said and "50 predictions written to predictions.csv" in said
    assert scores(hospital / "predictions.csv") == pytest.approx(learnt_scores(hospital), abs=1e-6)
    assert batches(hospital) == "1"


def batches(hospital: Path) -> str:
    store = RunStore(hospital / "run")
    count = store.value("batches").decode()
    store.close()
    return count
