"""Training and encoding speed of the deep local models, on the CPU and on CUDA where there is one.

    python -m benchmarks.gpu [--device cuda] [--compile] [--rows N] [--epochs N] [--threads N] [--out FILE]
    python -m benchmarks.gpu --all --data DIR [--minutes 8] [--tiny]    # what a GPU is to tell (gpu_all.py)

For each network: samples/s and seconds a round, in float32, the same without `deterministic`, in bfloat16 autocast and
(`--compile`, where a compiler is) through torch.compile in the device's default precision, beside the paper's network
in plain PyTorch on the same device: the same layers and batch, Adam, a data loader, no autocast and no held-out rows.
Compiling itself falls into the run that warms up.
Encoders: samples/s of training and of mapping. `--device` measures one device alone. A machine without CUDA is said to
have none; nothing is estimated.
"""

from __future__ import annotations

import argparse
import json
import platform
import sys
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from benchmarks import output
from secure_gal.features.encoder import Encoder
from secure_gal.features.encoder_options import EncoderOptions
from secure_gal.learners import make_learner
from secure_gal.learners.cnn import ConvBody
from secure_gal.learners.devices import compiler
from secure_gal.learners.recurrent import RecurrentBody
from secure_gal.learners.torch_trainer import network
from secure_gal.settings.party import LearnerSettings

OUTPUTS = 10
BATCH = 512
SHAPES = {"mlp": (98,), "cnn": (1, 14, 7), "lstm": (48, 14)}
"""A row of MNIST's patch as columns and as image, and 48 hours of 14 clinical columns."""
ENCODERS = {"denoising": "mlp", "kmeans": "cnn", "vicreg": "cnn", "masked": "lstm"}
REPEATS = 3
NAMED = {"compile": "compiled", "deterministic": "not deterministic"}
"""Options that a record names."""


def plain_network(kind: str) -> nn.Module:
    """The paper's network: MLP of two layers of 64, four conv blocks, or an LSTM of 128."""
    if kind == "mlp":
        return nn.Sequential(nn.Linear(98, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, OUTPUTS))
    if kind == "cnn":
        return network(ConvBody(1, (64, 128, 256, 512)), 512, OUTPUTS)
    return network(RecurrentBody("lstm", 14, 128, 1, 0.0, "last"), 128, OUTPUTS)


def plain_fit(kind: str, x: np.ndarray, r: np.ndarray, epochs: int, device: str) -> None:
    """A plain loop: data loader, Adam, mean squared error; then the fitted values of all rows."""
    torch.manual_seed(0)
    module = plain_network(kind).to(device)
    adam = torch.optim.Adam(module.parameters(), lr=1e-3)
    rows = DataLoader(TensorDataset(torch.from_numpy(x), torch.from_numpy(r)), batch_size=BATCH, shuffle=True)
    for _ in range(epochs):
        module.train()
        for inputs, target in rows:
            adam.zero_grad()
            nn.functional.mse_loss(module(inputs.to(device)), target.to(device)).backward()  # type: ignore[no-untyped-call]
            nn.utils.clip_grad_norm_(module.parameters(), 1.0)
            adam.step()
    module.eval()
    with torch.no_grad():
        for inputs, _ in DataLoader(TensorDataset(torch.from_numpy(x), torch.from_numpy(r)), batch_size=BATCH):
            module(inputs.to(device)).cpu()


def our_fit(kind: str, x: np.ndarray, r: np.ndarray, epochs: int, device: str, **options: Any) -> None:
    """One round of a party: fit and fitted values."""
    chosen = {"epochs": epochs, "batch": BATCH, "rate": 1e-3, "patience": epochs, **options}
    model = make_learner(LearnerSettings(kind=kind, device=device, options=chosen), Path.cwd()).fit(x, r, 0)
    model.predict(x)


class Seconds(NamedTuple):
    """Of the wall, and of CPU by all threads: what a busy machine disturbs less."""

    wall: float
    cpu: float


def seconds(job: Callable[[], object], device: str) -> Seconds:
    """Best of REPEATS, after one run that warms up allocators and kernels."""
    found = []
    for _ in range(REPEATS + 1):
        began, at = time.perf_counter(), time.process_time()
        job()
        if device != "cpu":
            torch.cuda.synchronize()
        found.append(Seconds(time.perf_counter() - began, time.process_time() - at))
    return Seconds(min(one.wall for one in found[1:]), min(one.cpu for one in found[1:]))


def measure_networks(rows: int, epochs: int, device: str, compiled: bool) -> list[dict[str, Any]]:
    """One record a network and precision."""
    rng, records = np.random.default_rng(0), []
    for kind, shape in SHAPES.items():
        x = rng.normal(size=(rows, *shape)).astype(np.float32)
        r = rng.normal(size=(rows, OUTPUTS)).astype(np.float32)
        plain = seconds(partial(plain_fit, kind, x, r, epochs, device), device)
        records.append(
            {
                "what": f"{kind}, plain PyTorch",
                "device": device,
                "precision": "float32",
                "seconds_round": plain.wall,
                "cpu_seconds_round": plain.cpu,
                "samples_per_s": rows * epochs / plain.wall,
            }
        )
        settings: list[dict[str, Any]] = [
            {"precision": "float32"},
            {"precision": "float32", "deterministic": False},
            {"precision": "bfloat16"},
        ]
        if compiled and compiler():
            settings.append({"precision": "float32" if device == "cpu" else "bfloat16", "compile": True})
        for options in settings:
            ours = seconds(partial(our_fit, kind, x, r, epochs, device, **options), device)
            records.append(
                {
                    "what": ", ".join([kind, *(name for option, name in NAMED.items() if option in options)]),
                    "device": device,
                    "precision": options["precision"],
                    "seconds_round": ours.wall,
                    "cpu_seconds_round": ours.cpu,
                    "samples_per_s": rows * epochs / ours.wall,
                    "speed_over_plain": plain.wall / ours.wall,
                }
            )
        for record in records[-1 - len(settings) :]:
            print(json.dumps(record), file=sys.stderr, flush=True)
    return records


def measure_encoders(rows: int, epochs: int, device: str) -> list[dict[str, Any]]:
    """One record an encoder: training and mapping."""
    rng, records = np.random.default_rng(0), []
    for kind, like in ENCODERS.items():
        x = rng.normal(size=(rows, *SHAPES[like])).astype(np.float32)
        options = EncoderOptions(kind, 255, epochs, device)
        training = seconds(partial(Encoder.fit, x, 0, options), device).wall
        encoder = Encoder.fit(x, 0, options)
        mapping = seconds(partial(encoder.transform, x), device).wall
        passes = 1 if kind == "kmeans" else epochs
        records.append(
            {
                "what": f"encoder {kind}",
                "device": device,
                "precision": "float32",
                "seconds_training": training,
                "training_samples_per_s": rows * passes / training,
                "mapping_samples_per_s": rows / mapping,
            }
        )
        print(json.dumps(records[-1]), file=sys.stderr, flush=True)
    return records


def main(arguments: Sequence[str] | None = None) -> None:
    """Parse arguments, measure, print one JSON object to stdout or --out."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=4096)
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--threads", type=int, default=0, help="CPU threads of torch (default: all)")
    parser.add_argument("--out", type=Path)
    parser.add_argument("--device", choices=("cpu", "cuda"), help="this one alone (default: all that are there)")
    parser.add_argument("--compile", action="store_true", help="through torch.compile as well; compiling takes minutes")
    parser.add_argument("--all", action="store_true", help="networks, studies of CIFAR-10 and encoders, as time allows")
    parser.add_argument("--data", type=Path, help="folder of data sets, for --all")
    parser.add_argument("--minutes", type=float, default=8.0, help="of --all; what is measured by then is written")
    parser.add_argument("--tiny", action="store_true", help="--all on a few rows, to see that it runs")
    chosen = parser.parse_args(arguments)
    if chosen.all and not chosen.data:
        parser.error("--all needs --data DIR, with cifar10/ in it")
    if chosen.threads:
        torch.set_num_threads(chosen.threads)
    there = ["cpu", "cuda"] if torch.cuda.is_available() else ["cpu"]
    if chosen.device and chosen.device not in there:
        parser.error(f"--device {chosen.device}: there is none on this machine")
    devices = [chosen.device] if chosen.device else there
    about = {
        "date": time.strftime("%Y-%m-%d"),
        "machine": f"{platform.machine()}, {torch.get_num_threads()} threads, Python {platform.python_version()}, "
        f"torch {torch.__version__}",
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else "none on this machine: CUDA not measured",
    }
    if chosen.all:
        from benchmarks import gpu_all

        gpu_all.run(chosen.data, devices[-1], 60 * chosen.minutes, chosen.tiny, about, chosen.out)
        return
    result = about | {
        "rows": chosen.rows,
        "epochs": chosen.epochs,
        "batch": BATCH,
        "networks": [
            r for device in devices for r in measure_networks(chosen.rows, chosen.epochs, device, chosen.compile)
        ],
        "encoders": [r for device in devices for r in measure_encoders(chosen.rows, chosen.epochs, device)],
    }
    output.write(result, chosen.out)


if __name__ == "__main__":
    main()
