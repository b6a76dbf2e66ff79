"""Features of one's own, which work on ciphertexts too: `python -m examples.own_features`.

In a party's file the same class is named by

    [learner]
    kind = "linear"
    features = ["standardized", "python:own_features:Steps"]    # this file lies beside the party's file

What it needs: `fit(x)` without a label, since features are made before anything about labels arrives, and
`transform(x)`: float (n, q) to finite float (n, p), each row from that row alone. Scikit-learn's transformers are like
that. It must be picklable.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

from secure_gal import GAL
from secure_gal.settings.party import LearnerSettings

Array = npt.NDArray[np.float64]


class Steps:
    """Whether a column is above each of its deciles."""

    def fit(self, x: Array) -> Steps:
        """Learn the deciles of x (N, q)."""
        self.deciles = np.quantile(x, np.arange(0.1, 1.0, 0.1), axis=0)
        return self

    def transform(self, x: Array) -> Array:
        """x (n, q) to 0 or 1, (n, 9 q)."""
        return np.asarray((x[:, None, :] > self.deciles[None]).reshape(len(x), -1), dtype=np.float64)


def main(residuals: str = "none") -> dict[str, float]:
    """Correlation of predictions with a target that jumps, by columns as they are and by steps.

    Args:
        residuals: "ckks" fits the same heads on real ciphertexts.
    """
    rng = np.random.default_rng(0)
    x = rng.normal(size=(400, 3))
    y = np.sign(np.abs(x[:, 1]) - 0.7) + 0.5 * x[:, 0] + rng.normal(0, 0.1, 400)
    blocks, later = [x[:300, :1], x[:300, 1:]], [x[300:, :1], x[300:, 1:]]

    found = {}
    own = ("standardized", f"python:examples.{Path(__file__).stem}:Steps")
    for name, maps in (("columns", ("standardized",)), ("steps", own)):
        chosen = ["linear", LearnerSettings(kind="linear", features=maps)]
        gal = GAL("regression", rounds=3, learners=chosen, residuals=residuals, parameters="standard").fit(
            blocks, y[:300]
        )
        found[name] = float(np.corrcoef(gal.predict(later), y[300:])[0, 1])
    return found


if __name__ == "__main__":
    for name, correlation in main().items():
        print(f"{name:10} correlation {correlation:.2f}")
