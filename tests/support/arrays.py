"""Files of images and series to read, and parties that learn from them."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from secure_gal.data.table import Table, read_table
from secure_gal.holdings.assistor import AssistorData
from secure_gal.settings.party import DataSettings, LearnerSettings, PartySettings
from secure_gal.settings.study import Protect, Study

N = 60
IDS = np.array([f"p{i:02d}" for i in range(N)])


def images(rows: int = N, seed: int = 0) -> np.ndarray:
    """uint8 (rows, 1, 6, 4): the upper half is bright in odd rows."""
    x = np.random.default_rng(seed).integers(0, 80, (rows, 1, 6, 4))
    x[1::2, :, :3] += 120
    return x.astype(np.uint8)


def series(rows: int = N) -> np.ndarray:
    """float32 (rows, 5, 2): column 1 has gaps, row 0 ends after two steps."""
    x = np.random.default_rng(1).normal(3.0, 2.0, (rows, 5, 2)).astype(np.float32)
    x[:, 1, 1] = np.nan
    x[0, 2:] = np.nan
    return x


def write(path: Path, **arrays: object) -> Path:
    """An .npz of `IDS` and `images()`, or of what is named instead."""
    np.savez(path, **({"id": IDS, "x": images()} | arrays))  # type: ignore[arg-type]
    return path


def read(path: Path, label: str | None = None) -> Table:
    """The table of a file with ids in `id`."""
    return read_table(DataSettings(path, "id", label))


SMALL_CNN = LearnerSettings(kind="cnn", device="cpu", options={"blocks": 1, "width": 4, "epochs": 2})
STUDY = Study("s", "classification", "hospital", "tcp://x:1", ("lab",), rounds=2, protect=Protect(ids="clear"))


def party(folder: Path, name: str, path: Path, learner: LearnerSettings) -> PartySettings:
    """The settings of one party; the hospital has the labels `y`."""
    run_dir = folder / name
    run_dir.mkdir(exist_ok=True)
    label = "y" if name == "hospital" else None
    return PartySettings(folder / "study.toml", name, folder, run_dir, DataSettings(path, "id", label), learner=learner)


def assistor(folder: Path, learner: LearnerSettings = SMALL_CNN, **arrays: object) -> AssistorData:
    """The lab over a file that is written for it."""
    path = write(folder / "lab.npz", **arrays)
    return AssistorData(party(folder, "lab", path, learner), STUDY, folder, lambda text: None)
