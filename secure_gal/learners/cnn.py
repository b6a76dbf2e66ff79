"""The network of `cnn`: the paper's for images (GAL, appendix: four blocks of 64, 128, 256 and 512 channels)."""

from __future__ import annotations

import torch
from torch import nn

from secure_gal.learners.torch_trainer import Build, network


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


def body(blocks: int, width: int) -> Build:
    """`blocks` blocks, the first `width` channels wide and each next one twice that."""

    def build(inner: tuple[int, ...], k: int) -> nn.Module:
        made = ConvBody(inner[-3], tuple(width * 2**b for b in range(blocks)))
        return network(made, made.features, k)

    return build
