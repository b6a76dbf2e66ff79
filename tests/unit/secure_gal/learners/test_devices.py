"""Torch learners on their device: precision, and what is said and tried when its memory is full."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from secure_gal.errors import EnvironmentFailure
from secure_gal.learners import make_learner, torch_trainer
from secure_gal.learners.base import Placement, placement_of
from secure_gal.learners.devices import choose_device, out_of_memory, uses_bfloat16
from secure_gal.learners.torch_options import TorchOptions
from secure_gal.learners.torch_trainer import TorchLearner
from tests.support.deep_data import CNN, settings
from tests.support.feature_rows import HERE


def test_precision_follows_the_device() -> None:
    cpu = choose_device("cpu")
    assert not uses_bfloat16("auto", cpu)
    assert uses_bfloat16("bfloat16", cpu)
    threads = f"CPU, {torch.get_num_threads()} threads"
    for chosen, precision in ((CNN, "float32"), (settings("gru", precision="bfloat16"), "bfloat16 autocast")):
        assert placement_of(make_learner(chosen, HERE)) == Placement(threads, precision)


class Full(nn.Module):
    """Runs out of memory above so many rows, as a GPU does."""

    def __init__(self, most: int) -> None:
        super().__init__()
        self.most, self.layer = most, nn.Linear(3, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if len(x) > self.most:
            raise torch.cuda.OutOfMemoryError("CUDA out of memory")
        return self.layer(x)  # type: ignore[no-any-return]


@pytest.mark.parametrize(("most", "named"), [(40, "batch = 32"), (1, "batch = 1"), (0, "even at one row")])
def test_out_of_memory_names_a_batch_that_was_tried(most: int, named: str) -> None:
    rng = np.random.default_rng(0)
    x, r = rng.normal(size=(200, 3)), rng.normal(size=(200, 1)).astype(np.float32)
    with pytest.raises(EnvironmentFailure, match=named):
        TorchLearner(lambda inner, k: Full(most), "l2", "cpu", TorchOptions(batch=128)).fit(x, r, 0)


class Homeless(Full):
    """A network that does not fit on the device by itself, whatever the batch."""

    def to(self, *args: Any, **kwargs: Any) -> Any:
        raise torch.cuda.OutOfMemoryError("CUDA out of memory")


def test_a_network_that_does_not_fit_by_itself_is_said_to_be_too_large() -> None:
    x, r = np.zeros((40, 3)), np.ones((40, 1), dtype=np.float32)
    with pytest.raises(EnvironmentFailure, match="choose a smaller network"):
        TorchLearner(lambda inner, k: Homeless(9), "l2", "cpu", TorchOptions(batch=8)).fit(x, r, 0)


def test_out_of_memory_tries_no_batch_that_is_larger() -> None:
    tried = []

    def attempt(rows: int) -> None:
        tried.append(rows)
        if rows > 10:
            raise torch.cuda.OutOfMemoryError

    assert "8 rows fits" in str(out_of_memory(64, attempt))
    assert tried == [32, 16, 8]


def test_out_of_memory_while_predicting() -> None:
    with pytest.raises(EnvironmentFailure, match="while predicting"):
        torch_trainer.forward_all(Full(0), np.zeros((2, 3)), torch.device("cpu"), False)
