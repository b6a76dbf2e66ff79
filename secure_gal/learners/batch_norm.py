"""Batch norm's statistics for evaluation, taken anew from the current weights.

The usual running averages lag behind: after the few steps of a local fit on a small party's rows they are mostly what
they began as. Wu and Johnson, Rethinking "Batch" in BatchNorm (arXiv 2105.07576), section 3: average over a few batches
instead.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import nn

BATCHES = 8
"""Batches that statistics are averaged over."""


def settle(module: nn.Module, batches: Iterable[torch.Tensor]) -> None:
    """Replace running means and variances by averages over the first BATCHES batches; leaves training mode on."""
    norms = [part for part in module.modules() if isinstance(part, nn.modules.batchnorm._BatchNorm)]
    if not norms:
        return
    momenta = [norm.momentum for norm in norms]
    module.train()
    for norm in norms:
        norm.reset_running_stats()
    with torch.no_grad():
        for count, batch in enumerate(batches, 1):
            for norm in norms:
                norm.momentum = 1.0 / count  # a plain average; torch's own reads its count from the device
            module(batch)
            if count == BATCHES:
                break
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
