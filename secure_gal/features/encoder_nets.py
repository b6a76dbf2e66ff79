"""The networks of learnt encoders: what is kept of each, and the features that it gives."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from secure_gal.learners.base import EncodedRows, Placement
from secure_gal.learners.devices import choose_device, placement
from secure_gal.learners.torch_trainer import forward_all


class TableBody(nn.Module):
    """Rows (n, q) to two hidden layers side by side, (n, 2 width): the deeper one alone forgets detail."""

    def __init__(self, inner: tuple[int, ...], width: int) -> None:
        super().__init__()
        self.first = nn.Sequential(nn.Linear(inner[0], width), nn.ReLU())
        self.second = nn.Sequential(nn.Linear(width, width), nn.ReLU())
        self.columns = 2 * width

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(n, q) to (n, 2 width)."""
        first = self.first(x)
        return torch.cat([first, self.second(first)], dim=1)


class ImageBody(nn.Module):
    """Images (n, C, H, W), or views, averaged, to (n, 9 width): each of three blocks, averaged over its pixels'
    quarters (the last over all)."""

    def __init__(self, inner: tuple[int, ...], width: int) -> None:
        super().__init__()
        blocks, channels = [], inner[-3]
        for _ in range(3):
            blocks.append(nn.Sequential(nn.Conv2d(channels, width, 3, padding=1), nn.BatchNorm2d(width), nn.ReLU()))
            channels = width
        self.blocks = nn.ModuleList(blocks)
        self.shrink, self.quarters, self.whole = (
            nn.MaxPool2d(2, ceil_mode=True),
            nn.AdaptiveAvgPool2d(2),
            nn.AdaptiveAvgPool2d(1),
        )
        self.columns = 9 * width

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(n, C, H, W) or (n, V, C, H, W) to (n, 9 width)."""
        if x.ndim == 5:
            return self(x.flatten(0, 1)).unflatten(0, x.shape[:2]).mean(dim=1)  # type: ignore[no-any-return]
        seen = []
        for b, block in enumerate(self.blocks):
            x = block(x if b == 0 else self.shrink(x))
            seen.append((self.quarters if b < 2 else self.whole)(x).flatten(1))
        return torch.cat(seen, dim=1)


class SeriesBody(nn.Module):
    """Series (n, L, d), NaN after a row's last step, to (n, 3 width + 4 d): mean, largest and last state of three
    dilated convolutions, and mean, largest, smallest and last of what went in."""

    def __init__(self, inner: tuple[int, ...], width: int) -> None:
        super().__init__()
        sizes = ((inner[-1], 1), (width, 2), (width, 4))
        self.layers = nn.ModuleList(nn.Conv1d(c, width, 3, padding=d, dilation=d) for c, d in sizes)
        self.columns = 3 * width + 4 * inner[-1]

    def states(self, x: torch.Tensor, real: torch.Tensor) -> torch.Tensor:
        """(n, L, d) without NaN, and which steps are no padding (n, L), to (n, L, width)."""
        hidden = x.transpose(1, 2)
        for layer in self.layers:
            # Padding is zero before every layer, as the steps beyond the array are: its length changes nothing.
            hidden = torch.relu(layer(hidden)) * real[:, None]
        return hidden.transpose(1, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(n, L, d) to (n, 3 width + 4 d)."""
        real = ~torch.isnan(x).all(dim=2)
        clean = torch.nan_to_num(x)
        states = self.states(clean, real)
        steps = real.sum(dim=1, keepdim=True).clamp(min=1)
        rows, last = torch.arange(len(x), device=x.device), steps[:, 0] - 1
        out = []
        for values in (states, clean):
            masked = values.masked_fill(~real[..., None], 0.0)
            out += [masked.sum(dim=1) / steps, values[rows, last]]
            out.append(values.masked_fill(~real[..., None], -torch.inf).amax(dim=1))
        out.append(clean.masked_fill(~real[..., None], torch.inf).amin(dim=1))
        return torch.cat(out, dim=1)


BODIES: dict[str, tuple[type[TableBody] | type[ImageBody] | type[SeriesBody], int]] = {
    "denoising": (TableBody, 256),
    "vicreg": (ImageBody, 96),
    "masked": (SeriesBody, 64),
}
"""Body and its width, by kind of encoder."""


def new_body(kind: str, inner: tuple[int, ...]) -> TableBody | ImageBody | SeriesBody:
    """A fresh body of this kind for rows of this shape."""
    body, width = BODIES[kind]
    return body(inner, width)


@dataclass(frozen=True, slots=True)
class NetFeatures:
    """A trained, frozen body; float32 without autocast, so that features do not depend on where they are computed by
    more than rounding."""

    kind: str
    inner: tuple[int, ...]
    body: nn.Module = field(repr=False)
    device: str

    @property
    def description(self) -> str:
        """In words."""
        words = {
            "denoising": "a denoising auto-encoder",
            "vicreg": "a VICReg encoder",
            "masked": "a masked series encoder",
        }
        return words[self.kind]

    @property
    def placement(self) -> Placement:
        """Where this is run."""
        return placement(choose_device(self.device), bfloat16=False)

    def features(self, x: EncodedRows) -> npt.NDArray[np.float32]:
        """x (n, ...) to (n, columns)."""
        return forward_all(self.body, x, choose_device(self.device), bfloat16=False)

    def arrays(self) -> dict[str, npt.NDArray[Any]]:
        """The weights, for the encoder file."""
        return {f"net.{name}": values.cpu().numpy() for name, values in self.body.state_dict().items()}

    @classmethod
    def from_arrays(
        cls, kind: str, inner: tuple[int, ...], held: dict[str, npt.NDArray[Any]], device: str
    ) -> NetFeatures:
        """The inverse of `arrays`; RuntimeError where the weights are not those of this network."""
        body = new_body(kind, inner)
        weights = {
            name.removeprefix("net."): torch.from_numpy(np.array(v)) for name, v in held.items() if name[:4] == "net."
        }
        body.load_state_dict(weights)
        return cls(kind, inner, body.eval().requires_grad_(False), device)
