"""3-D objects of voxels, seen from 12 sides."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from benchmarks.paper.data.encoded import encoded
from benchmarks.paper.data.split import Asked, Split

VIEWS = 12


def modelnet10(folder: Path, asked: Asked) -> Split:
    """Depth images (1, 32, 32) of voxel objects from 12 sides, one a party; Joint sees all views, in views."""
    with np.load(folder / "modelnet10/modelnet10.npz", allow_pickle=False) as file:
        x, y, new, new_y = (file[name] for name in ("X_train", "y_train", "X_test", "y_test"))
    chosen, test = asked.train(len(y)), asked.test(len(new_y))
    views, new_views = render(x[chosen]), render(new[test])
    blocks, tests = encoded([(a, b) for a, b in zip(views, new_views, strict=True)])
    return Split(
        blocks,
        np.stack(blocks, axis=1),
        y[chosen].astype(np.int64),
        tests,
        np.stack(tests, axis=1),
        new_y[test].astype(np.int64),
    )


def render(voxels: np.ndarray) -> list[np.ndarray]:
    """VIEWS depth images (N, 1, 32, 32) around the vertical axis: 1 at the front, 0 where the ray meets nothing."""
    size = voxels.shape[1]
    centre = (size - 1) / 2
    across, depth = np.meshgrid(np.arange(size) - centre, np.arange(size) - centre, indexing="ij")
    filled, near = voxels.astype(np.bool_), 1 - np.arange(size, dtype=np.float32) / size
    views = []
    for angle in 2 * np.pi * np.arange(VIEWS) / VIEWS:
        a = np.rint(np.cos(angle) * across - np.sin(angle) * depth + centre).astype(int)
        b = np.rint(np.sin(angle) * across + np.cos(angle) * depth + centre).astype(int)
        inside = (a >= 0) & (a < size) & (b >= 0) & (b < size)
        turned = filled[:, a.clip(0, size - 1), b.clip(0, size - 1)] & inside[None, :, :, None]
        first = turned.argmax(axis=2)
        image = np.where(turned.any(axis=2), near[first], 0.0)
        views.append(image.transpose(0, 2, 1)[:, None].astype(np.float32))
    return views
