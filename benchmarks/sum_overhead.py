"""What sum-only predictions cost: `python -m benchmarks.overhead --predictions sum [--data DIR]`.

Every case runs in four modes by real processes, ten rounds each: in the clear, with individual encrypted predictions
(`strict`), and with sums only, under encrypted and under clear residuals. Traffic counts both hops of what is relayed.
F of sums is held against clear GAL under the same weight constraint, computed here from the same tables and rows. M = 4
at N = 30,000, K = 1 and at N = 10,000, K = 10 are the cases that the limits of 3.5x in time and 2.5x in traffic are set
for.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from rich.console import Console
from rich.table import Table
from sklearn.datasets import load_digits

from benchmarks import harness
from parties.commands import demo
from parties.run.store import RunStore
from secure_gal.holdings.assistor import AssistorData
from secure_gal.holdings.sponsor import SponsorData
from secure_gal.protection.sums.weights import commit_in_the_clear
from secure_gal.settings.load import load_party

INDIVIDUAL = '[protect]\nids = "clear"\nresiduals = "ckks"\nparameters = "strict"'
SUM = '[protect]\nids = "clear"\nresiduals = "ckks"\npredictions = "sum"'
PUBLIC = '[protect]\nids = "clear"\nresiduals = "none"\npredictions = "sum"'
ROUNDS = 10
"""Every study runs all of them (patience = rounds), so that ratios are of the same work."""
MODES = {"clear": '[protect]\nids = "clear"', "individual": INDIVIDUAL, "sum": SUM, "sum, clear residuals": PUBLIC}
Make = Callable[[Path], harness.Case]


def run(chosen: argparse.Namespace) -> None:
    """Run the cases, print one JSON object a study and a table, write JSON where `--out` says."""
    results = []
    for name, make in cases(chosen.data, chosen.quick):
        for mode, protect in MODES.items():
            results.append(measure(name, make, mode, protect))
            Console().print(json.dumps(results[-1]), highlight=False, soft_wrap=True)
    show(results)
    if chosen.out:
        chosen.out.write_text(json.dumps({"machine": harness.machine(), "results": results}, indent=2) + "\n")


def cases(data: Path | None, quick: bool) -> list[tuple[str, Make]]:
    """(name, how to write its folders)."""
    found: list[tuple[str, Make]] = [("breast, M=3", lambda f: harness.breast(f, 3, 0))]
    if not quick:
        found.append(("digits, M=4, K=10", _digits))
        if data:
            found.append(("default_credit, M=3", lambda f: _default_credit(f, data)))
        found.append(("N=10,000 M=4 K=10", lambda f: harness.synthetic(f, 10_000, 32, 4, classes=10)))
    return [*found, ("N=30,000 M=4 K=1", lambda f: harness.synthetic(f, 30_000, 32, 4))]


def _digits(folder: Path) -> harness.Case:
    """80/20 split; the 8 x 8 images cut into four tiles of 16 pixels."""
    x, y = load_digits(return_X_y=True)
    tiles = np.arange(64).reshape(2, 4, 2, 4).transpose(0, 2, 1, 3).reshape(4, 16)
    order = np.random.default_rng(0).permutation(len(y))
    test, train = order[: round(0.2 * len(y))].tolist(), order[round(0.2 * len(y)) :].tolist()
    names = [f"p{m}" for m in range(4)]
    for m, name in enumerate(names):
        (folder / name).mkdir(parents=True)
        titles, block = [f"c{j}" for j in tiles[m]], x[:, tiles[m]]
        rows = train if m == 0 else list(range(len(y)))
        demo._table(folder / name / "data.csv", titles, block, rows, y if m == 0 else None)
        if m == 0:
            demo._table(folder / name / "new.csv", titles, block, test, None)
    return harness.Case(names, "patient", "benign", validation=0.0, truth={f"{i:04d}": int(y[i]) for i in test})


def _default_credit(folder: Path, data: Path) -> harness.Case:
    """FATE's guest is the sponsor; the host's columns are dealt out to two assistors."""
    harness.default_credit(folder, data)
    host = pl.read_csv(folder / "host" / "data.csv", infer_schema_length=None)
    columns = [c for c in host.columns if c not in ("id", "y")]
    for name, mine in (("host", columns[::2]), ("other", columns[1::2])):
        (folder / name).mkdir(exist_ok=True)
        host.select(["id", *mine]).write_csv(folder / name / "data.csv")
    return harness.Case(["guest", "host", "other"], "id", "y")


def measure(name: str, make: Make, mode: str, protect: str) -> dict[str, Any]:
    """One study in one mode."""
    with tempfile.TemporaryDirectory() as text:
        folder = Path(text)
        case = make(folder)
        rounds = f"rounds = {ROUNDS}\npatience = {ROUNDS}\n"
        harness.write_settings(folder, case, study=rounds + protect, learner='kind = "linear"')
        measured = harness.run(folder, case)
        if "sum" in mode:
            found, due = stored(folder / case.names[0], "ensemble/F"), clear_f(folder, case)
            measured["f_error"] = float(np.abs(found - due).max() / np.abs(due).max())
    return {"case": name, "mode": mode, **measured}


def stored(home: Path, key: str) -> np.ndarray[Any, np.dtype[Any]]:
    """One array of a party's run directory."""
    store = RunStore(home / "run")
    value = np.asarray(store.state()[key])
    store.close()
    return value


def clear_f(folder: Path, case: harness.Case) -> np.ndarray[Any, np.dtype[Any]]:
    """F of clear GAL on the same rows, with weights under the constraint of sum-only predictions."""
    sponsor = folder / case.names[0]
    train = stored(sponsor, "train").astype(bool)
    models: dict[str, Any] = {}
    for name in case.names:
        party, study = load_party(folder / name / f"{name}.toml")
        kind = SponsorData if name == case.names[0] else AssistorData
        models[name] = kind(party, study, folder / name, lambda text: None)
        rows = stored(sponsor, "rows") if name == case.names[0] else stored(folder / name, "positions")
        models[name].prepare(rows, train)
    ensemble = models[case.names[0]].ensemble(tuple(case.names))
    while not ensemble.finished:
        residual, round_ = ensemble.residual(), len(ensemble.history) + 1
        fitted = {name: model.fit_round(round_, residual)[1] for name, model in models.items()}
        commit_in_the_clear(ensemble, fitted, train, tuple(case.names[1:]))
    return np.asarray(ensemble.F)


def show(results: list[dict[str, Any]]) -> None:
    """One line a study; ratios are to individual encrypted predictions."""
    table = Table(title="sums only against individual encrypted predictions")
    for column in ("case", "mode", "rounds", "metric", "F error", "s from ready", "x", "MB", "x", "peak MB a party"):
        table.add_column(column, justify="left" if column in ("case", "mode") else "right")
    base = {r["case"]: r for r in results if r["mode"] == "individual"}
    for r in results:
        metric = r["test_accuracy"] or next(v["gal"] for k, v in r.items() if k in ("auc", "accuracy", "mad"))
        seconds, other = r["seconds"]["from_ready"], base.get(r["case"])
        table.add_row(
            r["case"],
            r["mode"],
            str(r["rounds"]),
            f"{metric:.4f}",
            f"{r['f_error']:.1e}" if "f_error" in r else "",
            f"{seconds:.2f}",
            f"{seconds / other['seconds']['from_ready']:.2f}" if other else "",
            f"{r['bytes'] / 1e6:.1f}",
            f"{r['bytes'] / other['bytes']:.2f}" if other else "",
            ", ".join(str(v) for v in r["peak_memory_mb"].values()),
        )
    Console(width=150).print(table)
