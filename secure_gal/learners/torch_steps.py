"""A fit's steps on their device: rows in a drawn order, forward, backward, AdamW. The host waits for none of them."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from secure_gal.learners.base import EncodedRows
from secure_gal.learners.batch_norm import settle

RESIDENT_BYTES = 4 << 30
"""Bytes of float32 inputs up to which they are read once and kept on the device; larger ones are read by batch."""


def laid_out(x: torch.Tensor) -> torch.Tensor:
    """Images with channels last in memory: 1.1 to 1.45 times as fast on a CPU; on CUDA it was not measured."""
    return x.contiguous(memory_format=torch.channels_last) if x.ndim == 4 else x


class Inputs:
    """Rows of x (n, ...) as float32 tensors on a device, all at once where they fit, else a batch at a time."""

    def __init__(self, x: EncodedRows, device: torch.device) -> None:
        self._x, self._device = x, device
        self._all: torch.Tensor | None = None
        if 4 * int(np.prod(x.shape)) <= RESIDENT_BYTES:
            with suppress(torch.cuda.OutOfMemoryError):  # then by batch: slower, the same result
                self._all = self._read(slice(None))

    def __len__(self) -> int:
        return len(self._x)

    @property
    def resident(self) -> bool:
        """Whether all rows lie on the device."""
        return self._all is not None

    def __getitem__(self, rows: torch.Tensor | slice) -> torch.Tensor:
        if self._all is not None:
            return laid_out(self._all[rows])
        return self._read(rows if isinstance(rows, slice) else rows.cpu().numpy())

    def _read(self, rows: slice | npt.NDArray[np.int64]) -> torch.Tensor:
        values = np.array(self._x[rows], dtype=np.float32)  # a copy: torch wants memory that it may write to
        return laid_out(torch.from_numpy(values).to(self._device))


@dataclass(frozen=True, slots=True)
class Objective:
    """What a step lowers: mean |r - f|^power of a module's outputs f.

    Attributes:
        run: the module, or the module compiled.
        target: r, (n, K), on the device that trains.
        mixed: whether forward passes run in bfloat16 autocast.
        clip: largest gradient norm.
    """

    module: nn.Module
    run: Callable[[torch.Tensor], torch.Tensor]
    inputs: Inputs
    target: torch.Tensor
    power: float
    mixed: bool
    clip: float

    def autocast(self) -> torch.autocast:
        """For forward passes."""
        return torch.autocast(self.target.device.type, dtype=torch.bfloat16, enabled=self.mixed)

    def loss(self, output: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        """Of outputs and targets (n, K)."""
        left = (output.reshape(target.shape).float() - target).abs()
        return (left**self.power).mean()

    def step(self, adam: torch.optim.Optimizer, rows: torch.Tensor) -> None:
        """Forward, backward and one move of the weights."""
        adam.zero_grad(set_to_none=True)
        inputs, target = self.inputs[rows], self.target[rows]
        with self.autocast():
            output = self.run(inputs)
        self.loss(output, target).backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(self.module.parameters(), self.clip)
        adam.step()

    def epoch(
        self, step: Callable[[torch.Tensor], None], rows: torch.Tensor, size: int, generator: torch.Generator
    ) -> None:
        """All rows once, in steps of `size`, in an order that is drawn on their device."""
        order = rows[torch.randperm(len(rows), generator=generator, device=rows.device)]
        batches = torch.split(order, size)
        batches = tuple(b for b in batches if len(b) > 1 or len(rows) == 1)  # batch norm needs two rows
        self.module.train()
        for batch in batches:
            step(batch)
        with self.autocast():
            settle(self.module, (self.inputs[batch] for batch in batches))

    def held_out(self, rows: torch.Tensor, size: int) -> torch.Tensor:
        """The mean loss of these rows, on the device."""
        self.module.eval()
        total = torch.zeros((), device=self.target.device)
        with torch.inference_mode(), self.autocast():
            for batch in torch.split(rows, size):
                total += self.loss(self.module(self.inputs[batch]), self.target[batch]) * len(batch)
        return total / len(rows)
