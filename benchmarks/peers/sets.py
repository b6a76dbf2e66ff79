"""The rows that every system learns from and is judged on."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
from sklearn.metrics import roc_auc_score

from benchmarks.paper.data.split import eighty_twenty

PARTIES = ("guest", "host")
"""The guest has the labels: the sponsor."""
SETS = ("breast", "default_credit")


@dataclass(frozen=True, slots=True)
class Rows:
    """One of FATE's vertical sets, split 80/20 with seed 0; the rows of both parties are in the same order.

    Attributes:
        train, test: by party: `id`, at the guest `y` (0 or 1), and its columns.
    """

    train: dict[str, pl.DataFrame]
    test: dict[str, pl.DataFrame]

    def write(self, folder: Path) -> None:
        """{guest,host}_{train,test}.csv; other systems want names of columns that no other party has."""
        for part, frames in (("train", self.train), ("test", self.test)):
            for party, frame in frames.items():
                named = {name: f"{party}_{name}" for name in frame.columns if name != "y"}
                frame.rename(named).write_csv(folder / f"{party}_{part}.csv")

    def auc(self, scores: np.ndarray) -> float:
        """Area under the ROC curve of scores of the test rows (n,), in their order."""
        return float(roc_auc_score(self.test["guest"]["y"].to_numpy(), scores))


def load(name: str, data: Path) -> Rows:
    """Read `fate/NAME_hetero_{guest,host}.csv` of the folder of data sets."""
    frames = {party: pl.read_csv(data / f"fate/{name}_hetero_{party}.csv") for party in PARTIES}
    if not frames["guest"]["id"].equals(frames["host"]["id"]):
        raise ValueError(f"{name}: guest and host list different ids")
    test, train = eighty_twenty(len(frames["guest"]), seed=0)
    return Rows(
        {party: frame[train.tolist()] for party, frame in frames.items()},
        {party: frame[test.tolist()] for party, frame in frames.items()},
    )
