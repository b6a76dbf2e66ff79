"""`lstm` and `gru`: recurrent networks for series (GAL, appendix: one LSTM layer of 128 units, Adam at 1e-3)."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from secure_gal.errors import SettingsError
from secure_gal.learners.torch_trainer import TorchLearner, network, share, whole

DEFAULTS = {"epochs": 20, "batch": 128, "rate": 1e-3}
CELLS = {"lstm": nn.LSTM, "gru": nn.GRU}
OUTPUTS = ("last", "mean")


class RecurrentBody(nn.Module):
    """Series (n, L, d), NaN after a row's last step, to (n, hidden): the state at the last step, or the mean over
    steps.

    Since the head is linear, the mean over steps of the states is the mean of a per-step output: every step of the
    series is asked for the target, not the last one alone.
    """

    def __init__(self, kind: str, columns: int, hidden: int, layers: int, dropout: float, output: str) -> None:
        super().__init__()
        inner = dropout if layers > 1 else 0.0
        self.cells = CELLS[kind](columns, hidden, layers, batch_first=True, dropout=inner)
        self.drop, self.output = nn.Dropout(dropout), output

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(n, L, d) to (n, hidden)."""
        real = ~torch.isnan(x).all(dim=2)
        # Padding comes after all real steps, and a recurrent state knows only earlier ones: no packing is needed.
        states, _ = self.cells(torch.nan_to_num(x))
        if self.output == "last":
            last = real.sum(dim=1).clamp(min=1) - 1
            return self.drop(states[torch.arange(len(x), device=x.device), last])  # type: ignore[no-any-return]
        weights = real.to(states.dtype) / real.sum(dim=1, keepdim=True).clamp(min=1)
        return self.drop((states * weights[..., None]).sum(dim=1))  # type: ignore[no-any-return]


def recurrent(kind: str, loss: str, device: str, options: dict[str, Any]) -> TorchLearner:
    """`hidden` units, `layers`, `dropout`, `output` (`last` or `mean`), and the trainer's own options."""
    left: dict[str, Any] = DEFAULTS | options
    hidden, layers = whole(left, "hidden", 128, 1, 8192), whole(left, "layers", 1, 1, 16)
    dropout, output = share(left, "dropout", 0.0), str(left.pop("output", "last"))
    if output not in OUTPUTS:
        raise SettingsError("[learner.options] output", f"{output!r}; accepted: {', '.join(OUTPUTS)}")

    def build(inner: tuple[int, ...], k: int) -> nn.Module:
        return network(RecurrentBody(kind, inner[-1], hidden, layers, dropout, output), hidden, k)

    return TorchLearner(build, loss, device, **left)
