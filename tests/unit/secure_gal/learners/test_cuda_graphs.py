"""`cuda_graph = true`: a recorded step trains as the step does, and where none can be recorded that is said.

A graph cannot be recorded on a CPU. There the tests put in its place what replays the step from the place of its rows.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from secure_gal.learners import cuda_graphs, make_learner, torch_steps, torch_trainer
from secure_gal.learners.cuda_graphs import WARM_UP, GraphedStep
from secure_gal.settings.party import LearnerSettings
from tests.support.deep_data import images, series
from tests.support.feature_rows import HERE, rows

RATE = 2.0**-9
"""The same number in float32 and float64."""


class Recorder:
    """In the place of CUDA: what was run aside, recorded and replayed."""

    def __init__(self, fails: bool = False) -> None:
        self.fails, self.aside_runs, self.records, self.replays = fails, 0, 0, 0

    def aside(self, job: Callable[[], None]) -> None:
        self.aside_runs += 1
        job()

    def record(self, job: Callable[[], None]) -> Callable[[], None]:
        self.records += 1
        if self.fails:
            raise RuntimeError("operation not permitted when stream is capturing")

        def replay() -> None:
            self.replays += 1
            job()

        return replay


@pytest.fixture
def recorder(monkeypatch: pytest.MonkeyPatch) -> Recorder:
    made = Recorder()
    monkeypatch.setattr(cuda_graphs, "aside", made.aside)
    monkeypatch.setattr(cuda_graphs, "record", made.record)
    monkeypatch.setattr(torch_trainer, "has_graphs", lambda device: True)
    return made


def test_every_step_sees_its_own_rows(recorder: Recorder) -> None:
    seen: list[list[int]] = []
    step = GraphedStep(lambda rows: seen.append(rows.tolist()), 4)
    batches = [torch.arange(4) + i for i in range(WARM_UP + 4)]
    batches.insert(WARM_UP + 2, torch.arange(3))
    for batch in batches:
        step(batch)
    assert seen == [batch.tolist() for batch in batches]
    assert (recorder.aside_runs, recorder.records, recorder.replays) == (WARM_UP, 1, 4)


DATA = {"mlp": lambda n: (rows(n), rows(n)[:, :2].astype(np.float32)), "cnn": images, "lstm": series}


def fit(kind: str, device: str = "cpu", **options: Any) -> np.ndarray:
    x, r = DATA[kind](100)
    chosen = {"epochs": 3, "batch": 16, "rate": RATE, "schedule": "constant", **options}
    return make_learner(LearnerSettings(kind=kind, device=device, options=chosen), HERE).fit(x, r, 0).predict(x)


@pytest.mark.parametrize("kind", ["mlp", "cnn"])
def test_replayed_steps_train_the_same_network(recorder: Recorder, kind: str) -> None:
    with_graph = fit(kind, cuda_graph=True)
    assert recorder.replays == 3 * (90 // 16) - WARM_UP
    np.testing.assert_array_equal(with_graph, fit(kind))


def test_a_rate_that_declines_reaches_a_recorded_step(recorder: Recorder) -> None:
    graphed, usual = fit("mlp", cuda_graph=True, schedule="cosine"), fit("mlp", schedule="cosine")
    np.testing.assert_allclose(graphed, usual, rtol=1e-4, atol=1e-6)
    assert np.abs(usual - fit("mlp")).max() > 1e-3


@pytest.mark.parametrize("cause", ["not recorded", "rows do not fit"])
def test_what_keeps_a_graph_from_being_used_is_said(
    recorder: Recorder, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, cause: str
) -> None:
    usual = fit("mlp")
    recorder.fails = True
    if cause == "rows do not fit":
        monkeypatch.setattr(torch_steps, "RESIDENT_BYTES", 0)
    with caplog.at_level(logging.WARNING):
        np.testing.assert_array_equal(fit("mlp", cuda_graph=True), usual)
    said = {"not recorded": "not permitted when stream is capturing", "rows do not fit": "the rows do not fit on the"}
    warned = [record.message for record in caplog.records if record.levelno >= logging.WARNING]
    assert [said[cause] in message for message in warned] == [True]
    assert (recorder.records, recorder.replays) == (int(cause == "not recorded"), 0)


def test_on_a_cpu_nothing_is_recorded(monkeypatch: pytest.MonkeyPatch) -> None:
    made = Recorder()
    monkeypatch.setattr(cuda_graphs, "record", made.record)
    np.testing.assert_array_equal(fit("mlp", cuda_graph=True, device="cpu"), fit("mlp"))
    assert not made.records


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU is here")
@pytest.mark.parametrize("kind", ["mlp", "cnn", "lstm"])
def test_a_gpu_replays_what_it_would_have_run(kind: str, caplog: pytest.LogCaptureFixture) -> None:
    graphed = fit(kind, cuda_graph=True, device="cuda")
    np.testing.assert_allclose(graphed, fit(kind, device="cuda"), rtol=1e-2, atol=1e-3)
    assert not caplog.records
