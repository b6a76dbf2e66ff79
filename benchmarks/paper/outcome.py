"""What one run of a case gives, and the metrics of test rows."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from sklearn.metrics import roc_auc_score

from benchmarks.paper.data.sources import Metric
from benchmarks.paper.data.split import Array
from secure_gal.data.encode import LabelCodec


@dataclass(slots=True)
class Outcome:
    """One run.

    Attributes:
        trail: the metric of the test rows after 0, 1, ... kept rounds; only the last where no stages can be had.
        train_loss: mean L_1 of the training rows after 0, 1, ... rounds: out of fold by the product's rule.
        eta: of each round. weights: of each round and party, the sponsor's first.
        kept: rounds that predictions are made of.
    """

    trail: list[float]
    train_loss: list[float] = field(default_factory=list)
    eta: list[float] = field(default_factory=list)
    weights: list[list[float]] = field(default_factory=list)
    kept: int = 0

    @property
    def value(self) -> float:
        """The metric of the test rows in the end."""
        return self.trail[-1]


def accuracy(predicted: Array, y: Array) -> float:
    """In percent."""
    return float(100 * np.mean(predicted == y))


def deviation(predicted: Array, y: Array) -> float:
    """Mean absolute deviation in the label's unit."""
    return float(np.mean(np.abs(predicted - y)))


def area(scores: Array, y: Array) -> float:
    """Area under the ROC curve of scores (n,) for two classes."""
    return float(roc_auc_score(y, scores))


def score(metric: Metric, codec: LabelCodec, f: Array, y: Array) -> float:
    """Of outputs F (n, K) in the coding that was learnt in."""
    match metric:
        case "auc":
            return area(f[:, 0], y)
        case "mad":
            return deviation(codec.values(f), y)
        case "accuracy":
            return accuracy(np.array(codec.decode(f)), y)
