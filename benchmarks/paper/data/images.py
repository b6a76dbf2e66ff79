"""MNIST and CIFAR-10 as a grid of patches, one a party; the sets' own test parts."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from benchmarks.paper.data import cifar_files, jpeg
from benchmarks.paper.data.encoded import encoded
from benchmarks.paper.data.split import Asked, Split

GRIDS = {1: (1, 1), 2: (1, 2), 4: (2, 2), 8: (2, 4)}
"""Patches down and across, by M, as in the paper's code."""


def mnist(folder: Path, asked: Asked) -> Split:
    """28 x 28 digits; of 8 parties each has 14 x 7."""
    with np.load(folder / "mnist/mnist.npz", allow_pickle=False) as file:
        x, y, new, new_y = (file[name] for name in ("X_train", "y_train", "X_test", "y_test"))
    chosen, test = asked.train(len(y)), asked.test(len(new_y))
    return patches(x[chosen][:, None], y[chosen], new[test][:, None], new_y[test], asked.parties)


def cifar10(folder: Path, asked: Asked) -> Split:
    """32 x 32 colour images; of 8 parties each has 16 x 8. The original files where they are there, else JPEG copies
    of quality 75, compressed `asked.jpeg` times more."""
    read = cifar_files.read if cifar_files.there(folder) else jpeg.read
    x, y, new, new_y = read(folder, asked.train, asked.test)
    for shift in jpeg.SHIFTS[: asked.jpeg]:
        x, new = (jpeg.compressed(images, shift) for images in (x, new))
    return patches(x, y, new, new_y, asked.parties)


def patches(x: np.ndarray, y: np.ndarray, new: np.ndarray, new_y: np.ndarray, parties: int = 8) -> Split:
    """Images (N, C, H, W) to a grid of patches, row by row: the sponsor has the one at the top left."""
    down, across = GRIDS[parties]

    def cut(images: np.ndarray) -> list[np.ndarray]:
        return [part for row in np.split(images, down, axis=2) for part in np.split(row, across, axis=3)]

    blocks, tests = encoded(list(zip(cut(x), cut(new), strict=True)))
    (joint,), (test_joint,) = encoded([(x, new)])
    return Split(blocks, joint, y.astype(np.int64), tests, test_joint, new_y.astype(np.int64))
