"""Training a torch module on the pseudo-residual: `mlp`, `cnn`, `lstm`, `gru` and users' own modules."""

from __future__ import annotations

import copy
import functools
import logging
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from secure_gal.errors import EnvironmentFailure, SettingsError
from secure_gal.learners.base import EncodedRows, Placement
from secure_gal.learners.cross_fit import NETWORK_FOLDS
from secure_gal.learners.cuda_graphs import GraphedStep, has_graphs
from secure_gal.learners.declare import POWERS
from secure_gal.learners.devices import choose_device, compiler, out_of_memory, placement, seeded, uses_bfloat16
from secure_gal.learners.fold_workers import Timing
from secure_gal.learners.torch_options import TorchOptions
from secure_gal.learners.torch_steps import Inputs, Objective, laid_out

log = logging.getLogger(__name__)
HELD_OUT = 0.1
"""Share of the residual's rows kept aside for early stopping."""
PREDICT_VALUES = {"cpu": 1 << 17, "cuda": 1 << 22}
"""Input values of a forward pass without gradients, by device: bounds its memory whatever the shape of a row. A block's
activations are up to 64 times that: 32 MiB on a CPU, where 60,000 patches at once would take gigabytes and leave every
cache; 1 GiB on a GPU, which waits for every pass."""
SMALL_BATCH, LARGE_BATCH, MANY_BATCHES = 256, 1024, 20
"""Rows of a step where the file says `auto`: the large one where an epoch has so many of them. `mlp` takes a third of
the time so on adult and half on bank (39,000 and 36,000 rows), and its test loss is no worse."""
Build = Callable[[tuple[int, ...], int], nn.Module]


def batch_of(chosen: int | str, rows: int) -> int:
    """Rows of a step, where so many train; `chosen` as `TorchOptions.batch`."""
    if not isinstance(chosen, str):
        return chosen
    return LARGE_BATCH if rows >= MANY_BATCHES * LARGE_BATCH else SMALL_BATCH


def network(body: nn.Module, features: int, outputs: int) -> nn.Sequential:
    """A body (n, ...) to (n, features) and a linear head on it: the two parts that a shared extractor takes apart."""
    return nn.Sequential(body, nn.Linear(features, outputs))


def forward_all(module: nn.Module, x: EncodedRows, device: torch.device, bfloat16: bool) -> npt.NDArray[np.float32]:
    """The module's outputs (n, q) for rows x (n, ...), in evaluation mode and without gradients.

    Raises:
        EnvironmentFailure: the GPU is out of memory.
    """
    step = max(1, PREDICT_VALUES[device.type] // max(1, int(np.prod(x.shape[1:]))))
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

    def predict(self, x: EncodedRows) -> npt.NDArray[np.float64]:
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
        self._build, self._power, self._device, self.timing = build, POWERS[loss], device, Timing()

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

    def fit(self, x: EncodedRows, residual: npt.NDArray[np.float32], seed: int) -> TorchModel:
        """Fit x (n, ...) to the pseudo-residual (n, K).

        Raises:
            EnvironmentFailure: the GPU is out of memory; names a batch that fits.
        """
        device = choose_device(self._device)
        scale = float(np.sqrt(np.mean(residual.astype(np.float64) ** 2))) or 1.0
        with seeded(seed, device, self._options.deterministic) as generator:
            module = self._build(tuple(x.shape[1:]), residual.shape[1])
            if len(x.shape) == 4:
                module = module.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
            order = torch.randperm(len(x), generator=generator, device=device)
            held = max(1, int(len(x) * HELD_OUT)) if len(x) >= 20 else 0
            try:
                module = module.to(device)
                r = torch.from_numpy(residual / np.float32(scale)).to(device)
                self._train(self._objective(module, Inputs(x, device), r), order[held:], order[:held], generator)
            except torch.cuda.OutOfMemoryError as error:
                attempt = lambda n: self._one_step(module, x, residual, n, device)  # noqa: E731
                raise out_of_memory(min(self._batch(len(order) - held), len(x)), attempt) from error
        return TorchModel(module.to("cpu").eval(), scale, self._device, self._options.precision)

    def _objective(self, module: nn.Module, inputs: Inputs, r: torch.Tensor) -> Objective:
        mixed = uses_bfloat16(self._options.precision, r.device)
        run = torch.compile(module) if self._options.compile else module
        return Objective(module, run, inputs, r, self._power, mixed, self._options.clip)

    def _one_step(
        self, module: nn.Module, x: EncodedRows, residual: npt.NDArray[np.float32], rows: int, device: torch.device
    ) -> None:
        """Forward and backward at so many rows, only to see whether they fit."""
        r, module = torch.from_numpy(residual[:rows]).to(device), module.to(device).train()
        tried = self._objective(module, Inputs(x[:rows], device), r)
        with tried.autocast():
            output = module(tried.inputs[:])
        tried.loss(output, r).backward()  # type: ignore[no-untyped-call]

    def _train(self, objective: Objective, rows: torch.Tensor, held: torch.Tensor, generator: torch.Generator) -> None:
        options, module, size = self._options, objective.module, self._batch(len(rows))
        step, adam = self._stepping(objective, size)
        decline = (
            torch.optim.lr_scheduler.CosineAnnealingLR(adam, options.epochs) if options.schedule == "cosine" else None
        )
        best, best_loss, since = copy.deepcopy(module.state_dict()), float("inf"), 0
        for epoch in range(1, options.epochs + 1):
            objective.epoch(step, rows, size, generator)
            if decline is not None:
                decline.step()
            if not len(held):
                log.info("epoch %d of %d", epoch, options.epochs)
                continue
            now = float(objective.held_out(held, max(self._batch(len(held)), 1024)))
            log.info("epoch %d of %d: held-out loss %.4f", epoch, options.epochs, now)
            if now < best_loss - 1e-5:
                best, best_loss, since = copy.deepcopy(module.state_dict()), now, 0
            else:
                since += 1
                if since >= options.patience:
                    break
        if len(held) and best_loss < float("inf"):
            module.load_state_dict(best)

    def _stepping(
        self, objective: Objective, size: int
    ) -> tuple[Callable[[torch.Tensor], None], torch.optim.Optimizer]:
        """A step on row numbers, and the optimiser that it moves."""
        options, device = self._options, objective.target.device
        graphed = options.cuda_graph and has_graphs(device)
        if graphed and not objective.inputs.resident:
            log.warning("cuda_graph: steps are launched one by one, since the rows do not fit on the GPU")
            graphed = False
        rate = torch.tensor(options.rate, device=device) if graphed else options.rate  # a graph reads it where it lies
        adam = torch.optim.AdamW(
            objective.module.parameters(), rate, weight_decay=options.weight_decay, fused=True, capturable=graphed
        )
        step = functools.partial(objective.step, adam)
        return GraphedStep(step, size) if graphed else step, adam

    def _batch(self, rows: int) -> int:
        return batch_of(self._options.batch, rows)
