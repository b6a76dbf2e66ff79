"""What a network's fits take: the arithmetic with a made-up clock, and the rows that are timed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from secure_gal.forecast import networks
from secure_gal.forecast.timings import Sample, Timings
from secure_gal.gal.split import split_rows
from secure_gal.holdings.local import LocalParty
from secure_gal.learners import make_learner
from secure_gal.learners.cross_fit import FOLDS
from secure_gal.learners.torch_options import TorchOptions
from secure_gal.learners.torch_steps import Objective
from secure_gal.settings.party import LearnerSettings
from tests.support.study_in_memory import study

FIXED, EPOCH, HEAD = 0.5, 0.02, 0.01


class Machine:
    """A network whose fits take FIXED seconds and EPOCH an epoch; later heads take HEAD."""

    def __init__(self, *, shared: bool = False) -> None:
        self.now, self.shared = 0.0, shared
        self.epochs: list[int] = []

    def __call__(self, epochs: int) -> Callable[[int], None]:
        def fit(round_: int) -> None:
            self.epochs.append(epochs)
            self.now += HEAD if self.shared and round_ > 1 else FIXED + epochs * EPOCH

        return fit

    def clock(self, work: Callable[[], Any]) -> float:
        began = self.now
        work()
        return self.now - began


@pytest.mark.parametrize("epochs", [1, 2, 50])
def test_few_epochs_tell_of_all(epochs: int) -> None:
    machine = Machine()
    found = networks.timed(machine, TorchOptions(epochs=epochs), machine.clock)
    assert found == pytest.approx((FIXED + epochs * EPOCH,) * 2)
    assert max(machine.epochs) <= min(epochs, 2), "one epoch is long enough to be timed"


@pytest.mark.parametrize(
    ("one", "counts"),
    [
        (0.3, [142]),  # nothing larger is tried
        (0.1, [569, 1138]),
        (0.02, [569, 2845]),
        (0.0, [569, 9104]),
    ],
)
def test_what_trains_long_is_timed_on_few_rows(one: float, counts: list[int]) -> None:
    assert networks.sizes(569, 142, 10_000, one) == counts
    assert networks.sizes(569, 142, 300, 0.1) == [300], "all there are"


def test_what_a_process_takes_once_is_in_its_first_fit_alone() -> None:
    timings = Timings((Sample(100, first=3.0, later=3.0, alone=30.0),), 100, 0.0, once=1.5)
    pace = timings.pace(100)
    assert (pace.first, pace.later, pace.results) == (4.5, 3.0, 30.0)


def test_one_extractor_trains_once() -> None:
    machine = Machine(shared=True)
    found = networks.timed(machine, TorchOptions(epochs=50, share_extractor=True), machine.clock)
    assert found == pytest.approx((FIXED + 50 * EPOCH, HEAD))


@pytest.mark.parametrize(("batch", "weights"), [(128, "fitted"), (129, "uniform"), (128, "paper")])
def test_the_rows_that_are_timed_fill_one_step_and_two(
    batch: int, weights: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    learner, agreed = LearnerSettings("mlp", options={"batch": batch}), study(weights=weights)
    asked, size, few = networks.steps_of(learner, agreed, 10_000)
    steps: list[int] = []
    monkeypatch.setattr(Objective, "epoch", lambda self, step, rows, size, drawn: steps.append(-(-len(rows) // size)))
    shortened = networks.shortened(learner, 1, size)
    for rows in (few, 2 * few):
        x, train = np.random.default_rng(0).normal(size=(rows, 2)), split_rows(rows, agreed.validation, 0)
        folds = FOLDS if agreed.cross_fitted else None
        party = LocalParty("lab", x, train, make_learner(shortened, tmp_path), 0, folds)
        party = party.learning_with(make_learner(shortened, tmp_path), asked)
        party.fit_round(1, x[train, :1].astype("f4"))
    assert size == batch and steps == ([1, 1, 2, 2] if agreed.cross_fitted else [1, 2])


def test_folds_and_rows_of_a_step_are_those_of_the_whole_study() -> None:
    found = [networks.steps_of(LearnerSettings("mlp"), study(weights="fitted"), rows) for rows in (1_000, 100_000)]
    assert [(steps.folds, steps.batch) for steps in found] == [(5, 256), (2, 1024)]
    assert networks.steps_of(LearnerSettings("mlp", folds=3), study(), 100_000).folds == 3


def test_what_is_no_network_of_ours_is_timed_whole() -> None:
    assert [networks.trained(LearnerSettings(kind)) for kind in ("linear", "gb", "none", "python:mine:make")] == [
        None
    ] * 4
