"""The fits of a round, side by side where they take long: on the party's own workers (`crypto.pool`) where it has some,
else on the cores of this machine.

The same fits with the same seeds, wherever they run: what comes back is the same bit for bit, if processors and numbers
of threads are. Workers are sent the rows once, and then residuals.
"""

from __future__ import annotations

import functools
import math
import os
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt

from crypto.errors import Unsuitable
from crypto.pool import Call, Packed, Pool, current, twice
from crypto.workers import owned
from secure_gal.errors import SettingsError
from secure_gal.learners.base import EncodedRows, Learner, Model

Result = TypeVar("Result")
WHERE = "[learner] workers"
WORTHWHILE = 2.0
"""Seconds of fits that remain in a round, from which they are shared out: a process takes about one to start."""
INSTALL = "install there what is installed here; modules beside the party's file go along"
WITHOUT = "mend it in its module, or leave `workers` out"
_one_fit = threading.Lock()
"""A worker of several threads makes one fit at a time: random numbers are the process's, and so are the cores."""


@dataclass
class Timing:
    """How long a learner's fits take, by which it is decided where the next ones are made.

    Attributes:
        on_cores: whether they may go to processes of this machine, which can import what is installed.
        seconds: of the last one; None before there was one.
    """

    on_cores: bool = False
    seconds: float | None = None


def timing_of(learner: object) -> Timing | None:
    """Of a learner whose fits need not be made in this process; None of others, whatever they call `timing`."""
    found = getattr(learner, "timing", None)
    return found if isinstance(found, Timing) else None


class Piece(NamedTuple):
    """Rows that are fitted, x (n, ...) with their residual (n, K), and rows that are held back, x (n', ...)."""

    kept: EncodedRows
    residual: npt.NDArray[np.float32]
    held: EncodedRows
    seed: int


class Fits(NamedTuple):
    """The fits of a round: rows x (N, ...), their residual (N, K), the fold of each row (N,), and each fold's seed.

    Without folds there is one fit, of all rows.
    """

    x: EncodedRows
    residual: npt.NDArray[np.float32]
    folds: npt.NDArray[np.int64] | None
    seeds: Sequence[int]

    def piece(self, number: int) -> Piece:
        """Of the fold of this number."""
        if self.folds is None:
            return Piece(self.x, self.residual, self.x[:0], self.seeds[number])
        held, kept = self.folds == number, self.folds != number
        return Piece(self.x[kept], self.residual[kept], self.x[held], self.seeds[number])


def whole_fit(learner: Learner) -> Callable[[EncodedRows, npt.NDArray[np.float32], int], Model]:
    """How this learner is fitted to all rows x (N, ...), their residual (N, K) and a seed: by itself, or where its fits
    may be made elsewhere."""
    return learner.fit if timing_of(learner) is None else functools.partial(_fitted_whole, learner)


def _fitted_whole(learner: Learner, x: EncodedRows, residual: npt.NDArray[np.float32], seed: int) -> Model:
    fit = functools.partial(_fit, learner)
    return each_piece(timing_of(learner), fit, Fits(x, residual, None, [seed]))[0]


def _fit(learner: Learner, piece: Piece) -> Model:
    return learner.fit(piece.kept, piece.residual, piece.seed)


def each_piece(timing: Timing | None, fit: Callable[[Piece], Result], fits: Fits) -> list[Result]:
    """What `fit` makes of every fold's piece, in order.

    Args:
        timing: is kept up to date; None where nothing may leave this process.

    Raises:
        SettingsError: a worker lacks what `fit` needs, or what it makes cannot be sent.
    """
    found: list[Result] = []
    count = len(fits.seeds)
    while len(found) < count and not _long(timing, count - len(found)):
        began = time.perf_counter()
        found.append(fit(fits.piece(len(found))))
        if timing is not None:
            timing.seconds = time.perf_counter() - began
    if timing is None or len(found) == count:
        return found
    return found + _side_by_side(timing, fit, fits, range(len(found), count))


def _long(timing: Timing | None, count: int) -> bool:
    """Whether so many fits are shared out. Of unknown ones workers are given all: the first may take an hour."""
    if timing is None:
        return False
    if current() is not None:
        return (math.inf if timing.seconds is None else timing.seconds) * count > WORTHWHILE
    return timing.on_cores and count > 1 and (timing.seconds or 0.0) * count > WORTHWHILE


def _side_by_side(timing: Timing, fit: Callable[[Piece], Result], fits: Fits, numbers: range) -> list[Result]:
    pool = current()
    if pool is not None:
        return twice(pool, lambda: _on_pool(pool, timing, fit, fits, numbers))
    from joblib import Parallel, cpu_count, delayed

    processes = Parallel(n_jobs=min(cpu_count(), len(numbers)), batch_size=1, max_nbytes=None)  # one core: here
    return list(processes(delayed(owned)(os.getpid(), fit, fits.piece(number)) for number in numbers))


def _on_pool(pool: Pool, timing: Timing, fit: Callable[[Piece], Result], fits: Fits, numbers: range) -> list[Result]:
    x, folds = pool.send_once(fits.x), None if fits.folds is None else pool.send_once(fits.folds)
    rest = pool.send((packed(pool, fit), fits.residual, fits.seeds))
    done = pool.run([Call(i, _on_worker, (x, folds, rest, number)) for i, number in enumerate(numbers)])
    timing.seconds = max(seconds for _, seconds in done)
    return [made.value() for made, _ in done]


def _on_worker(
    x: EncodedRows,
    folds: npt.NDArray[np.int64] | None,
    rest: tuple[Packed, npt.NDArray[np.float32], Sequence[int]],
    number: int,
) -> tuple[Packed, float]:
    """What the fit makes, and the seconds that it took."""
    code, residual, seeds = rest
    with _one_fit:
        began = time.perf_counter()
        try:
            fit = code.value()
        except Unsuitable as error:
            raise SettingsError(WHERE, f"a worker cannot make this fit: {error.problem}; {INSTALL}") from error
        made = fit(Fits(x, residual, folds, seeds).piece(number))
        try:
            return Packed.of(made), time.perf_counter() - began
        except Unsuitable as error:
            why = f"what was fitted cannot be sent back: {error.problem}; {WITHOUT}"
            raise SettingsError(WHERE, why) from error


def packed(pool: Pool, value: object) -> Packed:
    """What is sent of a learner, with modules of the party's own; SettingsError where it cannot be."""
    try:
        return pool.pack(value)
    except Unsuitable as error:
        raise SettingsError(WHERE, f"the learner cannot be sent: {error.problem}; {WITHOUT}") from error
