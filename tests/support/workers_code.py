"""A party's own module as workers may meet it, and what a pool of workers is sent."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from crypto import pool
from parties.workers.dask_pool import DaskPool

HELPER = """
import numpy as np

def slopes(x, y):
    return np.linalg.lstsq(x, y, rcond=None)[0]
"""
OWN = """
import threading
import time

import torch

import {helper}
from {helper} import slopes
{more}

class Least:
    def fit(self, x, y):
        self.w = {helper}.slopes(x, y) + 0 * slopes(x, y)
        return self

    def predict(self, x):
        return x @ self.w

class Strict(Least):
    def fit(self, x, y):
        raise ArithmeticError("not these rows")

class Locked(Least):
    def fit(self, x, y):
        self.lock = threading.Lock()
        return super().fit(x, y)

class Slow(Least):
    def fit(self, x, y):
        time.sleep({slow})
        return super().fit(x, y)

LOCK = threading.Lock()

class Unsendable(Least):
    def fit(self, x, y):
        with LOCK:
            return super().fit(x, y)

def scaled(by):
    return type("Scaled", (Least,), dict(predict=lambda self, x: by * (x @ self.w)))()

def net():
    return torch.nn.Sequential(Half(), torch.nn.Linear(3, 2))

class Half(torch.nn.Module):
    def forward(self, x):
        return x / 2
"""


def write_own(folder: Path, name: str, more: str = "", slow: float = 0.0) -> str:
    """A module of the party's own beside its file, and another one that it uses."""
    (folder / f"{name}_helper.py").write_text(HELPER)
    (folder / f"{name}.py").write_text(OWN.format(helper=f"{name}_helper", more=more, slow=slow))
    return name


class Sent:
    """How many calls a pool is given, bytes of the arrays that it is sent, and of the largest thing that is packed."""

    def __init__(self, workers: DaskPool, monkeypatch: Any) -> None:
        self.calls, self.bytes, self.largest = 0, 0, 0
        run, send, pack = workers.run, workers.send, workers.pack

        def counted_run(calls: Any) -> Any:
            self.calls += len(calls)
            return run(calls)

        def counted_send(value: Any) -> Any:
            self.bytes += value.nbytes if isinstance(value, np.ndarray) else 0
            return send(value)

        def counted_pack(value: object) -> pool.Packed:
            packed = pack(value)
            self.largest = max(self.largest, len(packed.raw))
            return packed

        monkeypatch.setattr(workers, "run", counted_run)
        monkeypatch.setattr(workers, "send", counted_send)
        monkeypatch.setattr(workers, "pack", counted_pack)
