"""`mlp`: a multi-layer perceptron on a table's encoded columns."""

from __future__ import annotations

from typing import Any

from torch import nn

from secure_gal.learners.torch_trainer import TorchLearner, network, share, whole


def mlp(loss: str, device: str, options: dict[str, Any]) -> TorchLearner:
    """Two hidden layers by default: `hidden` units, `layers`, `dropout`, and the trainer's own options."""
    left = dict(options)
    hidden, layers = whole(left, "hidden", 64, 1, 65_536), whole(left, "layers", 2, 1, 64)
    dropout = share(left, "dropout", 0.0)

    def build(inner: tuple[int, ...], k: int) -> nn.Module:
        parts: list[nn.Module] = []
        (width,) = inner
        for _ in range(layers):
            parts += [nn.Linear(width, hidden), nn.ReLU(), nn.Dropout(dropout)]
            width = hidden
        return network(nn.Sequential(*parts), width, k)

    return TorchLearner(build, loss, device, **left)
