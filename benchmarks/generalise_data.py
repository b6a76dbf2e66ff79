"""Sets of `benchmarks.generalise`: scikit-learn's own, those of a folder, and synthetic ones; nothing is downloaded."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import polars as pl
from sklearn.datasets import load_breast_cancer, load_diabetes, load_wine, make_classification

from benchmarks.paper.data.split import TEST_SHARE as TEST_SHARE
from benchmarks.paper.data.tables import vertical
from secure_gal.data.encode_table import TableEncoder
from secure_gal.settings.study import Task

PARTIES = 2
MOST_ROWS = 5000
"""Rows that are drawn of a larger set, so that every mix can be measured."""
NEW_ROWS = 1000
"""Test rows of a synthetic study."""
OWN: dict[str, Any] = {"breast_cancer": load_breast_cancer, "wine": load_wine, "diabetes": load_diabetes}
FILES = {
    "biodeg": "uci/biodeg_clean.csv",
    "boston": "uci/boston_housing.csv",
    "sonar": "uci/sonar.csv",
    "german": "uci/german.csv",
    "default_credit": "tabular/uci_default_credit_card.csv",
    "adult": "tabular/adult-train.csv.gz",
    "bank": "tabular/bank-full.csv.gz",
}
SETS = (*OWN, *FILES)
REGRESSION = ("diabetes", "boston")


class Labelled(NamedTuple):
    """Columns without the label, labels (N,), and the task."""

    frame: pl.DataFrame
    y: np.ndarray
    task: Task


class Shape(NamedTuple):
    """Of a synthetic study: training rows, columns, K, and parties."""

    rows: int
    columns: int
    outputs: int
    parties: int


def there(name: str, folder: Path) -> bool:
    """Whether a set can be read."""
    return name in OWN or (folder / FILES[name]).exists()


def load(name: str, folder: Path, seed: int) -> Labelled:
    """A set, of a large one MOST_ROWS rows that the seed draws."""
    frame, y = _read(name, folder)
    if len(y) > MOST_ROWS:
        rows = np.random.default_rng(seed).permutation(len(y))[:MOST_ROWS]
        frame, y = frame[rows.tolist()], y[rows]
    return Labelled(frame, y, "regression" if name in REGRESSION else "classification")


def _read(name: str, folder: Path) -> tuple[pl.DataFrame, np.ndarray]:
    if name in OWN:
        x, y = OWN[name](return_X_y=True)
        return pl.DataFrame(x, schema=[f"c{j}" for j in range(x.shape[1])]), np.asarray(y)
    if name in ("adult", "bank"):
        parts, labels = vertical(name, folder)
        return pl.concat(parts, how="horizontal"), labels
    header = name not in ("boston", "sonar", "german")
    frame = pl.read_csv(folder / FILES[name], has_header=header, infer_schema_length=None)
    return frame[:, :-1], frame[:, -1].to_numpy()


def encoded(table: Labelled, train: np.ndarray, parties: int, seed: int) -> list[np.ndarray]:
    """Blocks of encoded columns, dealt at random, as each party would encode them from the training rows."""
    order = np.random.default_rng(seed + 1000).permutation(table.frame.columns).tolist()
    blocks = []
    for names in np.array_split(np.array(order), parties):
        part = table.frame.select(names.tolist())
        blocks.append(TableEncoder.fit(part[train.tolist()]).transform(part)[0])
    return blocks


def draw_shape(rng: np.random.Generator) -> Shape:
    """N 50 to 5,000 and p 1 to 200 (both log-uniform), K 1 to 50, M 2 to 8; a party has at least one column."""
    rows = int(np.exp(rng.uniform(np.log(50), np.log(5000))))
    columns = int(np.exp(rng.uniform(np.log(1), np.log(200))))
    outputs = 1 if rng.random() < 0.5 else int(rng.integers(3, 51))
    parties = int(rng.integers(2, 9))
    return Shape(rows, max(columns, parties), min(outputs, max(3, rows // 10)) if outputs > 1 else 1, parties)


def synthetic(rng: np.random.Generator, shape: Shape) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """x of training rows and NEW_ROWS more, labels of all, labels of the new ones; every class has a training row."""
    classes = max(2, shape.outputs)
    informative = min(shape.columns, max(int(np.ceil(np.log2(2 * classes))), int(rng.integers(1, 20))))
    settings: dict[str, Any] = {"n_redundant": 0, "n_repeated": 0, "n_clusters_per_class": 1}
    settings |= {"flip_y": float(rng.uniform(0, 0.3)), "class_sep": float(rng.uniform(0.3, 1.5))}
    if classes > 2**informative:
        classes = 2
    x, y = make_classification(
        shape.rows + NEW_ROWS,
        shape.columns,
        n_informative=informative,
        n_classes=classes,
        random_state=int(rng.integers(2**31)),
        **settings,
    )
    y[: min(classes, shape.rows)] = np.arange(classes)[: shape.rows]
    return x, y, y[shape.rows :]
