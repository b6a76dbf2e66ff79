"""Where and how exactly torch computes: device, precision, and a batch that fits."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch

from secure_gal.errors import EnvironmentFailure, SettingsError
from secure_gal.learners.base import Placement

PRECISIONS = ("auto", "float32", "bfloat16")


def choose_device(name: str) -> torch.device:
    """`auto` (CUDA where there is one), `cpu` or `cuda[:i]`; SettingsError for a device that is not there."""
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if name != "cpu":
        index = name.removeprefix("cuda").removeprefix(":") or "0"
        if not name.startswith("cuda") or not index.isdigit():
            raise SettingsError("[learner] device", f"{name!r}; accepted: auto, cpu, cuda or cuda:INDEX")
        count = torch.cuda.device_count() if torch.cuda.is_available() else 0
        if int(index) >= count:
            raise SettingsError("[learner] device", f"{name!r} is not there ({count} CUDA devices); use cpu or auto")
    return torch.device(name)


def uses_bfloat16(precision: str, device: torch.device) -> bool:
    """Whether forward passes run in bfloat16 autocast: on CUDA by default, elsewhere on request.

    Raises:
        SettingsError: unknown precision, or a CUDA device that cannot.
    """
    if precision not in PRECISIONS:
        raise SettingsError("[learner.options] precision", f"{precision!r}; accepted: {', '.join(PRECISIONS)}")
    able = device.type != "cuda" or torch.cuda.is_bf16_supported()
    if precision == "bfloat16" and not able:
        raise SettingsError(
            "[learner.options] precision", f'{torch.cuda.get_device_name(device)} has no bfloat16; use "float32"'
        )
    return precision == "bfloat16" or (precision == "auto" and device.type == "cuda" and able)


def compiler() -> str | None:
    """Path of the C++ compiler that `torch.compile` would call (`CXX`, else g++); None where there is none."""
    return shutil.which(os.environ.get("CXX", "g++"))


@contextmanager
def seeded(seed: int, device: torch.device, deterministic: bool = True) -> Iterator[torch.Generator]:
    """A generator for batches and masks, on the device, so that no draw has to travel there; torch's own stream seeded
    for initial weights and dropout, then restored.

    The same seed, machine and thread count give the same bits, since cuDNN is held to deterministic kernels; with
    `deterministic` off it tries several and takes the fastest.
    """
    with (
        torch.random.fork_rng(devices=[device] if device.type == "cuda" else []),
        torch.backends.cudnn.flags(enabled=True, benchmark=not deterministic, deterministic=deterministic),
    ):
        torch.manual_seed(seed)
        yield torch.Generator(device).manual_seed(seed)


def out_of_memory(batch: int, attempt: Callable[[int], object]) -> EnvironmentFailure:
    """What to raise when a step at `batch` rows did not fit: it names a batch that was tried and fits.

    Args:
        attempt: one step at so many rows; raises `torch.cuda.OutOfMemoryError` where it does not fit.
    """
    smaller = batch // 2
    while smaller >= 1:
        try:
            torch.cuda.empty_cache()
            attempt(smaller)
        except torch.cuda.OutOfMemoryError:
            smaller //= 2
            continue
        return EnvironmentFailure(
            f"the GPU ran out of memory at batch {batch}; a step of {smaller} rows fits: set "
            f"[learner.options] batch = {smaller}"
        )
    return EnvironmentFailure(
        "the GPU ran out of memory even at one row; free memory on it, choose a smaller network in "
        '[learner.options], or [learner] device = "cpu"'
    )


def placement(device: torch.device, bfloat16: bool) -> Placement:
    """In words, for summaries: device and precision."""
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else f"CPU, {torch.get_num_threads()} threads"
    return Placement(name, "bfloat16 autocast" if bfloat16 else "float32")
