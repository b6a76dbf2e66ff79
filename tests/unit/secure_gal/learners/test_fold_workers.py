"""Folds that are fitted side by side give what they give one after the other, bit for bit."""

from __future__ import annotations

import functools
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from crypto.pool import Packed
from secure_gal.errors import SettingsError
from secure_gal.gal.split import fold_numbers
from secure_gal.learners import fold_workers, make_learner
from secure_gal.learners.cross_fit import cross_fit
from secure_gal.learners.fold_workers import Timing
from secure_gal.learners.trees import ColumnModels, EstimatorLearner
from secure_gal.settings.party import LearnerSettings

RNG = np.random.default_rng(0)
X, R = RNG.standard_normal((60, 3)), RNG.standard_normal((60, 1)).astype(np.float32)
FOLDS = fold_numbers(60, 4, 0)
Array = np.ndarray[Any, np.dtype[Any]]


class Means:
    """The residual's mean, and which process it was fitted in."""

    def fit(self, x: Array, y: Array) -> Means:
        self.mean, self.process = float(y.mean()), os.getpid()
        return self

    def predict(self, x: Array) -> Array:
        return np.full(len(x), self.mean)


def learner(make: Any, seconds: float | None) -> EstimatorLearner:
    made = EstimatorLearner(lambda seed: make())
    made.timing = Timing(seconds is not None, seconds)
    return made


@pytest.fixture(autouse=True)
def two_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOKY_MAX_CPU_COUNT", "2")


def processes(found: Any) -> set[int]:
    return {column.process for model in found.model.models for column in model.columns}


def test_long_fits_are_shared_out_and_nothing_else_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    short = cross_fit(learner(Means, 0.0), X, R, 7, FOLDS)
    assert processes(short) == {os.getpid()}
    own = cross_fit(learner(Means, None), X, R, 7, FOLDS)
    assert processes(own) == {os.getpid()}, "an estimator of one's own goes to no process of this machine"
    long = cross_fit(learner(Means, fold_workers.WORTHWHILE), X, R, 7, FOLDS)
    assert os.getpid() not in processes(long)
    assert long.values.tobytes() == short.values.tobytes() == own.values.tobytes()
    monkeypatch.setenv("LOKY_MAX_CPU_COUNT", "1")
    assert processes(cross_fit(learner(Means, fold_workers.WORTHWHILE), X, R, 7, FOLDS)) == {os.getpid()}


def test_a_learner_of_ones_own_may_call_anything_timing() -> None:
    class Own:
        timing = "of a pulse"

        def fit(self, x: Array, residual: Array, seed: int) -> ColumnModels:
            return learner(Means, None).fit(x, residual, seed)

    assert processes(cross_fit(Own(), X, R, 7, FOLDS)) == {os.getpid()}
    assert isinstance(fold_workers.whole_fit(Own())(X, R, 7), ColumnModels)


def test_boosted_trees_are_the_same_from_two_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = LearnerSettings(kind="gb", options={"max_iter": 5})
    before = cross_fit(make_learner(settings, Path()), X, R, 1, FOLDS)
    monkeypatch.setattr(fold_workers, "WORTHWHILE", 0.0)
    after = cross_fit(make_learner(settings, Path()), X, R, 1, FOLDS)
    assert before.values.tobytes() == after.values.tobytes()
    assert before.model.predict(X).tobytes() == after.model.predict(X).tobytes()


def test_a_worker_of_several_threads_makes_one_fit_at_a_time() -> None:
    """Torch's random numbers are the process's: two fits at once would draw each other's."""
    made, rest = LearnerSettings(kind="mlp", options={"epochs": 30, "hidden": 8, "dropout": 0.5}), []
    x, residual = np.repeat(X, 10, axis=0), np.repeat(R, 10, axis=0)
    for seed in range(6):
        fit = functools.partial(fold_workers._fit, make_learner(made, Path()))
        rest.append((Packed.of(fit), residual, [seed]))

    def predicted(each: Any) -> bytes:
        return fold_workers._on_worker(x, None, each, 0)[0].value().predict(X).tobytes()

    with ThreadPoolExecutor(3) as threads:
        together = list(threads.map(predicted, rest))
    assert together == [predicted(each) for each in rest]


class Failing(Means):
    def fit(self, x: Array, y: Array) -> Means:
        raise ValueError("no")


def test_a_failure_in_another_process_is_said_as_in_this_one() -> None:
    with pytest.raises(SettingsError) as here:
        cross_fit(learner(Failing, None), X, R, 0, FOLDS)
    with pytest.raises(SettingsError) as there:
        cross_fit(learner(Failing, fold_workers.WORTHWHILE), X, R, 0, FOLDS)
    assert str(there.value) == str(here.value)
