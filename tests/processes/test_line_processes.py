"""Real processes over a slow line: an abort in the middle of a message, as libzmq's I/O thread can bring one about."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path

import numpy as np
import pytest

from benchmarks import harness
from benchmarks.line import Line
from parties.commands import demo
from parties.run.store import RunStore
from secure_gal import GAL
from secure_gal.data.table import read_table
from secure_gal.settings.party import DataSettings
from tests.support.commands import without_own_model
from tests.support.forecasts import as_csv

pytestmark = pytest.mark.processes

ROWS = 20_000
NAMES = ("p0", "p1")


def reference(folder: Path) -> np.ndarray:
    tables = {name: read_table(DataSettings(next((folder / name).glob("data.*")), "id", "y")) for name in NAMES}
    gal = GAL(parties=NAMES, rounds=2, validation=0.2)
    return np.asarray(gal.fit([table.frame for table in tables.values()], tables["p0"].labels).F_)


def abort(process: subprocess.Popen[str]) -> None:
    os.kill(process.pid, signal.SIGABRT)
    assert process.wait(timeout=30) == -signal.SIGABRT


def test_an_abort_in_mid_transfer_costs_a_restart_and_nothing_else(tmp_path: Path) -> None:
    case = harness.synthetic(tmp_path, ROWS, 2, parties=2)
    as_csv(tmp_path)
    harness.write_settings(tmp_path, case, study='rounds = 2\n[protect]\nids = "clear"')
    without_own_model(tmp_path / "p0" / "p0.toml")
    port = int((tmp_path / "p0" / "p0.toml").read_text().partition("127.0.0.1:")[2].partition('"')[0])
    with Line(("127.0.0.1", port), rate=200_000.0, delay=0.01) as line:
        settings = tmp_path / "p1" / "p1.toml"
        settings.write_text(f'address = "tcp://127.0.0.1:{line.port}"\n{settings.read_text()}')
        consent = demo._consent(tmp_path / "p1")
        commands = {"p0": ("train", "p0.toml"), "p1": ("assist", "p1.toml", "--once", *consent)}
        running = {name: demo._start(tmp_path / name, *command) for name, command in commands.items()}
        for way, carried, victim in (("up", 60_000, "p1"), ("down", 130_000, "p0")):  # in ids; in the first residual
            assert line.wait(way, carried)
            abort(running[victim])
            running[victim] = demo._start(tmp_path / victim, *commands[victim])
        assert [process.wait(timeout=120) for process in running.values()] == [0, 0]
    store = RunStore(tmp_path / "p0" / "run")
    outputs = np.asarray(store.state()["ensemble/F"])
    store.close()
    assert np.array_equal(outputs, reference(tmp_path))
