"""An encrypted, privately aligned study by real processes: killed and resumed, audited, and no secret at an assistor."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from parties import demo
from parties.audit_reconcile import reconcile
from tests.test_processes import cli, wait_for

pytestmark = pytest.mark.processes
ASSIST = (
    "import sys, pathlib; from parties.assistor import assist\n"
    "code = assist(pathlib.Path(sys.argv[1]), once=True, consent=True)\n"
    "print('crypto.ckks_secret' in sys.modules, 'crypto.ckks' in sys.modules, 'torch' in sys.modules)\n"
    "raise SystemExit(code)"
)


def watched(folder: Path, name: str) -> subprocess.Popen[str]:
    """An assistor that says at its end whether it ever loaded the secret side."""
    command = [sys.executable, "-c", ASSIST, f"{name}.toml"]
    return subprocess.Popen(command, cwd=folder / name, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_an_encrypted_study_survives_kills_and_can_be_audited(tmp_path: Path) -> None:
    folder = tmp_path / "d"
    demo._write_tables(folder)
    demo._write_settings(folder, demo._free_port(), "ckks", "psi", "fast")
    labs = {name: watched(folder, name) for name in demo.PARTIES[1:]}
    sponsor = cli(folder / "hospital", "train", "hospital.toml")
    wait_for(sponsor, "round 2/10")
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
    assert summary["gal"] > 0.9 and summary["rows"]["aligned"] == 455
    assert (folder / "hospital/run/ckks.key").stat().st_mode & 0o777 == 0o600
    assert (folder / "hospital/run/report.html").exists()
    result = reconcile([folder / name / "run" / "ledger.jsonl" for name in demo.PARTIES])
    assert result.certificates >= 1 and not result.tail
