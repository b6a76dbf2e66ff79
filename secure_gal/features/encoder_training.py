"""Training an encoder on a party's own rows alone: no label and no residual is an argument of anything here."""

from __future__ import annotations

import logging
from collections.abc import Callable

import torch
from torch import nn

from secure_gal.errors import EnvironmentFailure
from secure_gal.features.encoder_nets import ImageBody, NetFeatures, SeriesBody, new_body
from secure_gal.features.encoder_options import BATCH, epochs_for
from secure_gal.learners.base import EncodedRows
from secure_gal.learners.devices import choose_device, seeded
from secure_gal.learners.torch_steps import Inputs

log = logging.getLogger(__name__)
RATE, DECAY, CLIP = 1e-3, 1e-4, 5.0
HIDDEN_SHARE = 0.3
"""Share of values that are hidden from a denoising or masked encoder."""
EXPANDED = 512
"""Width of VICReg's expander."""
INVARIANCE, VARIANCE, COVARIANCE = 25.0, 25.0, 1.0
"""VICReg's weights of its three terms (Bardes, Ponce and LeCun, ICLR 2022, section 4.2)."""


def train(kind: str, x: EncodedRows, seed: int, epochs: int, device_name: str) -> NetFeatures:
    """Train the network of this kind on encoded training rows x (N, ...).

    Raises:
        EnvironmentFailure: the GPU is out of memory.
    """
    device, inner = choose_device(device_name), tuple(int(n) for n in x.shape[1:])
    epochs = epochs_for(epochs, len(x))
    with seeded(seed, device) as generator:
        body = new_body(kind, inner)
        try:
            task = OBJECTIVES[kind](body, inner).to(device)
            _optimise(task, Inputs(x, device), epochs, generator)
        except torch.cuda.OutOfMemoryError as error:
            raise EnvironmentFailure(
                f"the GPU ran out of memory training the encoder, at {BATCH} rows a step; free memory "
                'on it, or use [learner] device = "cpu"'
            ) from error
    return NetFeatures(kind, inner, body.to("cpu").eval().requires_grad_(False), device_name)


def _optimise(task: nn.Module, x: Inputs, epochs: int, generator: torch.Generator) -> None:
    adam = torch.optim.AdamW(task.parameters(), lr=RATE, weight_decay=DECAY, fused=True)
    decline = torch.optim.lr_scheduler.CosineAnnealingLR(adam, epochs)
    task.train()
    for epoch in range(1, epochs + 1):
        loss = _epoch(task, x, adam, generator)
        decline.step()
        log.info("encoder epoch %d of %d: loss %.4f", epoch, epochs, float(loss))


def _epoch(task: nn.Module, x: Inputs, adam: torch.optim.Optimizer, generator: torch.Generator) -> torch.Tensor:
    """All rows once; returns the mean loss on the device, so that the host waits for nothing in it."""
    losses = []
    for rows in torch.split(torch.randperm(len(x), generator=generator, device=generator.device), BATCH):
        if len(rows) == 1 and len(x) > 1:
            continue  # variance and batch norm need two rows
        adam.zero_grad(set_to_none=True)
        loss = task(x[rows], generator)
        loss.backward()
        nn.utils.clip_grad_norm_(task.parameters(), CLIP)
        adam.step()
        losses.append(loss.detach())
    return torch.stack(losses).mean()


def _chosen(shape: torch.Size, share: float, generator: torch.Generator) -> torch.Tensor:
    """A random mask of this shape, True with probability `share`, on the generator's device."""
    return torch.rand(shape, generator=generator, device=generator.device) < share


class Denoising(nn.Module):
    """Denoising auto-encoder (Vincent et al., JMLR 2010): hidden columns hold another row's value, all are restored."""

    def __init__(self, body: nn.Module, inner: tuple[int, ...]) -> None:
        super().__init__()
        self.body, self.back = body, nn.Linear(body.columns, inner[0])  # type: ignore[arg-type]

    def forward(self, x: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        """Mean squared error of what is restored from (n, q)."""
        others = x[torch.randperm(len(x), generator=generator, device=x.device)]
        corrupted = torch.where(_chosen(x.shape, HIDDEN_SHARE, generator), others, x)
        return (self.back(self.body(corrupted)) - x).square().mean()  # type: ignore[no-any-return]


class Masked(nn.Module):
    """Whole steps of a series are zeroed and restored from those around them (Zerveas et al., KDD 2021, by
    convolution)."""

    def __init__(self, body: SeriesBody, inner: tuple[int, ...]) -> None:
        super().__init__()
        self.body, self.back = body, nn.LazyLinear(inner[-1])

    def forward(self, x: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        """Mean squared error on hidden steps of (n, L, d)."""
        real, clean = ~torch.isnan(x).all(dim=2), torch.nan_to_num(x)
        hidden = _chosen(real.shape, HIDDEN_SHARE, generator) & real
        restored = self.back(self.body.states(clean.masked_fill(hidden[..., None], 0.0), real))
        wrong = (restored - clean).square().mean(dim=2) * hidden
        return wrong.sum() / hidden.sum().clamp(min=1)  # type: ignore[no-any-return]


class VICReg(nn.Module):
    """VICReg (Bardes, Ponce and LeCun, ICLR 2022): two disturbed copies get the same code; variance and decorrelation
    of the code's columns keep it from collapsing."""

    def __init__(self, body: ImageBody, inner: tuple[int, ...]) -> None:
        super().__init__()
        self.body = body
        self.expand = nn.Sequential(
            nn.Linear(body.columns, EXPANDED), nn.BatchNorm1d(EXPANDED), nn.ReLU(), nn.Linear(EXPANDED, EXPANDED)
        )

    def forward(self, x: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        """The loss of (n, C, H, W), or of views, which are disturbed alike."""
        one, other = (self.expand(self.body(_disturb(x, generator))) for _ in range(2))
        similar = (one - other).square().mean()
        spread = sum(torch.relu(1 - (z.var(dim=0) + 1e-4).sqrt()).mean() / 2 for z in (one, other))
        apart = sum(_off_diagonal(z) for z in (one, other))
        return INVARIANCE * similar + VARIANCE * spread + COVARIANCE * apart  # type: ignore[no-any-return]


def _off_diagonal(z: torch.Tensor) -> torch.Tensor:
    centred = z - z.mean(dim=0)
    covariance = centred.T @ centred / max(1, len(z) - 1)
    return (covariance.square().sum() - covariance.diagonal().square().sum()) / z.shape[1]


def _disturb(x: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Shift by up to an eighth, contrast, brightness, noise, and one hidden rectangle. No flips: digits have a side.

    All of it on the device of x, which is the generator's, for all images at once.
    """
    device, n, height, width = x.device, len(x), x.shape[-2], x.shape[-1]
    wide = (n, *([1] * (x.ndim - 1)))

    def uniform(low: float, high: float) -> torch.Tensor:
        return (low + (high - low) * torch.rand(n, generator=generator, device=device)).view(wide)

    down, across = (
        torch.randint(-(size // 8), size // 8 + 1, (n, 1), generator=generator, device=device)
        for size in (height, width)
    )
    ys, xs = (torch.arange(size, device=device)[None, :] for size in (height, width))
    moved = _shifted(x, (ys + down).clamp(0, height - 1), (xs + across).clamp(0, width - 1))
    noise = torch.randn(x.shape, generator=generator, device=device)
    changed = moved * uniform(0.7, 1.3) + uniform(-0.2, 0.2) + 0.1 * noise
    top, left = (torch.rand(n, generator=generator, device=device)[:, None] * size * 0.7 for size in (height, width))
    inside_y, inside_x = (ys >= top) & (ys < top + 0.3 * height), (xs >= left) & (xs < left + 0.3 * width)
    hidden = inside_y[:, :, None] & inside_x[:, None, :]
    return changed.masked_fill(hidden.view(n, *([1] * (x.ndim - 3)), height, width), 0.0)


def _shifted(x: torch.Tensor, rows: torch.Tensor, columns: torch.Tensor) -> torch.Tensor:
    """Pixel (i, j) of image m of x (n, ..., H, W) is the one at (rows[m, i], columns[m, j])."""
    planes = x.flatten(1, -3) if x.ndim > 3 else x[:, None]
    down = planes.gather(2, rows[:, None, :, None].expand_as(planes))
    return down.gather(3, columns[:, None, None, :].expand_as(planes)).view(x.shape)


OBJECTIVES: dict[str, Callable[..., nn.Module]] = {"denoising": Denoising, "masked": Masked, "vicreg": VICReg}
