"""CIFAR-10 as JPEG copies of quality 75, and what such copies cost.

Compressing a copy once more on the same grid of 8 x 8 blocks changes little, since its coefficients are already
multiples of the quantiser's steps. On a shifted grid they are not, so an error of about the size of the first one is
added (a little smaller: the copy is smoother than its original). What one and two such compressions cost the accuracy
is what the first one can be expected to have cost. Needs pillow.
"""

from __future__ import annotations

import io
import lzma
from pathlib import Path

import numpy as np

from benchmarks.paper.data.split import Pick

SHIFTS = ((4, 4), (2, 6))
"""Where the grid of each further compression begins, down and across, inside 8 x 8 blocks (16 x 16 for colour)."""
QUALITY = 75


def read(folder: Path, train: Pick, test: Pick) -> tuple[np.ndarray, ...]:
    """Training images (N, 3, 32, 32) as uint8, their classes (N,), and the same of the test part; only rows that are
    picked are decoded."""
    parts: list[np.ndarray] = []
    for name, pick in (("train", train), ("test", test)):
        with np.load(io.BytesIO(lzma.open(folder / f"cifar10/cifar10_jpeg_{name}.npz.xz").read())) as file:
            jpeg, offsets, y = file["jpeg"], file["offsets"], file["y"]
        parts += [_decoded(jpeg, offsets, rows := pick(len(y))), y[rows]]
    return tuple(parts)


def _decoded(jpeg: np.ndarray, offsets: np.ndarray, rows: np.ndarray) -> np.ndarray:
    from PIL import Image

    images = np.empty((len(rows), 3, 32, 32), dtype=np.uint8)
    for i, row in enumerate(rows):
        picture = Image.open(io.BytesIO(jpeg[offsets[row] : offsets[row + 1]].tobytes()))
        images[i] = np.asarray(picture.convert("RGB")).transpose(2, 0, 1)
    return images


def compressed(images: np.ndarray, shift: tuple[int, int]) -> np.ndarray:
    """Images (n, 3, 32, 32), uint8, compressed once more on a grid that begins elsewhere; edges are mirrored around
    it."""
    from PIL import Image

    (down, across), result = shift, np.empty_like(images)
    wide = np.pad(images, ((0, 0), (0, 0), (down, 16 - down), (across, 16 - across)), mode="symmetric")
    for i, image in enumerate(wide.transpose(0, 2, 3, 1)):
        file = io.BytesIO()
        Image.fromarray(image).save(file, "JPEG", quality=QUALITY)
        again = np.asarray(Image.open(file)).transpose(2, 0, 1)
        result[i] = again[:, down : down + 32, across : across + 32]
    return result
