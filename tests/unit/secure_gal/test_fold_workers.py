"""Folds that are fitted side by side give what they give one after the other, bit for bit."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from secure_gal.errors import SettingsError
from secure_gal.gal.split import fold_numbers
from secure_gal.learners import fold_workers, make_learner
from secure_gal.learners.cross_fit import cross_fit
from secure_gal.learners.trees import EstimatorLearner
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
    if seconds is not None:
        made.seconds = seconds  # type: ignore[attr-defined]
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
    assert processes(own) == {os.getpid()}, "an estimator of one's own stays in its process"
    long = cross_fit(learner(Means, fold_workers.WORTHWHILE), X, R, 7, FOLDS)
    assert os.getpid() not in processes(long)
    assert long.values.tobytes() == short.values.tobytes() == own.values.tobytes()
    monkeypatch.setenv("LOKY_MAX_CPU_COUNT", "1")
    assert processes(cross_fit(learner(Means, fold_workers.WORTHWHILE), X, R, 7, FOLDS)) == {os.getpid()}


def test_boosted_trees_are_the_same_from_two_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = LearnerSettings(kind="gb", options={"max_iter": 5})
    before = cross_fit(make_learner(settings, Path()), X, R, 1, FOLDS)
    monkeypatch.setattr(fold_workers, "WORTHWHILE", 0.0)
    after = cross_fit(make_learner(settings, Path()), X, R, 1, FOLDS)
    assert before.values.tobytes() == after.values.tobytes()
    assert before.model.predict(X).tobytes() == after.model.predict(X).tobytes()


class Failing(Means):
    def fit(self, x: Array, y: Array) -> Means:
        raise ValueError("no")


def test_a_failure_in_another_process_is_said_as_in_this_one() -> None:
    with pytest.raises(SettingsError) as here:
        cross_fit(learner(Failing, None), X, R, 0, FOLDS)
    with pytest.raises(SettingsError) as there:
        cross_fit(learner(Failing, fold_workers.WORTHWHILE), X, R, 0, FOLDS)
    assert str(there.value) == str(here.value)
