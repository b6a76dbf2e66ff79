"""An encrypted, privately aligned study by real processes: killed and resumed, audited, and no secret at an
assistor."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from benchmarks import harness
from crypto.ckks.keys import keys_bytes
from crypto.ckks.sets import PARAMETER_SETS
from parties.audit.ledger import verify_ledger
from parties.audit.reconcile import reconcile
from parties.cli import app
from parties.commands import demo
from parties.run.session import open_session
from secure_gal.volume import Volume
from tests.support.commands import assist, cli, ended, until, without_own_model
from tests.support.foretold import unforeseen
from tests.support.small_study import write_study
from tests.support.watched import BEYOND, watched

pytestmark = pytest.mark.processes
ASK = ("predict", "hospital.toml", "--ids", "new.csv", "--out", "predictions.csv")

HELD = frozenset({"ids", "masked-ids", "tags"})
"""What depends on how many rows the laboratories hold, which the hospital does not know."""


def of_rounds(rounds: int, folder: Path, predictions: str = "none") -> None:
    """Make the demo's study one of so many rounds."""
    for party in demo.PARTIES:
        study = folder / party / "study.toml"
        study.write_text(f'rounds = {rounds}\n{study.read_text()}predictions = "{predictions}"\n')


def as_foretold(folder: Path) -> bool:
    """Whether the hospital's study has moved what `check` foretold of it."""
    summary = json.loads((folder / "hospital/run/summary.json").read_text())
    volume = Volume(open_session(folder / "hospital/hospital.toml").study, summary["rows"]["aligned"], 0)
    return not unforeseen(volume, harness._by_kind(summary["bytes"]), HELD)


def test_an_encrypted_study_survives_kills_and_can_be_audited(tmp_path: Path) -> None:
    folder = tmp_path / "d"
    demo._write_tables(folder)
    demo._write_settings(folder, demo._free_port(), "ckks", "psi", "standard")
    without_own_model(folder / "hospital" / "hospital.toml")
    of_rounds(3, folder)
    settings = folder / "lab-b" / "lab-b.toml"
    settings.write_text(settings.read_text() + 'features = "fourier"\n')  # its [learner] stands last
    labs = {name: watched(folder, name) for name in demo.PARTIES[1:]}
    sponsor = cli(folder / "hospital", "train", "hospital.toml")
    until(sponsor, "round 2/3")
    for dead in (labs["lab-b"], sponsor):
        dead.kill()
        dead.communicate()
    labs["lab-b"] = watched(folder, "lab-b")
    sponsor = cli(folder / "hospital", "train", "hospital.toml")
    sponsor.communicate(timeout=120)
    assert sponsor.returncode == 0
    for name, lab in labs.items():
        out, err = lab.communicate(timeout=60)
        assert lab.returncode == 0, err
        assert out.strip() == "False True False", name
    summary = json.loads((folder / "hospital/run/summary.json").read_text())
    assert summary["gal"] > 0.9 and summary["rows"]["aligned"] == 455 and as_foretold(folder)
    (key,) = (folder / "hospital/keys").glob("ckks-*-1.key")
    assert key.stat().st_mode & 0o777 == 0o600
    assert (folder / "hospital/run/report.html").exists()
    own = json.loads((folder / "lab-b/run/computing.json").read_text())
    assert "random Fourier features" in own["features"] and (own["device"], own["precision"]) == ("CPU", "float64")
    assert own["seconds"]["prepare"] > own["seconds"]["features"] > 0
    assert len(own["seconds"]["fit"]) == summary["rounds"], "seconds of rounds before the kill are kept"
    told = b"".join(path.read_bytes() for path in (folder / "hospital/run").iterdir() if path.is_file())
    assert b"Fourier" not in told, "what an assistor computes with is its own business"
    result = reconcile([folder / name / "run" / "ledger.jsonl" for name in demo.PARTIES])
    assert result.certificates >= 1 and not result.tail


@pytest.mark.slow
def test_consent_to_a_study_is_no_consent_to_more_sums_than_the_limits(tmp_path: Path) -> None:
    """Three sums of thirteen and thirteen features are beyond both limits, which every person has to say by name."""
    folder = tmp_path / "d"
    demo._write_tables(folder)
    demo._write_settings(folder, demo._free_port())
    of_rounds(3, folder, predictions="sum")
    sponsor = cli(folder / "hospital", "train", "hospital.toml")
    other = assist(folder / "lab-a", "--once", *BEYOND)
    lab = assist(folder / "lab-b", "--once", "--beyond", "sums=0.12")
    err = lab.communicate(timeout=60)[1]
    assert lab.returncode == 3 and "lab-b takes no part" in err and "--beyond sums=0.12 --beyond own-sums=0.24" in err
    lab = assist(folder / "lab-b", "--once", "--beyond", "own-sums=0.24")  # what was stated before stands
    for process in (lab, sponsor, other):
        err = process.communicate(timeout=120)[1]
        assert process.returncode == 0, err
    verdict = verify_ledger(folder / "lab-b" / "run" / "ledger.jsonl")
    assert verdict.beyond == {"sums": 0.12, "own-sums": 0.24}
    ledger = str(folder / "lab-b" / "run" / "ledger.jsonl")
    shown = CliRunner().invoke(app, ["audit", "show", ledger]).output
    assert "consented to the study" in shown and "went beyond the limit own-sums of 0.2, up to 0.24" in shown
    assert "beyond" not in CliRunner().invoke(app, ["audit", "show", ledger.replace("lab-b", "hospital")]).output


@pytest.mark.parametrize("residuals", ["ckks", pytest.param("none", marks=pytest.mark.slow)])
def test_a_study_with_sums_only(residuals: str, tmp_path: Path) -> None:
    folder = tmp_path / "d"
    data = demo._write_tables(folder)
    demo._write_settings(folder, demo._free_port(), residuals, "psi")
    without_own_model(folder / "hospital" / "hospital.toml")
    of_rounds(2, folder, predictions="sum")
    labs = [
        demo._start(folder / lab, "assist", f"{lab}.toml", *demo._consent(folder / lab), *BEYOND)
        for lab in demo.PARTIES[1:]
    ]
    try:
        demo._finish(demo._start(folder / "hospital", "train", "hospital.toml"), "train", labs)
        ask = ("predict", "hospital.toml", "--ids", "new.csv", "--out", "predictions.csv")
        demo._finish(demo._start(folder / "hospital", *ask), "predict", labs)
    finally:
        for lab in labs:
            lab.terminate()
            lab.wait(timeout=30)
    with (folder / "hospital" / "predictions.csv").open() as file:
        scores = {int(row["patient"]): float(row["p_1"]) for row in csv.DictReader(file)}
    truth = data["y"][data["new"]]
    assert demo._auc(truth, np.array([scores[i] for i in data["new"]])) > 0.97
    paths = [folder / name / "run" / "ledger.jsonl" for name in demo.PARTIES]
    assert reconcile(paths).certificates >= 1
    kinds = "".join(path.read_text() for path in paths)
    assert '"kind":"sealed-fitted"' in kinds and '"kind":"fitted"' not in kinds
    assert '"kind":"encrypted-fitted"' not in kinds and as_foretold(folder)


def key_lines(folder: Path) -> list[int]:
    """Bytes of keys in every `evaluation-keys` of this party's ledger."""
    lines = [json.loads(line) for line in (folder / "run" / "ledger.jsonl").read_text().splitlines()]
    headers = [line["header"] for line in lines if line["entry"] == "message"]
    return [field["nbytes"] for h in headers if h["kind"] == "evaluation-keys" for field in h["fields"]]


@pytest.mark.slow
def test_a_second_run_and_predictions_of_a_study_are_sent_no_keys(tmp_path: Path) -> None:
    write_study(tmp_path, "clear", "ckks")
    hospital, sizes = tmp_path / "hospital", []
    for commands in ([("train", "hospital.toml"), ASK, ASK], [("train", "hospital.toml")]):
        for party in demo.PARTIES:
            shutil.rmtree(tmp_path / party / "run", ignore_errors=True)
        labs = [cli(tmp_path / n, "assist", f"{n}.toml", *demo._consent(tmp_path / n)) for n in demo.PARTIES[1:]]
        try:
            for command in commands:
                ended(cli(hospital, *command))
        finally:
            for lab in labs:
                lab.kill()
                lab.communicate()
        sizes.append([key_lines(tmp_path / party) for party in demo.PARTIES])
    whole = keys_bytes(PARAMETER_SETS["standard"], 4)
    assert sizes == [[[whole] * 2, [whole], [whole]], [[0] * 2, [0], [0]]], "by run and party, predictions and all"
    (kept,) = (tmp_path / "lab-a" / "keys" / "evaluation-keys").glob("*.keys")
    assert kept.stat().st_mode & 0o777 == 0o600 and kept.stat().st_size == whole
