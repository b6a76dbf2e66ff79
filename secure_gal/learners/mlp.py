"""`mlp` and users' own torch modules: trained with PyTorch on the party's GPU or CPU."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from secure_gal.errors import EnvironmentFailure, SettingsError
from secure_gal.learners.base import POWERS

HELD_OUT = 0.1
"""Share of the residual's rows kept aside for early stopping."""
BATCH_PREDICT = 65_536


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


@dataclass(slots=True)
class TorchModel:
    """A trained module with the residual's scale; kept on the CPU."""

    module: nn.Module
    scale: float
    device: str

    def predict(self, x: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """x (n, p) to (n, K)."""
        device = choose_device(self.device)
        module = self.module.to(device).eval()
        parts = []
        with torch.inference_mode():
            for start in range(0, len(x), BATCH_PREDICT):
                batch = torch.from_numpy(x[start : start + BATCH_PREDICT].astype(np.float32)).to(device)
                parts.append(module(batch).reshape(len(batch), -1).float().cpu().numpy())
        self.module.to("cpu")
        return np.concatenate(parts).astype(np.float64) * self.scale


class TorchLearner:
    """Adam on the local loss with early stopping; `build(p, K)` makes a fresh module."""

    def __init__(
        self, build: Callable[[int, int], nn.Module], loss: str, device: str, *, epochs: int = 50, batch: int = 256,
        rate: float = 3e-3, weight_decay: float = 1e-4, patience: int = 5,
    ) -> None:  # fmt: skip
        self._build, self._power, self._device = build, POWERS[loss], device
        self._epochs, self._batch, self._rate = epochs, batch, rate
        self._decay, self._patience = weight_decay, patience
        choose_device(device)

    def fit(self, x: npt.NDArray[np.float64], residual: npt.NDArray[np.float32], seed: int) -> TorchModel:
        """Fit x (n, p) to the pseudo-residual (n, K)."""
        device = choose_device(self._device)
        scale = float(np.sqrt(np.mean(residual.astype(np.float64) ** 2))) or 1.0
        with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
            torch.manual_seed(seed)
            module = self._build(x.shape[1], residual.shape[1]).to(device)
            generator = torch.Generator().manual_seed(seed)
            order = torch.randperm(len(x), generator=generator)
            held = max(1, int(len(x) * HELD_OUT)) if len(x) >= 20 else 0
            inputs = torch.from_numpy(x.astype(np.float32)).to(device)
            target = torch.from_numpy(residual / np.float32(scale)).to(device)
            try:
                self._train(module, inputs, target, order[held:], order[:held], generator, device)
            except torch.cuda.OutOfMemoryError as error:
                raise EnvironmentFailure(f"the GPU ran out of memory at batch {self._batch}; set [learner.options] "
                                         f"batch = {max(1, self._batch // 2)}") from error  # fmt: skip
        return TorchModel(module.to("cpu").eval(), scale, self._device)

    def _loss(self, output: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        left = (output.reshape(target.shape).float() - target).abs()
        return (left**self._power).mean()

    def _train(
        self, module: nn.Module, x: torch.Tensor, r: torch.Tensor, rows: torch.Tensor, held: torch.Tensor,
        generator: torch.Generator, device: torch.device,
    ) -> None:  # fmt: skip
        adam = torch.optim.AdamW(module.parameters(), lr=self._rate, weight_decay=self._decay)
        best, best_loss, since = copy.deepcopy(module.state_dict()), float("inf"), 0
        mixed = device.type == "cuda"
        for _ in range(self._epochs):
            module.train()
            shuffled = rows[torch.randperm(len(rows), generator=generator)].to(device)
            for batch in torch.split(shuffled, self._batch):
                if len(batch) == 1 and len(rows) > 1:
                    continue  # batch norm needs two rows
                adam.zero_grad(set_to_none=True)
                with torch.autocast(device.type, dtype=torch.bfloat16, enabled=mixed):
                    output = module(x[batch])
                self._loss(output, r[batch]).backward()  # type: ignore[no-untyped-call]
                nn.utils.clip_grad_norm_(module.parameters(), 5.0)
                adam.step()
            if not len(held):
                continue
            module.eval()
            with torch.inference_mode():
                now = float(self._loss(module(x[held]), r[held]))
            if now < best_loss - 1e-5:
                best, best_loss, since = copy.deepcopy(module.state_dict()), now, 0
            else:
                since += 1
                if since >= self._patience:
                    break
        if len(held) and best_loss < float("inf"):
            module.load_state_dict(best)


def mlp(loss: str, device: str, options: dict[str, Any]) -> TorchLearner:
    """Two hidden layers by default: `hidden` units, `layers`, `dropout`, and the trainer's own options."""
    left = dict(options)
    hidden, layers, dropout = (
        int(left.pop("hidden", 64)),
        int(left.pop("layers", 2)),
        float(left.pop("dropout", 0.0)),
    )

    def build(p: int, k: int) -> nn.Module:
        parts: list[nn.Module] = []
        width = p
        for _ in range(layers):
            parts += [nn.Linear(width, hidden), nn.ReLU(), nn.Dropout(dropout)]
            width = hidden
        return nn.Sequential(*parts, nn.Linear(width, k))

    return TorchLearner(build, loss, device, **left)
