"""Public tables: the UCI sets of the paper, dealt out by columns, and sets that are split vertically already."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from sklearn.datasets import load_breast_cancer, load_diabetes, load_iris, load_wine, make_blobs

from benchmarks.paper.data.split import Asked, Split, deal, eighty_twenty, stored
from secure_gal.data.encode_table import TableEncoder

VERTICAL = ("breast", "default_credit", "give_credit", "adult", "bank")
BLOB = {"n_samples": 100, "n_features": 10, "centers": 10, "random_state": 0}
"""As in the paper's code."""
SHIPPED: dict[str, Any] = {
    "Diabetes": load_diabetes,
    "Wine": load_wine,
    "BreastCancer": load_breast_cancer,
    "Iris": load_iris,
}
"""Sets that come with scikit-learn."""


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


def uci(name: str, folder: Path) -> tuple[np.ndarray, np.ndarray]:
    """x (N, p) and y (N,)."""
    if name == "Blob":
        x, y = make_blobs(**BLOB)
        return x, y
    if name in ("QSAR", "BostonHousing"):
        path, header = ("uci/biodeg_clean.csv", True) if name == "QSAR" else ("uci/boston_housing.csv", False)
        frame = pl.read_csv(folder / path, has_header=header, infer_schema_length=None)
        return frame[:, :-1].to_numpy().astype(np.float64), frame[:, -1].to_numpy()
    x, y = SHIPPED[name](return_X_y=True)
    return x, y


def dealt(name: str, folder: Path, asked: Asked, *, theirs: bool = False) -> Split:
    """A UCI set, its columns standardised on the training rows and dealt out to the parties.

    With `theirs` the rows are split as the paper's code stores them, whatever the seed.
    """
    x, y = uci(name, folder)
    test, train = stored(len(y)) if theirs else eighty_twenty(len(y), asked.seed)
    mean, scale = x[train].mean(axis=0), x[train].std(axis=0)
    z = (x - mean) / np.where(scale > 0, scale, 1.0)
    train, test = train[: asked.rows or None], test[: asked.test_rows or None]
    columns = deal(x.shape[1], asked.parties, asked.seed, asked.even)
    return Split(
        [z[train][:, c] for c in columns], z[train], y[train], [z[test][:, c] for c in columns], z[test], y[test]
    )


def houses(name: str, folder: Path, asked: Asked) -> Split:
    """A set that two houses hold, each with its own encoder."""
    frames, y = vertical(name, folder)
    test, train = eighty_twenty(len(y), asked.seed)
    train, test = train[: asked.rows or None], test[: asked.test_rows or None]
    encoders = [TableEncoder.fit(frame[train.tolist()]) for frame in frames]
    blocks, tests = (
        [np.asarray(e.transform(f[rows.tolist()])[0]) for e, f in zip(encoders, frames, strict=True)]
        for rows in (train, test)
    )
    return Split(blocks, np.hstack(blocks), y[train], tests, np.hstack(tests), y[test])
