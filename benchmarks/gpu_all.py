"""All that is to be learnt of a GPU in a few minutes, the most important first: `python -m benchmarks.gpu --all`.

The file is written after every part, so a machine that is taken away leaves what was measured. A part that the minutes
do not suffice for is stopped, and the file says so.
"""

from __future__ import annotations

import functools
import logging
import signal
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np
import torch

from benchmarks import gpu_former, output
from benchmarks.gpu import BATCH, OUTPUTS, measure_encoders, measure_networks, plain_fit
from benchmarks.paper import methods
from benchmarks.paper.case import Case
from secure_gal.learners import make_learner
from secure_gal.learners.kinds.cnn import Options
from secure_gal.settings.party import LearnerSettings

WAYS: dict[str, dict[str, Any]] = {
    "as by default": {},
    "cuda_graph": {"cuda_graph": True},
    "not deterministic": {"deterministic": False},
    "cuda_graph, not deterministic": {"cuda_graph": True, "deterministic": False},
}
"""Of training `cnn`: what is compared with the default, which is what it was before there were graphs."""
FORMER = "as it was: order drawn on the CPU, the host waits at every step"
PATCH = (3, 16, 8)
"""A row of CIFAR-10 at one of eight parties."""
HEADS = {"ridge": 1.0, "encoder_width": 1023}


class OutOfTime(Exception):
    """The minutes are over."""


@contextmanager
def limit(seconds: float) -> Iterator[None]:
    """OutOfTime after so many seconds, at the next step in Python."""

    def stop(number: int, frame: FrameType | None) -> None:
        raise OutOfTime

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, max(seconds, 1e-3))
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


class Kept(logging.Handler):
    """Keeps what was warned of."""

    def __init__(self, warnings: list[str]) -> None:
        super().__init__(logging.WARNING)
        self.warnings = warnings

    def emit(self, record: logging.LogRecord) -> None:
        """Once each."""
        if (text := record.getMessage()) not in self.warnings:
            self.warnings.append(text)


@dataclass(frozen=True, slots=True)
class Size:
    """What is measured on: rows and epochs of a fit, rows of the images (0: all), rounds, width of the network."""

    rows: int = 50_000
    epochs: int = 3
    images: int = 0
    rounds: int = 10
    width: int = 64


TINY = Size(rows=1024, epochs=1, images=200, rounds=1, width=4)
"""To see on a CPU that every part runs."""


def run(data: Path, device: str, seconds: float, tiny: bool, about: dict[str, Any], out: Path | None) -> None:
    """Measure part after part and write the file after each."""
    until, size = time.monotonic() + seconds, TINY if tiny else Size()
    result = about | {"minutes": seconds / 60, "tiny": tiny, "parts": {}}
    warnings: list[str] = []
    kept = Kept(warnings)  # above all where no graph could be recorded
    logging.getLogger("secure_gal").addHandler(kept)
    for name, part in parts(data, device, size).items():
        began = time.monotonic()
        found: list[Any] = []
        ended = "finished"
        try:
            with limit(until - began):
                part(found.append)
        except OutOfTime:
            ended = "stopped: out of time"
        except Exception as error:  # the other parts are still to be had
            traceback.print_exc()
            ended = f"failed: {error}"
        told, warnings[:] = list(warnings), []
        took = time.monotonic() - began
        result["parts"][name] = {"ended": ended, "seconds": took, "found": found, "warnings": told}
        print(f"{name}: {ended}, {took:.0f} s", file=sys.stderr, flush=True)
        if out:
            output.write(result, out)
    logging.getLogger("secure_gal").removeHandler(kept)
    if out is None:
        output.write(result, None)


Part = Callable[[Callable[[Any], None]], None]
"""Measures, and hands over each record as soon as it is there."""


def parts(data: Path, device: str, size: Size) -> dict[str, Part]:
    """By name, the most important first."""

    def study(row: str, **settings: Any) -> Part:
        case = Case(
            group="gpu",
            row=row,
            data="CIFAR10",
            method="gal",
            seeds=1,
            rows=size.images,
            test_rows=size.images,
            **settings,
        )
        return lambda tell: tell(played(case, data))

    wide = {"width": size.width}
    return {
        "cnn": lambda tell: cnn(device, size, tell),
        "CIFAR-10, M = 8, cuda_graph": study(
            "GAL", learner="network", rounds=size.rounds, options=wide | {"cuda_graph": True}
        ),
        "CIFAR-10, M = 8, as by default": study("GAL", learner="network", rounds=size.rounds, options=wide),
        "CIFAR-10, M = 8, heads": study("GAL, heads", learner="heads", rounds=2 * size.rounds, options=HEADS),
        "networks": lambda tell: tell(measure_networks(min(size.rows, 16_384), size.epochs, device, False)),
        "encoders": lambda tell: tell(measure_encoders(min(size.rows, 16_384), size.epochs, device)),
    }


def cnn(device: str, size: Size, tell: Callable[[Any], None]) -> None:
    """Samples/s of training `cnn` in each way, whether the same seed gives the same bits, and how far a way's network
    is from the default's; before them the same layers in plain PyTorch, and the loop that the default has replaced
    (`gpu_former`), of whose samples/s `times_former` is the multiple."""
    rng = np.random.default_rng(0)
    r = rng.normal(size=(size.rows, OUTPUTS)).astype(np.float32)
    x = rng.normal(size=(size.rows, *PATCH)).astype(np.float32) + r[:, :3, None, None]
    plain_fit("cnn", x[:BATCH, :1], r[:BATCH], 1, device)  # kernels are loaded in it
    seconds = spent(lambda: plain_fit("cnn", x[:, :1], r, size.epochs, device), device)
    tell({"way": "plain PyTorch, one channel", "samples_per_s": size.rows * size.epochs / seconds})
    options: dict[str, Any] = {
        "epochs": size.epochs,
        "batch": BATCH,
        "patience": size.epochs,
        "width": size.width,
    }
    former, _ = way_of(functools.partial(gpu_former.fit, device=device, options=Options(**options)), x, r, size, device)
    tell({"way": FORMER} | former)
    usual: np.ndarray | None = None
    for way, chosen in WAYS.items():
        learner = make_learner(LearnerSettings(kind="cnn", device=device, options=options | chosen), Path.cwd())
        record, values = way_of(learner.fit, x, r, size, device)
        usual = values if usual is None else usual
        further = float(np.abs(values - usual).max())
        times = record["samples_per_s"] / former["samples_per_s"]
        tell({"way": way, "times_former": times} | record | {"largest_difference_to_default": further})


def way_of(
    fit: Callable[..., Any], x: np.ndarray, r: np.ndarray, size: Size, device: str
) -> tuple[dict[str, Any], np.ndarray]:
    """A record of fitting x to r twice, the first time to load kernels and have them chosen; and the fitted values."""
    first = fit(x, r, 0).predict(x)
    models: list[Any] = []
    training = spent(lambda: models.append(fit(x, r, 0)), device)
    found: list[np.ndarray] = []
    mapping = spent(lambda: found.append(models[0].predict(x)), device)
    (values,) = found
    return {
        "samples_per_s": size.rows * size.epochs / training,
        "predicted_per_s": size.rows / mapping,
        "same_bits_again": bool(np.array_equal(first, values)),
        "mean_squared_error": float(np.mean((values - r) ** 2)),
    }, values


def spent(job: Callable[[], object], device: str) -> float:
    """Seconds of one run."""
    began = time.perf_counter()
    job()
    if device != "cpu":
        torch.cuda.synchronize()
    return time.perf_counter() - began


def played(case: Case, data: Path) -> dict[str, Any]:
    """A study and how long it took, reading the images left out."""
    split = case.source.load(data, case.asked(0))
    began = time.perf_counter()
    outcome = methods.play(case, split, 0)
    return {
        "rows": len(split.y),
        "test_accuracy_by_round": outcome.trail,
        "train_loss": outcome.train_loss,
        "seconds": time.perf_counter() - began,
    }
