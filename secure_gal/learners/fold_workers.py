"""The fits of a round's folds, side by side on the cores where they take long enough to be worth a process.

The same fits with the same seeds, wherever they run: what comes back is the same bit for bit. On workers of a pool
(`crypto.pool`) too, if their processors round alike; they are sent the rows once, and then residuals.
"""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from crypto.pool import Call, Pool, current, twice
from crypto.workers import owned
from secure_gal.learners.base import Learner, Model

WORTHWHILE = 2.0
"""Seconds of fits that remain in a round, from which they are shared out: a process takes about one to start."""


@runtime_checkable
class InProcesses(Protocol):
    """A learner that may be fitted in another process; `seconds` that a fit of it took here, 0 before there was
    one."""

    seconds: float


class Fits(NamedTuple):
    """The fits of a round: rows x (N, ...), their residual (N, K), the fold of each row (N,), and each fold's seed."""

    x: Any
    residual: npt.NDArray[np.float32]
    folds: npt.NDArray[np.int64]
    seeds: Sequence[int]


Fitted = tuple[Model, npt.NDArray[np.float64]]
"""A fold's model, and what it predicts of the rows held back (n', K)."""


class _Fold(NamedTuple):
    """Rows that are fitted, x (n, ...) with their residual (n, K), and rows that are held back, x (n', ...)."""

    kept: Any
    residual: npt.NDArray[np.float32]
    held: Any
    seed: int


def fit_folds(learner: Learner, fits: Fits) -> list[Fitted]:
    """The results of all folds, in order."""
    found: list[Fitted] = []
    count = len(fits.seeds)
    while len(found) < count and not _long(learner, count - len(found)):
        began = time.perf_counter()
        found.append(_fit(learner, _fold(fits, len(found))))
        if isinstance(learner, InProcesses):
            learner.seconds = time.perf_counter() - began
    return found if len(found) == count else found + _side_by_side(learner, fits, range(len(found), count))


def _long(learner: Learner, count: int) -> bool:
    return isinstance(learner, InProcesses) and count > 1 and learner.seconds * count > WORTHWHILE


def _side_by_side(learner: Learner, fits: Fits, numbers: range) -> list[Fitted]:
    pool = current()
    if pool is not None and isinstance(fits.x, np.ndarray):
        return twice(pool, lambda: _on_pool(pool, learner, fits, numbers))
    from joblib import Parallel, cpu_count, delayed

    processes = Parallel(n_jobs=min(cpu_count(), len(numbers)), batch_size=1, max_nbytes=None)  # one core: here
    return list(processes(delayed(owned)(os.getpid(), _fit, learner, _fold(fits, number)) for number in numbers))


def _on_pool(pool: Pool, learner: Learner, fits: Fits, numbers: range) -> list[Fitted]:
    x, folds = pool.send_once(fits.x), pool.send_once(fits.folds)
    rest = pool.send((learner, fits.residual, fits.seeds))
    return pool.run([Call(i, _fit_number, (x, folds, rest, number)) for i, number in enumerate(numbers)])


def _fit_number(x: Any, folds: Any, rest: tuple[Learner, Any, Sequence[int]], number: int) -> Fitted:
    learner, residual, seeds = rest
    return _fit(learner, _fold(Fits(x, residual, folds, seeds), number))


def _fold(fits: Fits, number: int) -> _Fold:
    held, kept = fits.folds == number, fits.folds != number
    return _Fold(fits.x[kept], fits.residual[kept], fits.x[held], fits.seeds[number])


def _fit(learner: Learner, fold: _Fold) -> Fitted:
    model = learner.fit(fold.kept, fold.residual, fold.seed)
    return model, np.asarray(model.predict(fold.held))
