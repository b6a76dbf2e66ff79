"""What a network gains and loses by larger batches: rows a second, and the loss of rows that a fit has not seen.

    python -m benchmarks.batches --data DIR [--kinds lstm,gru,cnn] [--batches 128,256,512] [--rows 4000] [--epochs 0]

`lstm` and `gru` fit hospital deaths to the monitor's series of PhysioNet 2012 (48 hours, 14 columns), `cnn` the digits
of MNIST to a patch of 14 x 7; both as in round 1, the label less its mean. Every other option is the learner's default,
but for `--epochs` where it is not 0. Two folds: each half is fitted, and the other half's loss is its mean squared
error over that of the mean. Seconds are of CPU, on one thread, of both fits; samples a second are rows of a step times
steps over them, with what early stopping and batch norm cost.
"""

from __future__ import annotations

import argparse
import json
import logging
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks import harness, output
from benchmarks.paper.data.clinical import physionet
from benchmarks.paper.data.images import mnist
from benchmarks.paper.data.split import Asked
from secure_gal.learners import make_learner
from secure_gal.settings.party import LearnerSettings


class Epochs(logging.Handler):
    """Counts epochs, from the trainer's log."""

    def __init__(self) -> None:
        super().__init__(logging.INFO)
        self.count = 0

    def emit(self, record: logging.LogRecord) -> None:
        """One line an epoch."""
        self.count += record.getMessage().startswith("epoch ")


def problem(kind: str, data: Path, rows: int) -> tuple[np.ndarray, np.ndarray]:
    """x (rows, ...) and the first residual (rows, K)."""
    asked = Asked(seed=0, rows=rows, test_rows=rows, parties=8)
    if kind == "cnn":
        split = mnist(data, asked)
        labels = np.eye(10, dtype=np.float32)[split.y]
        return split.blocks[1], labels - labels.mean(axis=0)
    split = physionet(data, asked, "In-hospital_death")
    died = split.y[:, None].astype(np.float32)
    return split.blocks[0], died - died.mean(axis=0)


def measure(kind: str, x: np.ndarray, r: np.ndarray, options: dict[str, Any], epochs: Epochs) -> dict[str, Any]:
    """Both folds of one batch."""
    learner = make_learner(LearnerSettings(kind=kind, device="cpu", options=options), Path.cwd())
    half, squares, spent, steps = len(x) // 2, 0.0, 0.0, 0.0
    for fitted, other in ((slice(half), slice(half, None)), (slice(half, None), slice(half))):
        epochs.count, began = 0, time.process_time()
        model = learner.fit(x[fitted], r[fitted], 0)
        spent += time.process_time() - began
        steps += epochs.count * 0.9 * len(x[fitted])
        squares += float(((model.predict(x[other]) - r[other]) ** 2).sum())
    return {
        "kind": kind,
        **options,
        "rows_a_fold": half,
        "cpu_seconds": spent,
        "epochs_of_both": round(steps / (0.9 * half)),
        "samples_per_cpu_s": steps / spent,
        "loss": squares / float((r**2).sum()),
    }


def measured(chosen: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """A record a kind and batch."""
    epochs = Epochs()
    logger = logging.getLogger("secure_gal.learners.torch_trainer")
    logger.addHandler(epochs)
    logger.setLevel(logging.INFO)
    for kind in chosen.kinds.split(","):
        x, r = problem(kind, chosen.data, chosen.rows)
        for batch in map(int, chosen.batches.split(",")):
            options = {"batch": batch} | ({"epochs": chosen.epochs} if chosen.epochs else {})
            yield measure(kind, x, r, options, epochs)


def main() -> None:
    """Parse arguments; a line a record, and JSON where `--out` says."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--kinds", default="lstm,gru,cnn")
    parser.add_argument("--batches", default="64,128,256,512,1024")
    parser.add_argument("--rows", type=int, default=4000)
    parser.add_argument("--epochs", type=int, default=0)
    parser.add_argument("--out", type=Path)
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    records = []
    for record in measured(chosen):
        print(json.dumps(record), file=sys.stderr, flush=True)
        records.append(record)
    output.write({"machine": harness.machine(), "records": records}, chosen.out)


if __name__ == "__main__":
    main()
