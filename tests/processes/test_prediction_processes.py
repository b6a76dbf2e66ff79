"""Predictions by real processes of which one is killed on the way."""

from __future__ import annotations

import csv
import shutil
from pathlib import Path

import msgspec
import numpy as np
import pytest
from scipy.special import expit

from parties.commands import demo
from parties.run.store import RunStore
from secure_gal.measures.evaluation import Evaluation
from tests.support.commands import assist, cli, ended, until, without_own_model
from tests.support.small_study import ROWS, failing, write_study

pytestmark = pytest.mark.processes
ASK = ("predict", "hospital.toml", "--ids", "new.csv", "--out", "predictions.csv")


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
    without_own_model(folder / "hospital" / "hospital.toml")
    labs = [assist(folder / name, "--once") for name in demo.PARTIES[1:]]
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
    without_own_model(hospital / "hospital.toml")
    labs = {name: assist(tmp_path / name) for name in demo.PARTIES[1:]}
    try:
        ended(cli(hospital, "train", "hospital.toml"))
        until(labs["lab-a"], "learning stage finished")
        asking = cli(hospital, *ASK)
        until(labs["lab-a"], "private alignment: masking")
        labs["lab-a"].kill()
        labs["lab-a"].communicate()
        labs["lab-a"] = assist(tmp_path / "lab-a")
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
    labs = {name: assist(learnt / name) for name in demo.PARTIES[1:]}
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
    labs = {name: assist(learnt / name) for name in demo.PARTIES[1:]}
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
