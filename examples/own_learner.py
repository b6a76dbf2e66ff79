"""A learner of one's own, without touching the package: `python -m examples.own_learner`.

In a party's file the same class is named by

    [learner]
    kind = "python:own_learner:Nearest"      # this file lies beside the party's file
    [learner.options]
    neighbours = 15

What it needs is what scikit-learn's regressors have: `fit(x, y)` and `predict(x)`, with x float (n, q) and y float
(n,), one output's residual. It must be picklable, because a party keeps the model of every round. A learner that sees
the residual works where residuals are readable; `residuals = "ckks"` needs `kind = "linear"`, with features of one's
own (examples/own_features.py).
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

from secure_gal import GAL
from secure_gal.learners import make_learner
from secure_gal.settings.party import LearnerSettings

Array = npt.NDArray[np.float64]


class Nearest:
    """The residual's mean over the nearest training rows; the arguments are what `[learner.options]` may set."""

    def __init__(self, neighbours: int = 10) -> None:
        self.neighbours = neighbours

    def fit(self, x: Array, y: Array) -> Nearest:
        """Keep x (n, q) and y (n,)."""
        self.x, self.y = x, y
        return self

    def predict(self, x: Array) -> Array:
        """x (n, q) to fitted values (n,)."""
        distance = ((x[:, None, :] - self.x[None, :, :]) ** 2).sum(axis=2)
        nearest = np.argsort(distance, axis=1)[:, : self.neighbours]
        return np.asarray(self.y[nearest].mean(axis=1))


def main() -> dict[str, float]:
    """Share of points on two rings that are put on the right one, by lines and by neighbours."""
    rng = np.random.default_rng(0)
    angle, ring = rng.uniform(0, 2 * np.pi, 400), rng.integers(0, 2, 400)
    radius = 1.0 + ring + rng.normal(0, 0.15, 400)
    x = np.stack([radius * np.cos(angle), radius * np.sin(angle), rng.normal(size=400)], axis=1)
    blocks, later = [x[:300, 2:], x[:300, :2]], [x[300:, 2:], x[300:, :2]]  # the sponsor's column tells nothing

    kind = f"python:{Path(__file__).stem}:Nearest"
    own = make_learner(LearnerSettings(kind=kind, options={"neighbours": 15}), Path(__file__).parent)
    found = {}
    for name, learner in (("linear", "linear"), ("neighbours", own)):
        gal = GAL(task="classification", rounds=5, learners=["linear", learner]).fit(blocks, ring[:300])
        found[name] = float(np.mean(gal.predict(later) == ring[300:]))
    return found


if __name__ == "__main__":
    for name, share in main().items():
        print(f"{name:10} {share:.1%} right")
