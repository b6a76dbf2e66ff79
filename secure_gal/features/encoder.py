"""`encoder`: features of a network, or of k-means patches, trained on the party's own rows without labels, then frozen.

Tables get a denoising auto-encoder, images k-means patch features or by option a VICReg network, series a masked
convolutional network. What comes out is standardised and, where it is wider than asked for, projected on its directions
of largest variance. An encrypted head is fitted on it as on any other feature map.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from secure_gal.errors import StateError
from secure_gal.features.base import BLOCK_ROWS
from secure_gal.features.encoder_options import EncoderOptions, kind_for
from secure_gal.learners.base import EncodedRows, Placement
from secure_gal.learners.cuda_driver import may_be_gpu

PROJECTED_ROWS = 10_000
"""Rows, evenly spaced, that means, scales and principal directions of the features are learnt from."""
BLOCK_VALUES = 1 << 25
"""Values of x mapped at a time."""
DEAD = 1e-3
"""A feature's deviation counts as at least this share of the mean deviation: one that hardly varies is not blown up."""
Array = npt.NDArray[np.float64]


class Core(Protocol):
    """What is trained: `KMeansPatches`, on a GPU `KMeansOnDevice`, or `NetFeatures`."""

    @property
    def description(self) -> str: ...
    @property
    def placement(self) -> Placement: ...
    def features(self, x: EncodedRows) -> npt.NDArray[np.float32]:
        """x (n, ...) to raw features (n, p)."""
        ...

    def arrays(self) -> dict[str, npt.NDArray[Any]]:
        """For the encoder file."""
        ...


class Encoder:
    """A frozen encoder as a feature map.

    Args:
        kind: of EncoderOptions, never `auto`.
        inner: shape of one encoded row in training.
        core: what was trained.
        mean: of the raw features on training rows, (p,).
        matrix: scales, or scales and projects, (p,) or (p, width).
    """

    def __init__(self, kind: str, inner: tuple[int, ...], core: Core, mean: Array, matrix: Array) -> None:
        self.kind, self.inner, self.core, self._mean, self._matrix = kind, inner, core, mean, matrix

    @classmethod
    def fit(cls, x: EncodedRows, seed: int, options: EncoderOptions) -> Encoder:
        """Train on encoded training rows x (N, ...), or read `options.file` where it exists.

        Raises:
            SettingsError: a kind that does not take such rows, or a file of another version or for other rows.
            EnvironmentFailure: the GPU is out of memory, or the file cannot be written.
        """
        kind = kind_for(options.kind, x.ndim)
        inner = tuple(int(n) for n in x.shape[1:])
        if options.file is not None:
            from secure_gal.features import encoder_file

            if options.file.exists():
                return encoder_file.read(options.file, kind, inner, options)
            encoder = cls._train(kind, inner, x, seed, options)
            encoder_file.write(options.file, encoder)
            return encoder
        return cls._train(kind, inner, x, seed, options)

    @classmethod
    def _train(cls, kind: str, inner: tuple[int, ...], x: EncodedRows, seed: int, options: EncoderOptions) -> Encoder:
        core: Core
        match kind:
            case "kmeans":
                core = _patches(x, seed, options.device)
            case "denoising" | "masked" | "vicreg":
                from secure_gal.features.encoder_training import train

                core = train(kind, x, seed, options.epochs, options.device)
            case _:
                raise StateError(f"no encoder is called {kind!r}")
        some = x[:: -(-len(x) // PROJECTED_ROWS)]
        mean, matrix = _projection((core.features(some[rows]) for rows in _blocks(some)), options.width)
        return cls(kind, inner, core, mean, matrix)

    @property
    def width(self) -> int:
        """p."""
        return int(self._matrix.shape[-1])

    @property
    def description(self) -> str:
        """In words."""
        return f"{self.width} features of {self.core.description}"

    @property
    def placement(self) -> Placement:
        """Where the core is computed, and how exactly; standardising and projecting are NumPy in float64."""
        return self.core.placement

    def transform(self, x: EncodedRows) -> Array:
        """x (n, ...) to Phi (n, p)."""
        phi = np.empty((len(x), self.width))
        for rows in _blocks(x):
            centred = self.core.features(x[rows]).astype(np.float64) - self._mean
            phi[rows] = centred * self._matrix if self._matrix.ndim == 1 else centred @ self._matrix
        return phi

    def arrays(self) -> dict[str, npt.NDArray[Any]]:
        """For the encoder file."""
        return {"projection.mean": self._mean, "projection.matrix": self._matrix, **self.core.arrays()}


def on_gpu(device: str) -> bool:
    """Whether `[learner] device` is a GPU here; without NVIDIA's driver that is told without torch.

    Raises:
        SettingsError: it names one that is not there.
    """
    if not may_be_gpu(device):
        return False
    from secure_gal.learners.devices import choose_device

    return choose_device(device).type == "cuda"


def _patches(x: EncodedRows, seed: int, device: str) -> Core:
    if on_gpu(device):
        from secure_gal.features.encoder_kmeans_gpu import KMeansOnDevice

        return KMeansOnDevice.fit(x, seed, device)
    from secure_gal.features.encoder_kmeans import KMeansPatches

    return KMeansPatches.fit(x, seed)


def _blocks(x: EncodedRows) -> Iterator[slice]:
    step = min(BLOCK_ROWS, max(1, BLOCK_VALUES // max(1, int(np.prod(x.shape[1:])))))
    for start in range(0, len(x), step):
        yield slice(start, min(start + step, len(x)))


def _projection(blocks: Iterator[npt.NDArray[np.float32]], width: int) -> tuple[Array, Array]:
    """(mean, what makes columns of mean variance 1): standardised features, or their leading principal components."""
    from secure_gal.learners.ridge import Moments

    moments: Moments | None = None
    for block in blocks:
        moments = moments or Moments(block.shape[1])
        moments.add(block.astype(np.float64))
    assert moments is not None  # noqa: S101  (a study has training rows)
    deviation = np.sqrt(np.diag(moments.gram) / moments.rows)
    scale = 1 / np.maximum(deviation, max(DEAD * float(deviation.mean()), 1e-12))
    if len(scale) <= width:
        return moments.mean, scale
    from scipy.linalg import eigh

    p = len(scale)
    correlation = moments.gram / moments.rows * np.outer(scale, scale)
    _, directions = eigh(correlation, subset_by_index=[p - width, p - 1])
    return moments.mean, np.ascontiguousarray(scale[:, None] * directions[:, ::-1])
