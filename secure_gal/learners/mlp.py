"""The network of `mlp`: hidden layers on a table's encoded columns."""

from __future__ import annotations

from torch import nn

from secure_gal.learners.torch_trainer import Build, network


def body(hidden: int, layers: int, dropout: float) -> Build:
    """`layers` layers of `hidden` units."""

    def build(inner: tuple[int, ...], k: int) -> nn.Module:
        parts: list[nn.Module] = []
        (width,) = inner
        for _ in range(layers):
            parts += [nn.Linear(width, hidden), nn.ReLU(), nn.Dropout(dropout)]
            width = hidden
        return network(nn.Sequential(*parts), width, k)

    return build
