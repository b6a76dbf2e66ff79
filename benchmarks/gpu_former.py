"""The training loop of networks as it was before the host stopped waiting for the device (commit f991ac2), to measure
the present one against on the same device: a baseline, and nothing that the product runs.

The order of rows is drawn on the CPU, and every step sends its row numbers to the device twice, which waits for them;
AdamW goes parameter by parameter or by `foreach`, as torch chooses; and every batch of held-out rows is waited for.
Network, options, precision, kernels of cuDNN, batch norm's statistics and early stopping are those of `TorchLearner`.
"""

from __future__ import annotations

import copy

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from secure_gal.learners.batch_norm import settle
from secure_gal.learners.cnn import body
from secure_gal.learners.devices import choose_device, seeded, uses_bfloat16
from secure_gal.learners.kinds.cnn import Options
from secure_gal.learners.torch_steps import Inputs, Objective
from secure_gal.learners.torch_trainer import HELD_OUT, TorchModel, batch_of

Array = npt.NDArray[np.float32]


def fit(x: Array, residual: Array, seed: int, device: str, options: Options) -> TorchModel:
    """A `cnn` on x (n, C, H, W), by the loss l2, to the pseudo-residual (n, K): what `TorchLearner.fit` returns."""
    on = choose_device(device)
    scale = float(np.sqrt(np.mean(residual.astype(np.float64) ** 2))) or 1.0
    with seeded(seed, on):
        generator = torch.Generator().manual_seed(seed)
        module = body(options.blocks, options.width)(x.shape[1:], residual.shape[1])
        module = module.to(memory_format=torch.channels_last).to(on)  # type: ignore[call-overload]
        order = torch.randperm(len(x), generator=generator)
        held = max(1, int(len(x) * HELD_OUT)) if len(x) >= 20 else 0
        r = torch.from_numpy(residual / np.float32(scale)).to(on)
        mixed = uses_bfloat16(options.precision, on)
        objective = Objective(module, module, Inputs(x, on), r, 2.0, mixed, options.clip)
        _train(objective, options, order[held:], order[:held], generator)
    return TorchModel(module.to("cpu").eval(), scale, device, options.precision)


def _train(
    objective: Objective, options: Options, rows: torch.Tensor, held: torch.Tensor, generator: torch.Generator
) -> None:
    module, size = objective.module, batch_of(options.batch, len(rows))
    adam = torch.optim.AdamW(module.parameters(), options.rate, weight_decay=options.weight_decay)
    decline = torch.optim.lr_scheduler.CosineAnnealingLR(adam, options.epochs) if options.schedule == "cosine" else None
    best, best_loss, since = copy.deepcopy(module.state_dict()), float("inf"), 0
    for _ in range(options.epochs):
        batches = torch.split(rows[torch.randperm(len(rows), generator=generator)], size)
        batches = tuple(b for b in batches if len(b) > 1 or len(rows) == 1)
        module.train()
        for batch in batches:
            _step(objective, adam, batch)
        if decline is not None:
            decline.step()
        with objective.autocast():
            settle(module, (objective.inputs[batch.to(objective.target.device)] for batch in batches))
        if not len(held):
            continue
        now = _held_out(objective, held, max(size, 1024))
        if now < best_loss - 1e-5:
            best, best_loss, since = copy.deepcopy(module.state_dict()), now, 0
        elif (since := since + 1) >= options.patience:
            break
    if len(held) and best_loss < float("inf"):
        module.load_state_dict(best)


def _step(objective: Objective, adam: torch.optim.Optimizer, batch: torch.Tensor) -> None:
    """Of rows whose numbers lie on the CPU: sent for the inputs, and sent again for their targets."""
    device = objective.target.device
    adam.zero_grad(set_to_none=True)
    inputs, target = objective.inputs[batch.to(device)], objective.target[batch.to(device)]
    with objective.autocast():
        output = objective.run(inputs)
    objective.loss(output, target).backward()  # type: ignore[no-untyped-call]
    nn.utils.clip_grad_norm_(objective.module.parameters(), objective.clip)
    adam.step()


def _held_out(objective: Objective, held: torch.Tensor, size: int) -> float:
    """The mean loss of these rows; the host waits for every batch of it."""
    objective.module.eval()
    total, device = 0.0, objective.target.device
    with torch.inference_mode(), objective.autocast():
        for batch in torch.split(held, size):
            output = objective.module(objective.inputs[batch.to(device)])
            total += float(objective.loss(output, objective.target[batch.to(device)])) * len(batch)
    return total / len(held)
