"""Studies by what their loss allows of a clear residual."""

from __future__ import annotations

from typing import Any

import numpy as np

from secure_gal.settings.study import Protect, Study
from tests.support.study_in_memory import study

RNG = np.random.default_rng


def classes(outputs: int = 1, **more: Any) -> Study:
    return study(task="classification", outputs=outputs, rounds=10, **more)


def dp_classes(epsilon: float, count: int, **more: Any) -> Study:
    protect = Protect(ids="clear", residuals="dp", epsilon=epsilon, classes=tuple(f"c{i}" for i in range(count)))
    return study(task="classification", protect=protect, rounds=10, **more)


def targets(loss: str, **more: Any) -> Study:
    return study(loss=loss, rounds=10, **more)


def ranged(loss: str, epsilon: float | None, **more: Any) -> Study:
    kind: Any = "ip" if epsilon is None else "dp"
    return targets(loss, protect=Protect(ids="clear", residuals=kind, epsilon=epsilon, label_range=(-4.0, 4.0)), **more)
