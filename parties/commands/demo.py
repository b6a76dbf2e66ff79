"""`secure-gal demo`: a hospital and two laboratories in three processes on this machine, over CURVE on loopback.

Each party has its own folder; only cards and study.toml are copied between them, as between real machines.
"""

from __future__ import annotations

import csv
import random
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypedDict

import numpy as np
import numpy.typing as npt

from parties.commands.consent import LEAST_DIGITS
from parties.commands.setup import keygen, trust_card
from parties.report.foretold import WORDS, shown
from parties.report.summary import Foretold, read
from parties.run.session import open_session
from secure_gal.errors import EnvironmentFailure, SettingsError

PARTIES = ("hospital", "lab-a", "lab-b")
COLUMNS = {"hospital": slice(0, 4), "lab-a": slice(4, 17), "lab-b": slice(17, 30)}
HELD_OUT = 0.2
FORETOLD = (WORDS["bytes"], WORDS["from_ready"])
"""What the demo tells of a forecast; the report has all."""
PORTS = range(20_000, 32_000)


def run(folder: Path, clear: bool = False) -> int:
    """Write everything, start the processes, print the table; returns the exit code.

    Ids private and residuals encrypted unless `clear`; then the same study in the clear runs too, in a folder of its
    own, for comparison.
    """
    if folder.exists() and any(folder.iterdir()):
        raise SettingsError(str(folder), "is not empty; use another --dir, or remove it")
    data = _write_tables(folder)
    results = []
    if not clear:
        print("residuals encrypted (CKKS): three processes on this machine, connected by CURVE on loopback")
        results.append(_study(folder, "ckks", data, "psi"))
    beside = folder if clear else folder / "in-the-clear"
    if not clear:
        _write_tables(beside)
    print("the same in the clear, for comparison" if results else "three processes, residuals in the clear")
    results.append(_study(beside, "none", data, "clear"))
    _print_results(folder, data, results)
    return 0


class Data(TypedDict):
    """Features (N, 30) and labels (N,) of all patients, which of them train, and the places of those held out."""

    x: npt.NDArray[np.float64]
    y: npt.NDArray[np.int64]
    train: npt.NDArray[np.bool_]
    new: npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Result:
    """What one study of the demo gave: how residuals travelled, scores of the held-out rows, bytes and seconds.

    Attributes:
        foretold: what a forecast said of it, and what it came to; None where there was none.
    """

    residuals: str
    scores: npt.NDArray[np.float64]
    traffic: int
    seconds: float
    foretold: Foretold | None


def _study(folder: Path, residuals: str, data: Data, ids: str) -> Result:
    _write_settings(folder, _free_port(), residuals, ids)
    if residuals == "ckks":
        _finish(_start(folder / "hospital", "forecast", "hospital.toml"), "forecast")
    began = time.monotonic()
    labs = [_start(folder / lab, "assist", f"{lab}.toml", *_consent(folder / lab)) for lab in PARTIES[1:]]
    try:
        _finish(_start(folder / "hospital", "train", "hospital.toml"), "train", labs)
        seconds = time.monotonic() - began
        ask = ("predict", "hospital.toml", "--ids", "new.csv", "--out", "predictions.csv")
        _finish(_start(folder / "hospital", *ask), "predict", labs)
    finally:
        for lab in labs:
            lab.terminate()
        for lab in labs:
            lab.wait(timeout=20)
    summary = read((folder / "hospital" / "run" / "summary.json").read_text(encoding="utf-8"))
    with (folder / "hospital" / "predictions.csv").open(encoding="utf-8") as file:
        rows = {int(row["patient"]): float(row["p_1"]) for row in csv.DictReader(file)}
    traffic = sum(sum(kinds.values()) for way in summary["bytes"].values() for kinds in way.values())
    return Result(residuals, np.array([rows[i] for i in data["new"]]), traffic, seconds, summary.get("forecast"))


def _write_tables(folder: Path) -> Data:
    from sklearn.datasets import load_breast_cancer

    x, y = load_breast_cancer(return_X_y=True)
    names = [str(n).replace(" ", "_") for n in load_breast_cancer().feature_names]
    order = np.random.default_rng(0).permutation(len(y))
    held = set(order[: round(HELD_OUT * len(y))].tolist())
    for party in PARTIES:
        home = folder / party
        home.mkdir(parents=True)
        columns = names[COLUMNS[party]]
        everything = [i for i in range(len(y)) if party != "hospital" or i not in held]
        _table(home / f"{party}.csv", columns, x[:, COLUMNS[party]], everything, y if party == "hospital" else None)
    new = sorted(held)
    _table(folder / "hospital" / "new.csv", names[COLUMNS["hospital"]], x[:, COLUMNS["hospital"]], new, None)
    return {"x": x, "y": y, "train": np.array([i not in held for i in range(len(y))]), "new": np.array(new)}


def _table(path: Path, columns: list[str], x: npt.NDArray[Any], rows: list[int], y: npt.NDArray[Any] | None) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["patient", *columns, *(["benign"] if y is not None else [])])
        for i in rows:
            writer.writerow([f"{i:04d}", *x[i].tolist(), *([int(y[i])] if y is not None else [])])


def _write_settings(
    folder: Path, port: int, residuals: str = "none", ids: str = "clear", parameters: str = "standard"
) -> None:
    study = (
        f'name = "demo"\ntask = "classification"\nsponsor = "hospital"\naddress = "tcp://127.0.0.1:{port}"\n'
        f'assistors = ["lab-a", "lab-b"]\n[protect]\nids = "{ids}"\nresiduals = "{residuals}"\n'
        f'parameters = "{parameters}"\n'
    )
    for party in PARTIES:
        home = folder / party
        (home / "study.toml").write_text(study, encoding="utf-8")
        sponsor = f'bind = "tcp://127.0.0.1:{port}"\n' if party == "hospital" else ""
        label = 'label = "benign"\n' if party == "hospital" else ""
        (home / f"{party}.toml").write_text(
            f'study = "study.toml"\nparty = "{party}"\nhome = "keys"\nrun_dir = "run"\n{sponsor}\n'
            f'[data]\npath = "{party}.csv"\nid = "patient"\n{label}\n[learner]\nkind = "linear"\n',
            encoding="utf-8",
        )
        keygen(party, home / "keys")
    for party in PARTIES:
        for other in PARTIES:
            if other != party:  # on real machines: compare fingerprints over the telephone first
                trust_card(folder / other / "keys" / f"{other}.card", folder / party / "keys", False, lambda _: True)


def _free_port() -> int:
    """A port that nobody uses, below those that the kernel gives to whoever dials out before it is opened."""
    for port in random.SystemRandom().sample(PORTS, 100):
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise EnvironmentFailure(f"no port from {PORTS.start} to {PORTS.stop} of 127.0.0.1 is free")


def _consent(folder: Path) -> tuple[str, str]:
    """What consents to the study of the party in this folder; between machines a person reads `secure-gal check`
    first."""
    return "--consent", open_session(folder / f"{folder.name}.toml").digest[:LEAST_DIGITS]


def _start(folder: Path, *arguments: str) -> subprocess.Popen[str]:
    log = (folder / f"{arguments[0]}.log").open("w", encoding="utf-8")
    with log:
        return subprocess.Popen(
            [sys.executable, "-m", "parties.cli", *arguments], cwd=folder, stderr=log, stdout=log, text=True
        )


def _finish(
    process: subprocess.Popen[str], what: str, others: Sequence[subprocess.Popen[str]] = (), seconds: float = 300.0
) -> None:
    """Wait for a party's command, but not for one whose counterpart has died."""
    deadline = time.monotonic() + seconds
    code = None
    while code is None:
        try:
            code = process.wait(timeout=0.2)
        except subprocess.TimeoutExpired:
            dead = any(other.poll() for other in others)
            if dead or time.monotonic() > deadline:
                process.kill()
                why = (
                    "an assistor ended with an error; see its assist.log" if dead else f"not finished in {seconds:g} s"
                )
                raise EnvironmentFailure(f"{what}: {why}") from None
    if code != 0:
        raise EnvironmentFailure(f"{what} ended with exit code {code}; see {what}.log in the sponsor's folder")


def _print_results(folder: Path, data: Data, results: list[Result]) -> None:
    from rich.console import Console
    from rich.table import Table

    truth = data["y"][data["new"]]
    table = Table(title=f"{len(truth)} held-out patients")
    for column in ("", "labels at the laboratories", "accuracy", "AUC", "bytes", "seconds"):
        table.add_column(column, justify="right" if column in ("accuracy", "AUC", "bytes", "seconds") else "left")

    def row(name: str, hidden: str, scores: npt.NDArray[np.float64], *price: str) -> None:
        table.add_row(name, hidden, f"{np.mean((scores > 0.5) == truth):.3f}", f"{_auc(truth, scores):.4f}", *price)

    row("sponsor alone", "not sent", _reference(data, COLUMNS["hospital"]), "0", "")
    for result in results:
        encrypted = result.residuals == "ckks"
        name = "GAL, residuals encrypted" if encrypted else "GAL, residuals in the clear"
        hidden = "hidden (CKKS standard)" if encrypted else "readable"
        row(name, hidden, result.scores, f"{result.traffic:,}", f"{result.seconds:.1f}")
    row("all data pooled (Joint)", "everyone's", _reference(data, slice(0, 30)), "", "")
    console = Console()
    console.print(table)
    for result in results:
        for what, foretold, actual, _ in shown(result.foretold):
            if what in FORETOLD:
                console.print(f"foretold of the encrypted study: {what} {foretold}; actual {actual}", highlight=False)
    console.print(
        "In both GAL studies the channels are encrypted and the hospital sees each laboratory's fitted values."
    )
    console.print(
        f"The files are in {folder}. By hand, between machines, each in its own folder:\n"
        "  every party   secure-gal keygen NAME --home keys, then secure-gal trust OTHER.card --home keys\n"
        f"  laboratories  cd {folder / 'lab-a'} && secure-gal assist lab-a.toml "
        f"{' '.join(_consent(folder / 'lab-a'))}\n"
        f"  hospital      cd {folder / 'hospital'} && secure-gal train hospital.toml\n"
        "  hospital      secure-gal predict hospital.toml --ids new.csv --out predictions.csv",
        highlight=False,
    )


def _reference(data: Data, columns: slice) -> npt.NDArray[np.float64]:
    """Probabilities of held-out rows by one-party GAL on these columns, with the same settings."""
    from secure_gal import GAL

    x, train = data["x"][:, columns], data["train"]
    mean, scale = x[train].mean(axis=0), x[train].std(axis=0)
    standardised = (x - mean) / scale
    model = GAL(task="classification").fit([standardised[train]], data["y"][train])
    return np.asarray(model.predict_proba([standardised[data["new"]]])[:, 1])


def _auc(truth: npt.NDArray[Any], scores: npt.NDArray[np.float64]) -> float:
    from secure_gal.gal.losses import metric

    return metric("classification", truth, scores[:, None])
