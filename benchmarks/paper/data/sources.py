"""Every data set of the experiments by name: how it is read, and by what it is judged."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal

from benchmarks.paper.data import clinical, images, objects, tables
from benchmarks.paper.data.split import Asked, Split
from secure_gal.settings.study import Task

Metric = Literal["accuracy", "mad", "auc"]


@dataclass(frozen=True, slots=True)
class Source:
    """A data set.

    Attributes:
        load: from the folder of data sets and what is asked.
        metric: accuracy in percent, mean absolute deviation in the label's unit, or area under the ROC curve.
    """

    load: Callable[[Path, Asked], Split]
    metric: Metric

    @property
    def task(self) -> Task:
        """As a study names it."""
        return "regression" if self.metric == "mad" else "classification"


def _uci(name: str, *, theirs: bool = False) -> Source:
    metric: Metric = "mad" if name in ("Diabetes", "BostonHousing") else "accuracy"
    return Source(lambda folder, asked: tables.dealt(name, folder, asked, theirs=theirs), metric)


def _houses(name: str) -> Source:
    return Source(lambda folder, asked: tables.houses(name, folder, asked), "auc")


UCI = ("Diabetes", "BostonHousing", "Blob", "Iris", "Wine", "BreastCancer", "QSAR")
STORED = {name: f"{name}-stored" for name in ("Diabetes", "BostonHousing", "Wine", "BreastCancer", "QSAR")}
"""Sets of which the paper's code draws the split with a seed, and what they are called with that split."""
SOURCES = {
    **{name: _uci(name) for name in UCI},
    **{name: _uci(plain, theirs=True) for plain, name in STORED.items()},
    **{name: _houses(name) for name in tables.VERTICAL},
    "MNIST": Source(images.mnist, "accuracy"),
    "CIFAR10": Source(images.cifar10, "accuracy"),
    "ModelNet10": Source(objects.modelnet10, "accuracy"),
    "PhysioNet-death": Source(partial(clinical.physionet, target="In-hospital_death"), "auc"),
    "PhysioNet-stay": Source(partial(clinical.physionet, target="Length_of_stay"), "mad"),
}
