"""An epoch of training never makes the host wait for the device, and no operation is done image by image.

What makes it wait is `aten::_local_scalar_dense` (`.item()`, `float(...)`, `if tensor:`), which a profile on a CPU
shows as well as one on a GPU.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from torch.profiler import ProfilerActivity, profile

from secure_gal.features import encoder_training
from secure_gal.features.encoder_nets import new_body
from secure_gal.learners import cnn, recurrent
from secure_gal.learners.mlp import body
from secure_gal.learners.recurrent_options import RecurrentOptions
from secure_gal.learners.torch_steps import Inputs, Objective

SYNCS = {"aten::item", "aten::_local_scalar_dense", "aten::is_nonzero", "aten::nonzero"}
OPTIMISER = "aten::_fused_adamw_"
CPU = torch.device("cpu")
ROWS = 40
SHAPES = {"denoising": (6,), "masked": (7, 2), "vicreg": (1, 12, 12)}


def waits(epoch: Callable[[], object]) -> list[str]:
    """Operations of a second epoch that wait for the device; the first one allocates.

    The CPU's kernel of fused AdamW reads its own count of steps; on a GPU that count lies on the device.
    """
    epoch()
    with profile(activities=[ProfilerActivity.CPU]) as seen:
        epoch()
    return [event.name for event in seen.events() if event.name in SYNCS and OPTIMISER not in callers(event)]


def callers(event: Any) -> set[str]:
    """The operations that an operation was called by."""
    found = set()
    while (event := event.cpu_parent) is not None:
        found.add(event.name)
    return found


def fitted(kind: str) -> tuple[Objective, Callable[[torch.Tensor], None]]:
    """A network at work, and its step on row numbers."""
    shape = {"mlp": (6,), "cnn": (1, 8, 8), "lstm": (5, 2)}[kind]
    builds = {"mlp": body(8, 1, 0.1), "cnn": cnn.body(2, 4), "lstm": recurrent.body("lstm", RecurrentOptions(hidden=8))}
    module, x = builds[kind](shape, 1), torch.randn(ROWS, *shape)
    adam = torch.optim.AdamW(module.parameters(), fused=True)
    objective = Objective(module, module, Inputs(x.numpy(), CPU), torch.randn(ROWS, 1), 2.0, False, 5.0)
    return objective, partial(objective.step, adam)


def learner_epoch(kind: str) -> Callable[[], object]:
    objective, step = fitted(kind)
    generator = torch.Generator().manual_seed(0)
    return lambda: objective.epoch(step, torch.arange(ROWS), 16, generator)


def encoder_epoch(kind: str) -> Callable[[], object]:
    shape = SHAPES[kind]
    x = np.random.default_rng(0).standard_normal((ROWS, *shape)).astype(np.float32)
    task = encoder_training.OBJECTIVES[kind](new_body(kind, shape), shape)
    generator = torch.Generator().manual_seed(0)
    task(torch.from_numpy(x[:4]), generator)  # lazy layers take their shape
    adam = torch.optim.AdamW(task.parameters(), fused=True)
    return lambda: encoder_training._epoch(task, Inputs(x, CPU), adam, generator)


NETWORKS = ["mlp", "cnn", "lstm"]


@pytest.mark.parametrize("kind", NETWORKS)
def test_no_epoch_of_a_network_waits_for_the_device(kind: str) -> None:
    assert not waits(learner_epoch(kind))


@pytest.mark.parametrize("kind", sorted(SHAPES))
def test_no_epoch_of_an_encoder_waits_for_the_device(kind: str) -> None:
    assert not waits(encoder_epoch(kind))


@pytest.mark.parametrize("kind", NETWORKS)
def test_every_step_calls_the_same_operations_on_the_same_shapes(kind: str) -> None:
    """What a CUDA graph replays: whichever the rows, nothing else may happen."""
    objective, step = fitted(kind)
    objective.module.train()

    def operations(rows: torch.Tensor) -> list[tuple[str, str]]:
        with profile(activities=[ProfilerActivity.CPU], record_shapes=True) as seen:
            step(rows)
        return [(event.name, str(event.input_shapes)) for event in seen.events() if event.name.startswith("aten::")]

    step(torch.arange(16))
    assert operations(torch.arange(16)) == operations(torch.arange(16, 32)) != operations(torch.arange(8))


def test_a_profile_shows_a_wait_where_there_is_one() -> None:
    epoch = learner_epoch("mlp")
    assert waits(lambda: (epoch(), float(torch.ones(()))))


def test_images_are_disturbed_in_as_many_operations_whatever_their_number() -> None:
    def operations(images: int) -> Counter[str]:
        with profile(activities=[ProfilerActivity.CPU]) as seen:
            encoder_training._disturb(torch.zeros(images, 1, 12, 12), torch.Generator().manual_seed(0))
        return Counter(event.name for event in seen.events() if event.name.startswith("aten::"))

    assert operations(8) == operations(64)
