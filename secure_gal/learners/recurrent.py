"""The networks of `lstm` and `gru`, for series (GAL, appendix)."""

from __future__ import annotations

import torch
from torch import nn

from secure_gal.errors import StateError
from secure_gal.learners.recurrent_options import RecurrentOptions
from secure_gal.learners.torch_trainer import Build, network

CELLS = {"lstm": nn.LSTM, "gru": nn.GRU}


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
        match self.output:
            case "last":
                last = real.sum(dim=1).clamp(min=1) - 1
                return self.drop(states[torch.arange(len(x), device=x.device), last])  # type: ignore[no-any-return]
            case "mean":
                weights = real.to(states.dtype) / real.sum(dim=1, keepdim=True).clamp(min=1)
                return self.drop((states * weights[..., None]).sum(dim=1))  # type: ignore[no-any-return]
            case _:
                raise StateError(f"no output of a recurrent network is called {self.output!r}")


def body(kind: str, options: RecurrentOptions) -> Build:
    """An `lstm` or a `gru`."""

    def build(inner: tuple[int, ...], k: int) -> nn.Module:
        hidden, output = options.hidden, options.output
        made = RecurrentBody(kind, inner[-1], hidden, options.layers, options.dropout, output)
        return network(made, hidden, k)

    return build
