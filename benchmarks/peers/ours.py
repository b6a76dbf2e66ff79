"""Whole studies by the product's own processes: train, then predict the test rows."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from benchmarks import harness, psi
from benchmarks.overhead import MODES
from benchmarks.peers.relay import Relay
from benchmarks.peers.sets import PARTIES, Rows

ROOT = Path(__file__).resolve().parent.parent.parent


def study(mode: str, features: str, rows: Rows, folder: Path) -> dict[str, Any]:
    """One study of two parties with linear models and ten rounds; row ids are compared in the clear, as the others do.

    Args:
        mode: a key of `overhead.MODES`. features: as a party file names them.
    """
    for party in PARTIES:
        (folder / party).mkdir()
    rows.train["guest"].write_csv(folder / "guest" / "data.csv")
    rows.test["guest"].drop("y").write_csv(folder / "guest" / "new.csv")
    pl.concat([rows.train["host"], rows.test["host"]]).write_csv(folder / "host" / "data.csv")
    truth = dict(rows.test["guest"].select(pl.col("id").cast(pl.String), "y").iter_rows())
    case = harness.Case(list(PARTIES), "id", "y", validation=0.0, truth=truth)
    learner = f'kind = "linear"\nfeatures = {features}'
    harness.write_settings(folder, case, study=MODES[mode], learner=learner)
    port = int((folder / "guest" / "study.toml").read_text().partition("tcp://127.0.0.1:")[2].partition('"')[0])
    with Relay(port) as relay:
        settings = folder / "host" / "host.toml"
        settings.write_text(f'address = "tcp://127.0.0.1:{relay.port}"\n{settings.read_text()}')
        measured = harness.run(folder, case)
    predicted = pl.read_csv(folder / "guest" / "out.csv")
    if not predicted["id"].equals(rows.test["guest"]["id"]):
        raise RuntimeError("out.csv is not in the order of new.csv")
    return {
        "bytes": relay.carried,
        "auc": rows.auc(np.asarray(predicted["p_1"])),
        "rounds": measured["rounds"],
        "bytes_of_messages": measured["bytes"],
    }


def align(ids: int) -> dict[str, Any]:
    """Our private alignment, one core a party."""
    measured = psi.measure("ours", (ids, ids), cores=1)
    return {"bytes": measured["bytes"], "common": ids // 2, "after_start": measured["cpu_seconds"]}


def column(rows: int) -> dict[str, Any]:
    """A residual column by ciphertexts, in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.peers.programs.ckks_column", str(rows)]
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True)
    found: dict[str, Any] = json.loads(done.stdout)
    return found
