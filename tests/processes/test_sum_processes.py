"""Sum-only studies by real processes: aligned privately, killed and resumed, predicted, audited; no secret at an
assistor."""

from __future__ import annotations

import contextlib
import csv
import json
import re
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from parties.audit.reconcile import reconcile
from parties.commands import demo
from parties.commands.consent import KEY
from parties.run.budget import DataBudget, look
from parties.run.session import open_session, open_store
from parties.run.store import RunStore
from secure_gal.data.table import read_table
from secure_gal.holdings.budget import Charge
from secure_gal.settings.party import DataSettings
from tests.support.commands import assist, cli, until
from tests.support.disks import on_disk
from tests.support.watched import BEYOND, watched

pytestmark = [pytest.mark.processes, pytest.mark.slow]


def prepared(folder: Path, residuals: str, ids: str, learner: str = "") -> Path:
    """The demo's three parties, with sums only."""
    demo._write_tables(folder)
    demo._write_settings(folder, demo._free_port(), residuals, ids)
    for name in demo.PARTIES:
        settings = folder / name / "study.toml"
        text = settings.read_text()
        assert "predictions" not in text
        settings.write_text(text.rstrip() + '\npredictions = "sum"\n')
        if learner and name != "hospital":
            file = folder / name / f"{name}.toml"
            file.write_text(re.sub(r'kind = "\w+"', learner, re.sub(r"\nfeatures.*", "", file.read_text())))
    return folder


def finish(process: subprocess.Popen[str], seconds: int = 600) -> None:
    _, err = process.communicate(timeout=seconds)
    assert process.returncode == 0, err


def sealing_key(database: Path) -> bytes:
    """The aggregator's key for fits, read from under a running process."""
    with contextlib.closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as db:
        ((key,),) = db.execute("SELECT value FROM secret").fetchall()
    return bytes(key)


FRESH = 'kind = "linear"\nfeatures = "fourier"\nfresh_features = true'


@pytest.mark.parametrize(
    ("residuals", "ids", "learner"),
    [("ckks", "psi", ""), ("none", "clear", 'kind = "gb"'), ("none", "clear", FRESH), ("ckks", "psi", FRESH)],
)
def test_a_study_of_sums_survives_kills_predicts_and_can_be_audited(
    residuals: str, ids: str, learner: str, tmp_path: Path
) -> None:
    folder = prepared(tmp_path / "d", residuals, ids, learner)
    labs = {name: assist(folder / name, *BEYOND) for name in demo.PARTIES[1:]}
    sponsor = cli(folder / "hospital", "train", "hospital.toml")
    until(sponsor, "round 2/10")
    run, key = folder / "lab-a" / "run", sealing_key(folder / "lab-a" / "run" / "run.db")
    assert key in on_disk(run)
    for dead in (labs["lab-a"], sponsor):  # lab-a is the aggregator
        dead.kill()
        dead.communicate()
    labs["lab-a"] = assist(folder / "lab-a", *BEYOND)
    try:
        finish(cli(folder / "hospital", "train", "hospital.toml"))
        ask = ("predict", "hospital.toml", "--ids", "new.csv", "--out", "predictions.csv")
        finish(cli(folder / "hospital", *ask))
    finally:
        for lab in labs.values():
            lab.terminate()
        for lab in labs.values():
            lab.communicate(timeout=30)
    assert key not in on_disk(run), "the aggregator's key for fits is erased when learning has ended"
    summary = json.loads((folder / "hospital/run/summary.json").read_text())
    assert summary["gal"] > 0.9
    with (folder / "hospital/predictions.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 114 and "missing" not in rows[0]
    result = reconcile([folder / name / "run" / "ledger.jsonl" for name in demo.PARTIES])
    assert result.certificates >= 1
    spent = look(folder / "lab-b" / "keys", read_table(DataSettings(folder / "lab-b" / "lab-b.csv", "patient")))
    assert spent["sums"] == 10 and spent["rows"] == 114 and spent["replies"] > summary["rounds"]
    store = RunStore(folder / "hospital" / "run")
    assert not any(key.startswith(("fitted/", "cipher/")) for key in store.state())
    store.close()


def test_an_assistor_of_a_study_of_sums_never_loads_the_secret_side(tmp_path: Path) -> None:
    folder = prepared(tmp_path / "d", "ckks", "clear")
    labs = [watched(folder, name, "sums=0.4", "own-sums=0.8") for name in demo.PARTIES[1:]]
    finish(cli(folder / "hospital", "train", "hospital.toml"))
    for lab in labs:
        out, err = lab.communicate(timeout=60)
        assert lab.returncode == 0, err
        assert out.strip() == "False True False"


def test_sums_of_earlier_runs_count_and_need_consent(tmp_path: Path) -> None:
    """The person consented to the study on a terminal, before anybody's width was known; not to this."""
    folder = prepared(tmp_path / "d", "ckks", "clear")
    budget = DataBudget(folder / "lab-b" / "keys")
    budget.admit(read_table(DataSettings(folder / "lab-b" / "lab-b.csv", "patient")))
    assert budget.spend("0" * 64, [Charge("sums", 1000, None)]) is None
    check = [sys.executable, "-m", "parties.cli", "check", "lab-b.toml"]
    shown = subprocess.run(check, cwd=folder / "lab-b", capture_output=True, text=True, check=True).stdout
    assert "- sums: T*K = 1,010 equations, 1,000 of them released before, against 13 columns here" in shown
    store = open_store(open_session(folder / "lab-b" / "lab-b.toml"))
    store.set_meta(KEY, open_session(folder / "lab-b" / "lab-b.toml").digest)
    store.close()
    other = assist(folder / "lab-a", *BEYOND)
    lab = cli(folder / "lab-b", "assist", "lab-b.toml")
    sponsor = cli(folder / "hospital", "train", "hospital.toml")
    _, err = lab.communicate(timeout=60)
    for process in (sponsor, other):
        process.terminate()
        process.communicate(timeout=30)
    assert lab.returncode == 3 and "lab-b takes no part" in err and "1010 equations" in err
