"""Encoded rows to what a ridge head takes: features, then the basis U; both learnt from training rows."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from secure_gal.features import fit_features
from secure_gal.features.base import Array, FeatureMap, row_blocks
from secure_gal.learners.base import EncodedRows, Placement, placement_of
from secure_gal.learners.ridge import RidgeBasis
from secure_gal.options import Options


class RidgeFeatures:
    """A feature map with its ridge basis: x (n, q) to U (n, width). It is saved with the party's model."""

    def __init__(self, features: FeatureMap, basis: RidgeBasis) -> None:
        self.features, self.basis = features, basis

    @classmethod
    def fit(
        cls,
        names: tuple[str, ...],
        ridge: float | str,
        x_train: EncodedRows,
        folder: Path,
        seed: int,
        options: Mapping[str, Options] | None = None,
        device: str = "auto",
        outputs: int = 1,
    ) -> RidgeFeatures:
        """Fit map and basis to encoded training rows (N_train, q); of Phi only one block of rows is in memory.

        Args:
            names: `[learner] features`.
            ridge: strength, or `auto`.
            x_train: encoded training rows; images and series are rows of more dimensions.
            folder: the party file's, for `python:` features.
            seed: `derive_seed("features", study seed, party name)`.
            options, device: as `fit_features` takes them.
            outputs: K, as `RidgeBasis.fit` takes it.

        Raises:
            SettingsError: as `fit_features`.
        """
        return cls.on(fit_features(names, x_train, folder, seed, options, device), ridge, x_train, outputs)

    @classmethod
    def on(cls, features: FeatureMap, ridge: float | str, x_train: EncodedRows, outputs: int = 1) -> RidgeFeatures:
        """The basis of a map that is fitted already; ridge and outputs as `RidgeBasis.fit` takes them."""
        blocks = (features.transform(x_train[rows]) for rows in row_blocks(len(x_train)))
        return cls(features, RidgeBasis.fit(blocks, ridge, outputs))

    @property
    def width(self) -> int:
        """Columns of U, the intercept's included."""
        return self.basis.width

    @property
    def description(self) -> str:
        """In words: the features, the ridge and what it leaves of them."""
        basis = self.basis
        return (
            f"{self.features.description}; ridge {basis.ridge:.3g} leaves {basis.freedom:.0f} effective degrees of "
            f"freedom in {basis.width} columns"
        )

    @property
    def placement(self) -> Placement:
        """Where the features are computed, and how exactly; the basis and a clear head are NumPy in float64."""
        return placement_of(self.features)

    def transform(self, x: EncodedRows) -> Array:
        """x (n, q) to U float64 (n, width), row norms clipped to 1."""
        u = np.empty((len(x), self.width))
        for rows in row_blocks(len(x)):
            u[rows] = self.basis.basis(self.features.transform(x[rows]), clip=True)
        return u
