"""Party folders, keys and processes for benchmarks of whole studies on one machine."""

from __future__ import annotations

import contextlib
import csv
import json
import os
import platform
import subprocess
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from sklearn.datasets import load_breast_cancer

from parties.commands import demo, setup
from parties.run.session import open_session
from secure_gal.settings.limits import LARGEST, OWN_SUMS, SUMS, limits_of

SAMPLE_SECONDS = 0.05


@dataclass(frozen=True)
class Case:
    """A study's folders are written: party names (sponsor first), column names, and the truth of held-out rows."""

    names: list[str]
    id: str
    label: str
    task: str = "classification"
    validation: float = 0.2
    truth: dict[str, Any] = field(default_factory=dict)
    outputs: int = 1


def breast(folder: Path, parties: int, seed: int) -> Case:
    """80/20 split, columns dealt out evenly at random; the sponsor's new.csv holds the test rows."""
    x, y = load_breast_cancer(return_X_y=True)
    rng = np.random.default_rng(seed)
    columns = np.array_split(rng.permutation(x.shape[1]), parties)
    order = rng.permutation(len(y))
    test, train = order[: round(0.2 * len(y))].tolist(), order[round(0.2 * len(y)) :].tolist()
    names = [f"p{m}" for m in range(parties)]
    for m, name in enumerate(names):
        (folder / name).mkdir(parents=True)
        titles, block = [f"c{j}" for j in columns[m]], x[:, columns[m]]
        rows = train if m == 0 else list(range(len(y)))
        demo._table(folder / name / "data.csv", titles, block, rows, y if m == 0 else None)
        if m == 0:
            demo._table(folder / name / "new.csv", titles, block, test, None)
    return Case(names, "patient", "benign", validation=0.0, truth={f"{i:04d}": int(y[i]) for i in test})


def default_credit(folder: Path, data: Path) -> Case:
    """FATE's split: the guest is the sponsor, the host the assistor; judged on the validation rows."""
    for name in ("guest", "host"):
        (folder / name).mkdir(parents=True)
        table = (data / "fate" / f"default_credit_hetero_{name}.csv").read_bytes()
        (folder / name / "data.csv").write_bytes(table)
    return Case(["guest", "host"], "id", "y")


def synthetic(folder: Path, rows: int, features: int, parties: int, classes: int = 2, seed: int = 0) -> Case:
    """Gaussian features, `features` a party, and a label from a noisy linear score over all of them."""
    rng = np.random.default_rng(seed)
    names = [f"p{m}" for m in range(parties)]
    scores = rng.gumbel(size=(rows, classes))
    for m, name in enumerate(names):
        (folder / name).mkdir(parents=True)
        x = rng.standard_normal((rows, features), dtype=np.float32)
        scores += x @ rng.standard_normal((features, classes)) / np.sqrt(features)
        columns = {"id": np.arange(rows).astype(str)} | {f"c{j}": x[:, j] for j in range(features)}
        if m:
            pl.DataFrame(columns).write_parquet(folder / name / "data.parquet")
        else:
            first = columns
    pl.DataFrame(first | {"y": scores.argmax(axis=1)}).write_parquet(folder / names[0] / "data.parquet")
    return Case(names, "id", "y", outputs=classes if classes > 2 else 1)


def write_settings(
    folder: Path, case: Case, *, study: str = '[protect]\nids = "clear"', learner: str = 'kind = "linear"'
) -> None:
    """study.toml, party files, keys and pins of every party; `study` holds further lines of study.toml."""
    port = demo._free_port()
    for name in case.names:
        sponsor, home = name == case.names[0], folder / name
        table = next(home.glob("data.*")).name
        (home / "study.toml").write_text(
            f'name = "bench"\ntask = "{case.task}"\nsponsor = "{case.names[0]}"\naddress = "tcp://127.0.0.1:{port}"\n'
            f"assistors = {json.dumps(case.names[1:])}\nvalidation = {case.validation}\noutputs = {case.outputs}\n"
            f"{study}\n"
        )
        (home / f"{name}.toml").write_text(
            f'study = "study.toml"\nparty = "{name}"\nhome = "keys"\nrun_dir = "run"\n'
            + (f'bind = "tcp://127.0.0.1:{port}"\n' if sponsor else "")
            + f'[data]\npath = "{table}"\nid = "{case.id}"\n'
            + (f'label = "{case.label}"\n' if sponsor else "")
            + f"[learner]\n{learner}\n"
        )
    exchange_cards(folder, case.names)


def exchange_cards(folder: Path, names: Sequence[str]) -> None:
    """Keys of every party that has none, and everybody's card pinned by all others."""
    for name in names:
        if not (folder / name / "keys").exists():
            setup.keygen(name, folder / name / "keys")
    for one in names:
        for other in names:
            if one != other:
                setup.trust_card(folder / one / "keys" / f"{one}.card", folder / other / "keys", False, lambda _: True)


class PeakMemory:
    """Samples the resident memory of processes with all their descendants; `peaks` is in bytes by name."""

    def __init__(self) -> None:
        self.peaks: dict[str, int] = {}
        self._watched: dict[str, int] = {}
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._sample, daemon=True)
        self._thread.start()

    def watch(self, name: str, pid: int) -> None:
        """Follow this process under this name."""
        self._watched[name] = pid

    def close(self) -> None:
        """Stop sampling."""
        self._stop.set()
        self._thread.join()

    def _sample(self) -> None:
        while not self._stop.wait(SAMPLE_SECONDS):
            for name, pid in list(self._watched.items()):
                self.peaks[name] = max(self.peaks.get(name, 0), _tree_bytes(pid))


def _tree_bytes(pid: int) -> int:
    """Resident bytes of a process and its descendants; 0 once it is gone."""
    with contextlib.suppress(OSError, IndexError):
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        return pages * os.sysconf("SC_PAGE_SIZE") + sum(_tree_bytes(int(child)) for child in children)
    return 0


def _beyond(folder: Path) -> list[str]:
    """Benchmarks are about time: no limit of sums ends one."""
    limits = limits_of(open_session(folder / f"{folder.name}.toml").study, folder.name)
    return [word for name in (SUMS, OWN_SUMS) if name in limits for word in ("--beyond", f"{name}={LARGEST:g}")]


def run(folder: Path, case: Case) -> dict[str, Any]:
    """Start all processes, train, predict the held-out rows if there are any; returns what was measured."""
    memory, began = PeakMemory(), time.monotonic()
    labs = [folder / name for name in case.names[1:]]
    assistors = [demo._start(lab, "assist", f"{lab.name}.toml", *demo._consent(lab), *_beyond(lab)) for lab in labs]
    sponsor = folder / case.names[0]
    try:
        training = demo._start(sponsor, "train", f"{case.names[0]}.toml")
        for name, process in zip(case.names, [training, *assistors], strict=True):
            memory.watch(name, process.pid)
        demo._finish(training, "train", assistors, seconds=7200)
        wall = time.monotonic() - began
        accuracy = _predict(sponsor, case) if case.truth else None
    finally:
        _end(assistors)
        memory.close()
    summary = json.loads((sponsor / "run" / "summary.json").read_text())
    total = sum(sum(kinds.values()) for way in summary["bytes"].values() for kinds in way.values())
    return {
        "parties": len(case.names),
        "rows": summary["rows"],
        "rounds": summary["rounds"],
        "kept": summary["kept"],
        summary["metric"]: {"gal": summary["gal"], "alone": summary["alone"]},
        "test_accuracy": accuracy,
        "seconds": summary["seconds"] | {"with_start_up": round(wall, 2)},
        "bytes": total,
        "forecast": summary["forecast"],
        "bytes_by_kind": _by_kind(summary["bytes"]),
        "peak_memory_mb": {name: round(peak / 1e6) for name, peak in memory.peaks.items()},
    }


def _by_kind(counts: dict[str, dict[str, dict[str, int]]]) -> dict[str, int]:
    found: dict[str, int] = {}
    for peers in counts.values():
        for kinds in peers.values():
            for kind, size in kinds.items():
                found[kind] = found.get(kind, 0) + size
    return found


def _predict(sponsor: Path, case: Case) -> float:
    ask = ("predict", f"{case.names[0]}.toml", "--ids", "new.csv", "--out", "out.csv")
    demo._finish(demo._start(sponsor, *ask), "predict", seconds=3600)
    with (sponsor / "out.csv").open() as file:
        return float(np.mean([case.truth[row[case.id]] == int(row["prediction"]) for row in csv.DictReader(file)]))


def _end(processes: Sequence[subprocess.Popen[str]]) -> None:
    for process in processes:
        process.terminate()
    for process in processes:
        process.wait(timeout=30)


def machine() -> dict[str, Any]:
    """What a figure was measured on."""
    model = platform.processor() or platform.machine()
    with contextlib.suppress(OSError):
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        model = next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), model)
    return {"cpu": model, "cores": os.cpu_count(), "python": platform.python_version()}
