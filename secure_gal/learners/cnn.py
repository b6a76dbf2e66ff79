"""`cnn`: the paper's convolutional network for images (GAL, appendix: four blocks of 64, 128, 256 and 512 channels)."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from secure_gal.learners.torch_trainer import TorchLearner, network, whole

DEFAULTS = {"epochs": 10, "batch": 512, "rate": 1e-3, "schedule": "cosine"}
"""The paper's ten local epochs in batches of 512."""


class ConvBody(nn.Module):
    """Images (n, C, H, W) to (n, features): blocks of 3x3 convolution, batch norm, ReLU and 2x2 max-pool, then the
    mean.

    Images in views (n, V, C, H, W) go through the same blocks, and the largest value over views is taken (Su et al.,
    ICCV 2015). Pools round up, so an image may be as small as one pixel.
    """

    def __init__(self, channels: int, widths: tuple[int, ...]) -> None:
        super().__init__()
        parts: list[nn.Module] = []
        for width in widths:
            parts += [
                nn.Conv2d(channels, width, 3, padding=1),
                nn.BatchNorm2d(width),
                nn.ReLU(),
                nn.MaxPool2d(2, ceil_mode=True),
            ]
            channels = width
        self.blocks = nn.Sequential(*parts[:-1], nn.AdaptiveAvgPool2d(1), nn.Flatten())
        self.features = channels

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(n, C, H, W) or (n, V, C, H, W) to (n, features)."""
        if x.ndim == 4:
            return self.blocks(x)  # type: ignore[no-any-return]
        return self.blocks(x.flatten(0, 1)).unflatten(0, x.shape[:2]).amax(dim=1)  # type: ignore[no-any-return]


def cnn(loss: str, device: str, options: dict[str, Any]) -> TorchLearner:
    """`blocks` blocks, the first `width` channels wide and each next one twice that, and the trainer's own options."""
    left: dict[str, Any] = DEFAULTS | options
    blocks, width = whole(left, "blocks", 4, 1, 8), whole(left, "width", 64, 1, 4096)

    def build(inner: tuple[int, ...], k: int) -> nn.Module:
        body = ConvBody(inner[-3], tuple(width * 2**b for b in range(blocks)))
        return network(body, body.features, k)

    return TorchLearner(build, loss, device, **left)
