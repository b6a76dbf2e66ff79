"""Training a torch module on the pseudo-residual: `mlp`, `cnn`, `lstm`, `gru` and users' own modules."""

from __future__ import annotations

import copy
import logging
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from secure_gal.errors import EnvironmentFailure, SettingsError
from secure_gal.learners.base import Placement
from secure_gal.learners.batch_norm import settle
from secure_gal.learners.cross_fit import NETWORK_FOLDS
from secure_gal.learners.declare import POWERS
from secure_gal.learners.devices import choose_device, compiler, out_of_memory, placement, seeded, uses_bfloat16
from secure_gal.learners.torch_options import TorchOptions

log = logging.getLogger(__name__)
HELD_OUT = 0.1
"""Share of the residual's rows kept aside for early stopping."""
PREDICT_VALUES = 1 << 17
"""Input values of a forward pass without gradients: bounds its memory whatever the shape of a row. A block's
activations are up to 64 times that: 32 MiB, where 60,000 patches at once would take gigabytes and leave every cache."""
RESIDENT_BYTES = 4 << 30
"""Bytes of float32 inputs up to which they are read once and kept on the device; larger ones are read by batch."""
SMALL_BATCH, LARGE_BATCH, MANY_BATCHES = 256, 1024, 20
"""Rows of a step where the file says `auto`: the large one where an epoch has so many of them. `mlp` takes a third of
the time so on adult and half on bank (39,000 and 36,000 rows), and its test loss is no worse."""
Build = Callable[[tuple[int, ...], int], nn.Module]


def network(body: nn.Module, features: int, outputs: int) -> nn.Sequential:
    """A body (n, ...) to (n, features) and a linear head on it: the two parts that a shared extractor takes apart."""
    return nn.Sequential(body, nn.Linear(features, outputs))


def laid_out(x: torch.Tensor) -> torch.Tensor:
    """Images with channels last in memory: 1.1 to 1.45 times as fast on a CPU; on CUDA it was not measured."""
    return x.contiguous(memory_format=torch.channels_last) if x.ndim == 4 else x


class Inputs:
    """Rows of x (n, ...) as float32 tensors on a device, all at once where they fit, else a batch at a time."""

    def __init__(self, x: Any, device: torch.device) -> None:
        self._x, self._device = x, device
        self._all: torch.Tensor | None = None
        if 4 * int(np.prod(x.shape)) <= RESIDENT_BYTES:
            with suppress(torch.cuda.OutOfMemoryError):  # then by batch: slower, the same result
                self._all = self._read(slice(None))

    def __len__(self) -> int:
        return len(self._x)

    def __getitem__(self, rows: torch.Tensor | slice) -> torch.Tensor:
        if self._all is not None:
            return laid_out(self._all[rows])
        return self._read(rows if isinstance(rows, slice) else rows.cpu().numpy())

    def _read(self, rows: Any) -> torch.Tensor:
        values = np.array(self._x[rows], dtype=np.float32)  # a copy: torch wants memory that it may write to
        return laid_out(torch.from_numpy(values).to(self._device))


def forward_all(module: nn.Module, x: Any, device: torch.device, bfloat16: bool) -> npt.NDArray[np.float32]:
    """The module's outputs (n, q) for rows x (n, ...), in evaluation mode and without gradients.

    Raises:
        EnvironmentFailure: the GPU is out of memory.
    """
    step = max(1, PREDICT_VALUES // max(1, int(np.prod(x.shape[1:]))))
    parts = [np.zeros((0, 0), dtype=np.float32)] if not len(x) else []
    try:
        module = module.to(device).eval()
        with torch.inference_mode(), torch.autocast(device.type, dtype=torch.bfloat16, enabled=bfloat16):
            for start in range(0, len(x), step):
                batch = laid_out(torch.from_numpy(np.array(x[start : start + step], dtype=np.float32)).to(device))
                parts.append(module(batch).reshape(len(batch), -1).float().cpu().numpy())
    except torch.cuda.OutOfMemoryError as error:
        raise EnvironmentFailure(
            'the GPU ran out of memory while predicting; free memory on it, or use [learner] device = "cpu"'
        ) from error
    finally:
        module.to("cpu")
    return np.concatenate(parts)


@dataclass(slots=True)
class TorchModel:
    """A trained module with the residual's scale; kept on the CPU, so that it loads where there is no GPU."""

    module: nn.Module
    scale: float
    device: str
    precision: str = "auto"

    def predict(self, x: Any) -> npt.NDArray[np.float64]:
        """x (n, ...) to (n, K)."""
        device = choose_device(self.device)
        values = forward_all(self.module, x, device, uses_bfloat16(self.precision, device))
        return values.astype(np.float64) * self.scale


class TorchLearner:
    """AdamW on the local loss mean |r - f|^power, gradients clipped, stopped early on a held-out tenth of the rows.

    Args:
        build: a fresh module from the shape of one row and K.
        loss: `l1`, `l1.5`, `l2` or `l4`.
        device: as `devices` takes it.
        options: how it is trained.

    Raises:
        SettingsError: a device or a precision that is not there, or no compiler where one is asked for.
    """

    def __init__(self, build: Build, loss: str, device: str, options: TorchOptions | None = None) -> None:
        self._options = options or TorchOptions()
        if self._options.compile and compiler() is None:
            raise SettingsError(
                "[learner.options] compile",
                "True; accepted: false, since no C++ compiler is here: install g++, or name one in the environment "
                "variable CXX",
            )
        uses_bfloat16(self._options.precision, choose_device(device))
        self._build, self._power, self._device = build, POWERS[loss], device

    default_folds = NETWORK_FOLDS

    @property
    def device(self) -> str:
        """As the party file names it."""
        return self._device

    @property
    def precision(self) -> str:
        """As the party file names it."""
        return self._options.precision

    @property
    def placement(self) -> Placement:
        """Where this computes, and how exactly."""
        device = choose_device(self._device)
        return placement(device, uses_bfloat16(self._options.precision, device))

    def fit(self, x: Any, residual: npt.NDArray[np.float32], seed: int) -> TorchModel:
        """Fit x (n, ...) to the pseudo-residual (n, K).

        Raises:
            EnvironmentFailure: the GPU is out of memory; names a batch that fits.
        """
        device = choose_device(self._device)
        scale = float(np.sqrt(np.mean(residual.astype(np.float64) ** 2))) or 1.0
        with seeded(seed, device) as generator:
            module = self._build(tuple(x.shape[1:]), residual.shape[1])
            if len(x.shape) == 4:
                module = module.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
            order = torch.randperm(len(x), generator=generator, device=device)
            held = max(1, int(len(x) * HELD_OUT)) if len(x) >= 20 else 0
            try:
                module = module.to(device)
                target = torch.from_numpy(residual / np.float32(scale)).to(device)
                self._train(module, Inputs(x, device), target, order[held:], order[:held], generator, device)
            except torch.cuda.OutOfMemoryError as error:
                attempt = lambda n: self._one_step(module, x, residual, n, device)  # noqa: E731
                raise out_of_memory(min(self._batch(len(order) - held), len(x)), attempt) from error
        return TorchModel(module.to("cpu").eval(), scale, self._device, self._options.precision)

    def _loss(self, output: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        left = (output.reshape(target.shape).float() - target).abs()
        return (left**self._power).mean()

    def _one_step(
        self, module: nn.Module, x: Any, residual: npt.NDArray[np.float32], rows: int, device: torch.device
    ) -> None:
        """Forward and backward at so many rows, only to see whether they fit."""
        batch = laid_out(torch.from_numpy(np.array(x[:rows], dtype=np.float32)).to(device))
        target = torch.from_numpy(residual[:rows]).to(device)
        module = module.to(device).train()
        with torch.autocast(device.type, dtype=torch.bfloat16, enabled=uses_bfloat16(self._options.precision, device)):
            output = module(batch)
        self._loss(output, target).backward()  # type: ignore[no-untyped-call]

    def _train(
        self,
        module: nn.Module,
        x: Inputs,
        r: torch.Tensor,
        rows: torch.Tensor,
        held: torch.Tensor,
        generator: torch.Generator,
        device: torch.device,
    ) -> None:
        options = self._options
        adam = torch.optim.AdamW(module.parameters(), lr=options.rate, weight_decay=options.weight_decay, fused=True)
        decline = (
            torch.optim.lr_scheduler.CosineAnnealingLR(adam, self._options.epochs)
            if self._options.schedule == "cosine"
            else None
        )
        run: Callable[[torch.Tensor], torch.Tensor] = torch.compile(module) if self._options.compile else module
        mixed = uses_bfloat16(self._options.precision, device)
        best, best_loss, since = copy.deepcopy(module.state_dict()), float("inf"), 0
        for epoch in range(1, self._options.epochs + 1):
            self._epoch(run, module, adam, x, r, rows, generator)
            if decline is not None:
                decline.step()
            if not len(held):
                log.info("epoch %d of %d", epoch, self._options.epochs)
                continue
            now = float(self._held_out_loss(module, x, r, held, mixed))
            log.info("epoch %d of %d: held-out loss %.4f", epoch, self._options.epochs, now)
            if now < best_loss - 1e-5:
                best, best_loss, since = copy.deepcopy(module.state_dict()), now, 0
            else:
                since += 1
                if since >= self._options.patience:
                    break
        if len(held) and best_loss < float("inf"):
            module.load_state_dict(best)

    def _epoch(
        self,
        run: Callable[[torch.Tensor], torch.Tensor],
        module: nn.Module,
        adam: torch.optim.Optimizer,
        x: Inputs,
        r: torch.Tensor,
        rows: torch.Tensor,
        generator: torch.Generator,
    ) -> None:
        """All rows once, in an order that is drawn on their device; the host waits for nothing in it."""
        mixed = uses_bfloat16(self._options.precision, r.device)
        order = rows[torch.randperm(len(rows), generator=generator, device=rows.device)]
        batches = torch.split(order, self._batch(len(rows)))
        batches = tuple(b for b in batches if len(b) > 1 or len(rows) == 1)  # batch norm needs two rows
        module.train()
        for batch in batches:
            self._step(run, module, adam, x[batch], r[batch], mixed)
        with torch.autocast(r.device.type, dtype=torch.bfloat16, enabled=mixed):
            settle(module, (x[batch] for batch in batches))

    def _batch(self, rows: int) -> int:
        """Rows of a step, where so many train."""
        chosen = self._options.batch
        if not isinstance(chosen, str):
            return chosen
        return LARGE_BATCH if rows >= MANY_BATCHES * LARGE_BATCH else SMALL_BATCH

    def _step(
        self,
        run: Callable[[torch.Tensor], torch.Tensor],
        module: nn.Module,
        adam: torch.optim.Optimizer,
        inputs: torch.Tensor,
        target: torch.Tensor,
        mixed: bool,
    ) -> None:
        adam.zero_grad(set_to_none=True)
        with torch.autocast(inputs.device.type, dtype=torch.bfloat16, enabled=mixed):
            output = run(inputs)
        self._loss(output, target).backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(module.parameters(), self._options.clip)
        adam.step()

    def _held_out_loss(
        self, module: nn.Module, x: Inputs, r: torch.Tensor, held: torch.Tensor, mixed: bool
    ) -> torch.Tensor:
        """Their mean loss, on the device."""
        module.eval()
        total = torch.zeros((), device=r.device)
        with torch.inference_mode(), torch.autocast(r.device.type, dtype=torch.bfloat16, enabled=mixed):
            for batch in torch.split(held, max(self._batch(len(held)), 1024)):
                total += self._loss(module(x[batch]), r[batch]) * len(batch)
        return total / len(held)
