"""Data sets of the privacy benchmark, and how a study over them deals people and columns out."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from sklearn.datasets import load_diabetes, load_digits, load_wine

from benchmarks.paper.data.split import eighty_twenty
from benchmarks.paper.data.tables import vertical
from secure_gal.data.encode import LabelCodec
from secure_gal.gal.losses import get_loss
from secure_gal.gal.split import split_rows
from secure_gal.labels.schemes import Training
from secure_gal.settings.study import LossName, Task

Array = np.ndarray[Any, np.dtype[Any]]
CLASSES = ("breast", "wine", "digits", "default_credit")
REGRESSION = ("diabetes", "student")
RANGES = {"diabetes": (0.0, 350.0), "student": (0.0, 20.0)}
"""Public label ranges: a score of disease progression, and marks by the school's scale."""
MOST_PEOPLE = 10_000
"""People taken from a larger table (default_credit has 30,000), anew in every repetition."""
VALIDATION = 0.2


@dataclass(frozen=True)
class Source:
    """One data set.

    Attributes:
        name: as the command line and the tables call it.
        x: standardised columns (N, p); names: theirs.
        own: how many of them, from the left, are the sponsor's.
        y: class codes int64 (N,), or a regression target float64 (N,) within RANGES.
    """

    name: str
    x: Array
    names: tuple[str, ...]
    own: int
    y: Array

    @property
    def classes(self) -> int:
        """Number of classes, 0 for regression."""
        return int(self.y.max()) + 1 if self.name in CLASSES else 0

    @property
    def task(self) -> Task:
        """As a study names it."""
        return "classification" if self.classes else "regression"

    @property
    def loss(self) -> LossName:
        """Overarching loss."""
        return "cross_entropy" if self.classes else "l2"


def load(name: str, folder: Path) -> Source:
    """One of CLASSES or REGRESSION; folder holds fate/, the others come with scikit-learn."""
    if name in ("breast", "default_credit"):
        frames, y = vertical(name, folder)
        named = [f"{side}.{c}" for side, frame in zip(("guest", "host"), frames, strict=True) for c in frame.columns]
        x, own = np.hstack([frame.to_numpy().astype(np.float64) for frame in frames]), frames[0].width
    elif name == "student":
        guest, host = (pl.read_csv(folder / f"fate/student_hetero_{side}.csv") for side in ("guest", "host"))
        y, frames = guest["y"].to_numpy(), [guest.drop("id", "y"), host.drop("id")]
        named = [f"{side}.{c}" for side, frame in zip(("guest", "host"), frames, strict=True) for c in frame.columns]
        x, own = np.hstack([frame.to_numpy().astype(np.float64) for frame in frames]), frames[0].width
    else:
        bunch = {"wine": load_wine, "digits": load_digits, "diabetes": load_diabetes}[name]()
        x, y, named = bunch.data, bunch.target, list(bunch.feature_names)
        own = x.shape[1] // 3
    told = x.std(axis=0) > 0
    x = x[:, told]
    return Source(
        name,
        (x - x.mean(axis=0)) / x.std(axis=0),
        tuple(np.array(named)[told].tolist()),
        int(told[:own].sum()),
        y.astype(np.int64 if name in CLASSES else np.float64),
    )


@dataclass(frozen=True)
class People:
    """Who takes part in one repetition, the sponsor first.

    Attributes:
        source: the data set; seed: the repetition.
        blocks, new: columns by party of the study's rows (N, p_m) and of held-out rows (n, p_m).
        names: by assistor the names of its columns.
        y, y_new: true labels of both.
        train: mask (N,), rows that residuals are sent of; the others validate.
    """

    source: Source
    seed: int
    blocks: list[Array]
    new: list[Array]
    names: list[list[str]]
    y: Array
    y_new: Array
    train: Array

    def training(self, labels: Array | None = None) -> Training:
        """What an unprotected study learns from: the true labels, or others (N,) in their place."""
        source, values = self.source, (self.y if labels is None else labels).tolist()
        if source.classes:
            codec = LabelCodec(source.task, tuple(range(source.classes)))
        else:
            codec = LabelCodec.fit(source.task, values, self.train)
        return Training(codec, codec.encode(values), get_loss(source.loss, codec.outputs))


def people(source: Source, seed: int, *, columns: int | None = None, most: int = MOST_PEOPLE) -> People:
    """Deal the assistors' columns out to two, 80% of the rows to the study and 80% of these to training.

    Args:
        columns: how many columns each assistor gets; by default all of them are dealt out.
        most: people taken from a larger table.
    """
    rng = np.random.default_rng(seed)
    chosen = np.sort(rng.permutation(len(source.y))[:most])
    x, y = source.x[chosen], source.y[chosen]
    others = source.own + rng.permutation(x.shape[1] - source.own)
    halves = [half[:columns] for half in np.array_split(others, 2)]
    test, rows = eighty_twenty(len(y), seed)
    dealt = [np.arange(source.own), *halves]
    return People(
        source,
        seed,
        [x[rows][:, part] for part in dealt],
        [x[test][:, part] for part in dealt],
        [[source.names[j] for j in half] for half in halves],
        y[rows],
        y[test],
        split_rows(len(rows), VALIDATION, seed),
    )
