"""k-means patch features on a GPU: the dictionary's steps and the codes of images, as `encoder_kmeans` defines them.

Patches and first atoms are drawn on the host by the same generator, so a GPU finds the dictionary that a CPU finds, to
float32's rounding. On a CPU the same operations in torch take as long for the codes and twice as long for the
dictionary, after an import of a second: there NumPy stays.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch.nn.functional import pad

from secure_gal.errors import EnvironmentFailure
from secure_gal.features.encoder_kmeans import CONTRAST, PAD, STEPS, THRESHOLD, KMeansPatches
from secure_gal.learners.base import EncodedRows, Placement
from secure_gal.learners.devices import choose_device, placement

Array = npt.NDArray[np.float32]
BLOCK_ROWS = 16_384
"""Patches of a step that are compared with all atoms at a time."""
BATCH_VALUES = 1 << 26
"""Codes computed at a time: 256 MiB, and about twice that on the way."""


@dataclass(frozen=True, slots=True)
class KMeansOnDevice:
    """Patch features that are computed where `[learner] device` says."""

    patches: KMeansPatches
    device: str

    @classmethod
    def fit(cls, x: EncodedRows, seed: int, device: str) -> KMeansOnDevice:
        """Learn from encoded training images x (N, C, H, W) or (N, V, C, H, W).

        Raises:
            EnvironmentFailure: the GPU is out of memory.
        """
        chosen = choose_device(device)
        try:
            return cls(KMeansPatches.fit(x, seed, lambda z, atoms: spherical_kmeans(z, atoms, chosen)), device)
        except torch.cuda.OutOfMemoryError as error:
            raise _full("training the encoder") from error

    @property
    def description(self) -> str:
        """In words."""
        return self.patches.description

    @property
    def placement(self) -> Placement:
        """Where this is run."""
        return placement(choose_device(self.device), bfloat16=False)

    def features(self, x: EncodedRows) -> Array:
        """x (n, C, H, W), or views, whose features are averaged, to (n, cells * 2 k).

        Raises:
            EnvironmentFailure: the GPU is out of memory.
        """
        device, held = choose_device(self.device), self.patches
        mean, atoms = (torch.from_numpy(values).to(device) for values in (held.mean, held.atoms))
        step = max(1, BATCH_VALUES // (int(np.prod(x.shape[-2:])) * held.atoms.shape[1]))
        parts = []
        try:
            for start in range(0, len(x), step):
                raw = torch.from_numpy(np.array(x[start : start + step], dtype=np.float32)).to(device)
                found = codes(raw.flatten(0, -4), mean, atoms, held)
                parts.append((found if raw.ndim == 4 else found.view(*raw.shape[:2], -1).mean(dim=1)).cpu().numpy())
        except torch.cuda.OutOfMemoryError as error:
            raise _full("mapping rows") from error
        return np.concatenate(parts)

    def arrays(self) -> dict[str, npt.NDArray[Any]]:
        """For the encoder file, which any device reads."""
        return self.patches.arrays()


def spherical_kmeans(points: Array, atoms: Array, device: torch.device) -> Array:
    """Unit atoms (k, q) from points (s, q) and first atoms, as `encoder_kmeans.spherical_kmeans`.

    A point's share goes to its atom by a product with a matrix that has one value a row, not by adding up at an
    index: a GPU adds those in the order in which they come, and the same seed would not give the same atoms.
    """
    held, found = torch.from_numpy(points).to(device), torch.from_numpy(atoms).to(device)
    for _ in range(STEPS):
        total = found.clone()  # damping
        for block in torch.split(held, BLOCK_ROWS):
            similar = block @ found.T
            best = similar.abs().argmax(dim=1, keepdim=True)
            shares = torch.zeros_like(similar).scatter_(1, best, similar.gather(1, best))
            total += shares.T @ block
        found = total / total.norm(dim=1, keepdim=True).clamp(min=1e-12)
    return found.cpu().numpy()


def codes(images: torch.Tensor, mean: torch.Tensor, atoms: torch.Tensor, held: KMeansPatches) -> torch.Tensor:
    """Images (n, C, H, W) to (n, cells * 2 k), for all images at once."""
    padded = pad(images, (PAD, PAD, PAD, PAD))
    windows = padded.unfold(2, held.side, held.stride).unfold(3, held.side, held.stride)
    patches = windows.permute(0, 2, 3, 1, 4, 5).flatten(3)  # (n, down, across, C side^2)
    centred = patches - patches.mean(dim=-1, keepdim=True)
    normal = centred / (centred.square().mean(dim=-1, keepdim=True) + CONTRAST).sqrt()
    z = (normal - mean) @ atoms
    cells = []
    for rows in z.tensor_split(held.grid[0], dim=1):
        for cell in rows.tensor_split(held.grid[1], dim=2):
            cells += [(sign * cell - THRESHOLD).clamp(min=0).mean(dim=(1, 2)) for sign in (1, -1)]
    return torch.cat(cells, dim=1)


def _full(doing: str) -> EnvironmentFailure:
    return EnvironmentFailure(f'the GPU ran out of memory {doing}; free memory on it, or use [learner] device = "cpu"')
