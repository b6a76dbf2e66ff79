"""A case of the paper's experiments with ciphertexts goes on where it was killed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.paper import methods, results, run, running
from benchmarks.paper.case import Case
from benchmarks.paper.data.sources import SOURCES
from tests.support.commands import until

pytestmark = pytest.mark.processes
SETTINGS: dict[str, Any] = {"group": "g", "row": "GAL", "data": "Iris", "method": "gal", "learner": "auto"}
SETTINGS |= {"mode": "ckks", "parties": 2, "rounds": 3, "seeds": 1, "local_loss": "l2"}
CASE = Case(**SETTINGS)
RUN = (
    "import json, pathlib, sys; from benchmarks.paper import run; from benchmarks.paper.case import Case\n"
    "run.run([Case(**json.loads(sys.argv[1]))], pathlib.Path(), pathlib.Path(sys.argv[2]), False)"
)


def killed_after(round_: int, out: Path) -> None:
    """Run the case, and kill all its processes at once when this round is over."""
    command = [sys.executable, "-c", RUN, json.dumps(SETTINGS), str(out)]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, start_new_session=True)
    until(process, f"round {round_}/{CASE.rounds}")
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()


def residuals(sponsor: Path) -> list[tuple[int, str]]:
    """Round and recipient of every residual that was sent, by the sponsor's ledger."""
    lines = [json.loads(line) for line in (sponsor / "run/ledger.jsonl").read_text().splitlines()]
    sent = [line["header"] for line in lines if line["entry"] == "message"]
    return [(one["round"], one["recipient"]) for one in sent if one["kind"] == "encrypted-residual"]


def key_files(folder: Path) -> dict[Path, bytes]:
    """Keys of all parties, and the sponsor's of its ciphertexts."""
    return {path: path.read_bytes() for path in folder.glob("*/keys/*.key")}


def test_a_killed_case_with_ciphertexts_goes_on_where_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    killed_after(1, tmp_path)
    folder = running.place(tmp_path, CASE, 0, False)
    assert [one.seed for one in run.due([CASE], tmp_path, False)] == [0]
    keys, spent = key_files(folder), json.loads((folder / "spent.json").read_text())
    tables = {path: path.stat().st_mtime_ns for path in folder.glob("*/*.parquet")}
    assert len(keys) == 3 and len(tables) == 3
    seen: list[tuple[Any, ...]] = []

    def added(path: Path, record: results.Record, add: Any = results.add) -> None:
        now = {path: path.stat().st_mtime_ns for path in folder.glob("*/*.parquet")}
        seen.append((residuals(folder / "party-0"), key_files(folder), now))
        add(path, record)

    monkeypatch.setattr(results, "add", added)
    assert run.run([CASE], Path(), tmp_path, False) == 0
    assert seen == [([(t, "party-1") for t in (1, 2, 3)], keys, tables)]
    assert [path.name for path in tmp_path.iterdir()] == ["g.jsonl"], "nothing is left of the run"
    (record,) = results.read(tmp_path)
    assert run.due([CASE], tmp_path, False) == []
    assert record["cpu_seconds"] > spent["cpu"] > 0 and record["seconds"] > spent["wall"] > 0
    split = SOURCES[CASE.data].load(Path(), CASE.asked(0))
    estimated = methods.play(CASE, split, 0)  # by the estimator, undisturbed
    for name in ("trail", "train_loss", "eta"):
        assert record[name] == pytest.approx(getattr(estimated, name), rel=1e-2), (
            name
        )  # which rows are kept back is drawn anew
    assert np.allclose(record["weights"], estimated.weights, atol=1e-2) and record["kept"] == estimated.kept
    monkeypatch.undo()
    assert run.run([Case(**SETTINGS | {"mode": "product"})], Path(), tmp_path, False) == 0
    assert {tuple(one) for one in results.read(tmp_path)} == {tuple(record)}, "one form of lines"
