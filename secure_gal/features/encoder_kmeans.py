"""k-means patch features for images: Coates, Lee and Ng (AISTATS 2011), Coates and Ng (ICML 2011).

Small patches are brought to one brightness and contrast and whitened; spherical k-means learns a dictionary D of them;
a patch z is encoded as max(0, Dz - THRESHOLD) and max(0, -Dz - THRESHOLD) (the soft threshold of the 2011 ICML paper),
and codes are averaged over the cells of a grid. No label, no residual, no gradient: seconds on a CPU. NumPy alone; on a
GPU `encoder_kmeans_gpu` computes the same.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from secure_gal.learners.base import EncodedRows, Placement

Array = npt.NDArray[np.float32]
SIDE = 6
"""Pixels of a patch's side, less where the image is smaller."""
ATOMS, ROWS_AN_ATOM = 200, 4
"""Size of the dictionary, and training images for each atom: fewer images get a smaller one, never below 16."""
SAMPLE = 100_000
"""Patches that whitening and dictionary are learnt from."""
STEPS = 10
"""k-means steps (the papers: 10 are enough)."""
CONTRAST, WHITENING, THRESHOLD = 0.1, 0.1, 0.25
"""Added to a patch's variance; added to the eigenvalues of whitened patches; both in units of standardised pixels."""
PAD = 2
"""Pixels of border (at the mean) around an image, so that patches at its edge count as the others do."""
PLACES = 400
"""Patches of an image that are encoded: where there are more, every second (third, ...) row and column of them is."""
BATCH_VALUES = 1 << 20
"""Codes computed at a time: 4 MiB stay in the cache, which takes a quarter off the time."""


Cluster = Callable[[Array, Array], Array]
"""Points (s, q) and first unit atoms (k, q) to atoms (k, q)."""


def spherical_kmeans(points: Array, atoms: Array) -> Array:
    """Unit atoms (k, q) by damped spherical k-means: a patch counts for its most similar atom (Coates and Ng 2012,
    "Learning feature representations with k-means", section 2). Random first atoms are theirs; k-means++ does not
    end nearer (MNIST patches: 0.5% more inertia, the same accuracy)."""
    from scipy.sparse import csr_array

    for _ in range(STEPS):
        total = atoms.copy()  # damping
        for start in range(0, len(points), 16_384):
            block = points[start : start + 16_384]
            similar, rows = block @ atoms.T, np.arange(len(block))
            best = np.abs(similar).argmax(axis=1)
            total += csr_array((similar[rows, best], (best, rows)), shape=(len(atoms), len(block))) @ block
        atoms = total / np.maximum(np.linalg.norm(total, axis=1, keepdims=True), 1e-12)
    return np.asarray(atoms, dtype=np.float32)


@dataclass(frozen=True, slots=True)
class KMeansPatches:
    """Dictionary and whitening in one: codes of a normalised patch v are (v - mean) @ atoms.

    Attributes:
        side: of a patch, in pixels.
        stride: pixels from one encoded patch to the next.
        grid: cells down and across that codes are averaged over.
        mean: (q,), q = C side^2.
        atoms: (q, k).
    """

    side: int
    stride: int
    grid: tuple[int, int]
    mean: Array = field(repr=False)
    atoms: Array = field(repr=False)

    @classmethod
    def fit(cls, x: EncodedRows, seed: int, cluster: Cluster = spherical_kmeans) -> KMeansPatches:
        """Learn from encoded training images x (N, C, H, W) or (N, V, C, H, W); the same seed gives the same
        features."""
        rng = np.random.default_rng(seed)
        chosen = np.sort(rng.permutation(len(x))[: min(len(x), 20_000)])
        images = _merge_views(np.asarray(x[chosen], dtype=np.float32))
        side = min(SIDE, *(size + 2 * PAD for size in images.shape[-2:]))
        patches = _sample(images, side, rng)
        mean = patches.mean(axis=0)
        variances, directions = np.linalg.eigh(np.cov((patches - mean).T.astype(np.float64)))
        whiten = ((directions / np.sqrt(variances.clip(0) + WHITENING)) @ directions.T).astype(np.float32)
        points = (patches - mean) @ whiten
        atoms = cluster(points, _first_atoms(_atoms(len(x)), points.shape[1], rng))
        height, width = (size + 2 * PAD - side + 1 for size in images.shape[-2:])
        stride = next(s for s in range(1, height + width) if -(-height // s) * -(-width // s) <= PLACES)
        height, width = -(-height // stride), -(-width // stride)
        grid = (_cells(height, height >= width), _cells(width, width >= height))
        return cls(side, stride, grid, mean, np.ascontiguousarray(whiten @ atoms.T))

    @property
    def description(self) -> str:
        """In words."""
        return f"k-means features of {self.side}x{self.side} patches, {self.atoms.shape[1]} atoms"

    @property
    def placement(self) -> Placement:
        """NumPy."""
        return Placement("CPU", "float32")

    def features(self, x: EncodedRows) -> Array:
        """x (n, C, H, W), or views, whose features are averaged, to (n, cells * 2 k)."""
        step = max(1, BATCH_VALUES // (int(np.prod(x.shape[-2:])) * self.atoms.shape[1]))
        parts = []
        for start in range(0, len(x), step):
            raw = np.asarray(x[start : start + step], dtype=np.float32)
            codes = self._images(_merge_views(raw))
            parts.append(codes if raw.ndim == 4 else codes.reshape(*raw.shape[:2], -1).mean(axis=1))
        return np.concatenate(parts)

    def _images(self, images: Array) -> Array:
        windows = _windows(images, self.side, self.stride)
        n, height, width = windows.shape[:3]
        z = ((_normalise(windows.reshape(n * height * width, -1)) - self.mean) @ self.atoms).reshape(
            n, height, width, -1
        )
        rows, columns = (np.array_split(np.arange(s), g) for s, g in zip((height, width), self.grid, strict=True))
        cells = []
        for down in rows:
            for across in columns:
                cell = z[:, down[0] : down[-1] + 1, across[0] : across[-1] + 1].reshape(n, -1, z.shape[-1])
                cells += [np.maximum(cell - THRESHOLD, 0).mean(axis=1), np.maximum(-cell - THRESHOLD, 0).mean(axis=1)]
        return np.concatenate(cells, axis=1)

    def arrays(self) -> dict[str, npt.NDArray[Any]]:
        """What `from_arrays` needs, for the encoder file."""
        return {
            "side": np.array(self.side),
            "stride": np.array(self.stride),
            "grid": np.array(self.grid),
            "mean": self.mean,
            "atoms": self.atoms,
        }

    @classmethod
    def from_arrays(cls, held: dict[str, npt.NDArray[Any]]) -> KMeansPatches:
        """The inverse of `arrays`; KeyError or ValueError for anything else."""
        down, across = held["grid"].tolist()
        return cls(int(held["side"]), int(held["stride"]), (int(down), int(across)), held["mean"], held["atoms"])


def _atoms(rows: int) -> int:
    return min(ATOMS, max(16, rows // ROWS_AN_ATOM))


def _cells(positions: int, longer: bool) -> int:
    return min(positions, 3 if longer else 2)


def _merge_views(raw: Array) -> Array:
    return raw if raw.ndim == 4 else raw.reshape(-1, *raw.shape[2:])


def _windows(images: Array, side: int, stride: int = 1) -> Array:
    """(n, C, H, W) to patches, (n, down, across, C side^2)."""
    padded = np.pad(images, ((0, 0), (0, 0), (PAD, PAD), (PAD, PAD)))
    view = np.lib.stride_tricks.sliding_window_view(padded, (side, side), axis=(2, 3))
    view = view[:, :, ::stride, ::stride]
    n, channels, height, width = view.shape[:4]
    return view.transpose(0, 2, 3, 1, 4, 5).reshape(n, height, width, channels * side * side)


def _normalise(patches: Array) -> Array:
    centred = patches - patches.mean(axis=1, keepdims=True)
    return np.asarray(centred / np.sqrt(centred.var(axis=1, keepdims=True) + CONTRAST))


def _sample(images: Array, side: int, rng: np.random.Generator) -> Array:
    """SAMPLE normalised patches (s, q) from random images and places."""
    places_each = (images.shape[2] + 2 * PAD - side + 1) * (images.shape[3] + 2 * PAD - side + 1)
    each = min(max(1, SAMPLE // len(images)), places_each)
    parts = []
    for start in range(0, len(images), 1024):
        windows = _windows(images[start : start + 1024], side)
        flat = windows.reshape(len(windows), -1, windows.shape[-1])
        places = rng.integers(flat.shape[1], size=(len(flat), each))
        parts.append(np.take_along_axis(flat, places[..., None], axis=1).reshape(-1, flat.shape[-1]))
    return _normalise(np.concatenate(parts))


def _first_atoms(count: int, width: int, rng: np.random.Generator) -> Array:
    atoms = rng.normal(size=(count, width)).astype(np.float32)
    return np.asarray(atoms / np.linalg.norm(atoms, axis=1, keepdims=True))
