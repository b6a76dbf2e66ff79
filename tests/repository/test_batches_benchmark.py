"""The benchmark of batches counts what a fit did, and judges rows that it has not seen."""

from __future__ import annotations

import logging

import numpy as np
import pytest

from benchmarks import batches


def test_epochs_are_counted_and_the_loss_is_that_of_the_other_half(caplog: pytest.LogCaptureFixture) -> None:
    epochs, logger = batches.Epochs(), logging.getLogger("secure_gal.learners.torch_trainer")
    caplog.set_level(logging.INFO, logger.name)
    logger.addHandler(epochs)
    try:
        rng = np.random.default_rng(0)
        x = rng.normal(size=(200, 1, 4, 4)).astype(np.float32)
        r = x.mean(axis=(1, 2, 3))[:, None] * 4
        options = {"batch": 10, "epochs": 15, "blocks": 1, "width": 4, "rate": 0.02, "patience": 15}
        found = batches.measure("cnn", x, r, options, epochs)
        r[100:] *= -1  # the halves contradict each other
        other = batches.measure("cnn", x, r, options, epochs)
    finally:
        logger.removeHandler(epochs)
    assert found["epochs_of_both"] == 30 and found["rows_a_fold"] == 100
    assert found["samples_per_cpu_s"] == pytest.approx(30 * 90 / found["cpu_seconds"])
    assert found["loss"] < 0.7 and other["loss"] > 1.2
