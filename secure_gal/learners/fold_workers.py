"""The fits of a round's folds, side by side on the cores where they take long enough to be worth a process.

The same fits with the same seeds, wherever they run: what comes back is the same bit for bit.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from typing import Any, NamedTuple, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from crypto.workers import owned
from secure_gal.learners.base import Learner, Model

WORTHWHILE = 2.0
"""Seconds of fits that remain in a round, from which they are shared out: a process takes about one to start."""


@runtime_checkable
class InProcesses(Protocol):
    """A learner that may be fitted in another process; `seconds` that a fit of it took here, 0 before there was
    one."""

    seconds: float


class Fold(NamedTuple):
    """Rows that are fitted, x (n, ...) with their residual (n, K), and rows that are held back, x (n', ...)."""

    kept: Any
    residual: npt.NDArray[np.float32]
    held: Any
    seed: int


Fitted = tuple[Model, npt.NDArray[np.float64]]
"""A fold's model, and what it predicts of the rows held back (n', K)."""


def fit_folds(learner: Learner, folds: Iterator[Fold], count: int) -> list[Fitted]:
    """The results of so many folds, in order."""
    found: list[Fitted] = []
    while len(found) < count and not _long(learner, count - len(found)):
        began = time.perf_counter()
        found.append(_fit(learner, next(folds)))
        if isinstance(learner, InProcesses):
            learner.seconds = time.perf_counter() - began
    return found if len(found) == count else found + _side_by_side(learner, folds, count - len(found))


def _long(learner: Learner, count: int) -> bool:
    return isinstance(learner, InProcesses) and count > 1 and learner.seconds * count > WORTHWHILE


def _side_by_side(learner: Learner, folds: Iterator[Fold], count: int) -> list[Fitted]:
    from joblib import Parallel, cpu_count, delayed

    pool = Parallel(n_jobs=min(cpu_count(), count), batch_size=1, max_nbytes=None)  # one core: in this process
    return list(pool(delayed(owned)(os.getpid(), _fit, learner, fold) for fold in folds))


def _fit(learner: Learner, fold: Fold) -> Fitted:
    model = learner.fit(fold.kept, fold.residual, fold.seed)
    return model, np.asarray(model.predict(fold.held))
