"""What the JPEG copies, fewer local epochs and bfloat16 cost `benchmarks.deep cifar10`.

    python -m benchmarks.deep_costs --data DIR [--rows N] [--rounds T] [--width N] [--repeats N] [--out FILE]

One thing is changed at a time from BASE: a smaller study than the full one, so that every cell can be repeated.

JPEG: the originals are not at hand, only copies of quality 75. Compressing a copy once more on the same grid of 8 x 8
blocks changes little, since its coefficients are already multiples of the quantiser's steps. On a shifted grid they are
not, so an error of about the size of the first one is added (a little smaller: the copy is smoother than its original).
What one and two such compressions cost the accuracy is what the first one can be expected to have cost; `error` is the
root mean square change of a pixel (0 to 255) by them.
"""

from __future__ import annotations

import argparse
import io
import json
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import deep, deep_data

BASE: dict[str, Any] = {"epochs": 2, "precision": "bfloat16", "jpeg": 0}
CHANGES: tuple[tuple[str, dict[str, Any]], ...] = (
    ("gal", {}),
    ("gal", {"jpeg": 1}),
    ("gal", {"jpeg": 2}),
    ("gal", {"epochs": 1}),
    ("gal", {"epochs": 5}),
    ("gal", {"epochs": 10}),
    ("gal", {"precision": "float32"}),
    ("heads", {}),
    ("heads", {"jpeg": 1}),
    ("heads", {"jpeg": 2}),
)
SHIFTS = ((4, 4), (2, 6))
"""Where the grid of each further compression begins, down and across, inside 8 x 8 blocks (16 x 16 for colour)."""
QUALITY = 75


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


def splits(folder: Path, rows: int, seed: int) -> list[tuple[deep_data.Split, float]]:
    """The study after 0, 1, ... further compressions of its training and test images, and the change of a pixel."""
    x, y, new, new_y = deep_data.cifar10_images(folder, rows, sys.maxsize, seed)
    first, result = x.astype(np.float32), []
    for further in range(1 + len(SHIFTS)):
        if further:
            x, new = (compressed(images, SHIFTS[further - 1]) for images in (x, new))
        error = float(np.sqrt(np.mean((x - first) ** 2)))
        result.append((deep_data.patches(x, y, new, new_y), round(error, 2)))
    return result


def main() -> None:
    """Parse arguments, run every change and repetition, print one JSON object to stdout or --out."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder of data sets (cifar10/)")
    parser.add_argument("--rows", type=int, default=8000, help="training rows")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--width", type=int, default=32, help="channels of a network's first block")
    parser.add_argument("--repeats", type=int, default=2, help="seeds, which also choose the rows")
    parser.add_argument("--out", type=Path)
    chosen = parser.parse_args()
    common = {
        "rounds": chosen.rounds,
        "width": chosen.width,
        "batch": 128,
        "quick": False,
        "ciphertexts": False,
        "device": "auto",
    }
    command = " ".join(sys.argv[1:]).replace(str(chosen.data), "DIR")
    result: dict[str, Any] = {
        "date": time.strftime("%Y-%m-%d"),
        "command": command,
        **deep.machine("auto", BASE["precision"]),
        "base": BASE | common,
        "runs": [],
    }
    for seed in range(chosen.repeats):
        studies = splits(chosen.data, chosen.rows, seed)
        for method, change in CHANGES:
            cell = BASE | change
            split, error = studies[cell["jpeg"]]
            run = deep.run(deep.CASES["cifar10"], method, argparse.Namespace(**common, **cell, seed=seed), split)
            kept = {key: run[key] for key in ("method", "accuracy", "after_round", "seconds_fit")}
            deep.add(result, kept | {"change": change, "seed": seed, "error": error}, chosen.out)
    if not chosen.out:
        print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
