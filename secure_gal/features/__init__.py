"""Label-free feature maps: what a party computes in the clear, on its own rows, before a head meets the residual.

A map sees the encoded matrix x float64 (N, q) of the training rows (`encoder`: images and series too) and a seed, never
a label or a residual, so the same features serve every round, and only the linear last layer has to be fitted where
residuals are ciphertexts.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from secure_gal.errors import SettingsError

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from secure_gal.arrays import ArrayRows
    from secure_gal.features.base import FeatureMap
    from secure_gal.features.encoder_options import EncoderOptions

STANDARDIZED = ("standardized",)
"""The default: the encoded columns as they are."""
NAMES = ("standardized", "binned", "fourier", "trees", "polynomial", "encoder")
RANDOM = ("fourier", "trees")
"""Maps that are random, and nothing but: what `fresh_features` can draw anew."""
WHERE = "[learner] features"


def check_features(names: tuple[str, ...], folder: Path) -> None:
    """Refuse names that `fit_features` could not use, before any data is read.

    Raises:
        SettingsError: unknown or repeated name, `auto` in a union, or a `python:` factory that cannot be imported.
    """
    if not names or len(set(names)) != len(names):
        raise SettingsError(WHERE, f"{list(names)!r}; accepted: one or more different names")
    if "auto" in names and len(names) > 1:
        raise SettingsError(WHERE, f'{list(names)!r}; "auto" chooses alone: leave the others out, or leave it out')
    for name in names:
        if name.startswith("python:"):
            from secure_gal.factories import load_factory

            load_factory(name, folder, WHERE)
        elif name not in (*NAMES, "auto"):
            raise SettingsError(WHERE, f"{name!r}; accepted: auto, {', '.join(NAMES)} or python:MODULE:FACTORY")


def check_fresh(names: tuple[str, ...]) -> None:
    """SettingsError for `fresh_features` with a map that would be the same in every round."""
    fixed = [name for name in names if name not in RANDOM]
    if fixed:
        what = "holds the columns as they are, which are" if fixed == ["auto"] else "is"
        raise SettingsError(
            "[learner] fresh_features",
            f"true with features = {list(names)!r}: {fixed[0]!r} {what} the same "
            f"in every round; accepted: {', '.join(RANDOM)}, or both",
        )


def fit_features(
    names: tuple[str, ...],
    x_train: npt.NDArray[np.float64] | ArrayRows,
    folder: Path,
    seed: int,
    encoder: EncoderOptions | None = None,
) -> FeatureMap:
    """The union of these maps, fitted to the training rows.

    Args:
        names: as the party file lists them.
        x_train: encoded training rows, (N_train, q), or images or series for `encoder` and `python:` maps.
        folder: the party file's, where `python:` modules are looked up first.
        seed: `derive_seed("features", study seed, party name)`; the same seed and rows give the same map.
        encoder: options of `encoder`.

    Raises:
        SettingsError: as `check_features`; a factory's object is unusable; or the union is wider than MAX_WIDTH.
    """
    from secure_gal.features import base, custom, polynomial
    from secure_gal.split import derive_seed

    check_features(names, folder)
    x: Any = x_train  # which maps take arrays, `learners.check_shape` says
    parts: list[FeatureMap] = []
    for name in names:
        own = derive_seed("feature map", seed, name)
        if name == "standardized":
            parts.append(base.Standardized(x.shape[1]))
        elif name == "polynomial":
            parts.append(polynomial.Pairs.fit(x))
        elif name == "encoder":
            parts.append(_encoder(x, own, encoder))
        elif name.startswith("python:"):
            parts.append(custom.fit(name, x, folder, own))
        else:
            parts.append(_on_ranks(name, x, own))
    fitted = parts[0] if len(parts) == 1 else base.Union(tuple(parts))
    base.check_width(fitted.width, fitted.description)
    return fitted


def _encoder(x: Any, seed: int, options: EncoderOptions | None) -> FeatureMap:
    from secure_gal.features.encoder import Encoder
    from secure_gal.features.encoder_options import EncoderOptions

    return Encoder.fit(x, seed, options or EncoderOptions())


def _on_ranks(name: str, x_train: npt.NDArray[np.float64], seed: int) -> FeatureMap:
    from secure_gal.features import auto, fourier, quantile_bins, random_trees

    if name == "auto":
        return auto.fit(x_train, seed)
    if name == "binned":
        return quantile_bins.fit(x_train)
    return fourier.fit(x_train, seed) if name == "fourier" else random_trees.fit(x_train, seed)
