"""Loaders of the public sets that `encrypted_accuracy` measures on; nothing is downloaded."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from sklearn.datasets import load_breast_cancer, load_diabetes, load_wine, make_blobs

VERTICAL = ("breast", "default_credit", "give_credit", "adult", "bank")
REGRESSION = ("Diabetes", "BostonHousing")
BLOB = {"n_samples": 100, "n_features": 10, "centers": 10, "random_state": 1}
TEST_SHARE = 0.2


def split(rows: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """(test rows, training rows) of a seeded 80/20 split."""
    order = np.random.default_rng(seed).permutation(rows)
    count = round(TEST_SHARE * rows)
    return order[:count], order[count:]


def vertical(name: str, folder: Path) -> tuple[list[pl.DataFrame], np.ndarray]:
    """The sponsor's and the assistor's frames without ids, and labels 0/1 (N,)."""
    if name == "bank":
        raw = gzip.decompress((folder / "tabular/bank-full.csv.gz").read_bytes())
        return _halves(pl.read_csv(raw, infer_schema_length=None), "y", "yes")
    if name == "adult":
        return _adult(folder / "tabular")
    ending = ".RECONSTRUCTED.csv.gz" if name == "give_credit" else ".csv"
    guest, host = (pl.read_csv(folder / f"fate/{name}_hetero_{party}{ending}") for party in ("guest", "host"))
    if not guest["id"].equals(host["id"]):
        raise ValueError(f"{name}: guest and host list different ids")
    return [guest.drop("id", "y"), host.drop("id")], guest["y"].to_numpy()


def _adult(folder: Path) -> tuple[list[pl.DataFrame], np.ndarray]:
    text = gzip.decompress((folder / "adult-train.csv.gz").read_bytes()).decode()
    text += "\n" + (folder / "adult-test.csv").read_text()
    rows = (",".join(cell.strip() for cell in line.split(",")) for line in text.splitlines() if line.count(",") == 14)
    table = "\n".join(row.removesuffix(".") for row in rows).encode()
    frame = pl.read_csv(table, has_header=False, null_values=["?"], infer_schema_length=None)
    return _halves(frame, frame.columns[-1], ">50K")


def _halves(frame: pl.DataFrame, label: str, positive: str) -> tuple[list[pl.DataFrame], np.ndarray]:
    """The sponsor has the first half of the columns."""
    y = (frame[label] == positive).to_numpy().astype(np.int64)
    columns = [name for name in frame.columns if name != label]
    half = len(columns) // 2
    return [frame.select(columns[:half]), frame.select(columns[half:])], y


def uci(name: str, folder: Path) -> tuple[np.ndarray, np.ndarray, str]:
    """x (N, p), y (N,) and the task."""
    if name == "Blob":
        return *make_blobs(**BLOB), "classification"
    if name in ("QSAR", "BostonHousing"):
        path, header = ("uci/biodeg_clean.csv", True) if name == "QSAR" else ("uci/boston_housing.csv", False)
        frame = pl.read_csv(folder / path, has_header=header, infer_schema_length=None)
        x, y = frame[:, :-1].to_numpy().astype(np.float64), frame[:, -1].to_numpy()
        return x, y, "classification" if name == "QSAR" else "regression"
    loaders: dict[str, Any] = {"Diabetes": load_diabetes, "Wine": load_wine, "BreastCancer": load_breast_cancer}
    x, y = loaders[name](return_X_y=True)
    return x, y, "regression" if name in REGRESSION else "classification"
