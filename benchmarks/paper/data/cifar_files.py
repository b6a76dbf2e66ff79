"""CIFAR-10 as its authors publish it: the binary version, `cifar-10-batches-bin`, which needs no pickle.

A file is rows of 3,073 bytes: the class, then 1,024 bytes each of red, green and blue, row by row of the image.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from benchmarks.paper.data.split import Pick

FOLDER = "cifar10/cifar-10-batches-bin"
TRAIN = tuple(f"data_batch_{i}.bin" for i in range(1, 6))
TEST = "test_batch.bin"
SHAPE = (3, 32, 32)
ROW_BYTES = 1 + 3 * 32 * 32
CLASSES = 10


def there(folder: Path) -> bool:
    """Whether the folder of data sets holds all files."""
    return all((folder / FOLDER / name).exists() for name in (*TRAIN, TEST))


def read(folder: Path, train: Pick, test: Pick) -> tuple[np.ndarray, ...]:
    """Training images (N, 3, 32, 32) as uint8, their classes (N,), and the same of the test part, of the rows that
    are picked.

    Raises:
        ValueError: a file that is no whole number of rows, or holds another class than 0 to 9; names it.
    """
    files = [_one(folder / FOLDER / name) for name in TRAIN]
    x, y = (np.concatenate(part) for part in zip(*files, strict=True))
    new, new_y = _one(folder / FOLDER / TEST)
    old_rows, new_rows = train(len(y)), test(len(new_y))
    return x[old_rows], y[old_rows], new[new_rows], new_y[new_rows]


def _one(path: Path) -> tuple[np.ndarray, np.ndarray]:
    raw = np.fromfile(path, dtype=np.uint8)
    if not len(raw) or len(raw) % ROW_BYTES:
        raise ValueError(f"{path}: {len(raw)} bytes; rows of {ROW_BYTES} bytes are due")
    rows = raw.reshape(-1, ROW_BYTES)
    if rows[:, 0].max() >= CLASSES:
        raise ValueError(f"{path}: row {int(rows[:, 0].argmax())} has class {rows[:, 0].max()}; 0 to 9 are due")
    return rows[:, 1:].reshape(-1, *SHAPE), rows[:, 0].astype(np.int64)
