"""Label-free feature maps: what a party computes in the clear, on its own rows, before a head meets the residual.

A map sees the encoded matrix x float64 (N, q) of the training rows (`encoder`: images and series too) and a seed, never
a label or a residual, so the same features serve every round, and only the linear last layer has to be fitted where
residuals are ciphertexts.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from secure_gal.errors import SettingsError
from secure_gal.features.declare import KINDS, Asked
from secure_gal.options import Options

if TYPE_CHECKING:
    from secure_gal.features.base import FeatureMap
    from secure_gal.learners.base import EncodedRows

STANDARDIZED = ("standardized",)
"""The default: the encoded columns as they are."""
OWN = "python:"
"""How the name of a user's own map begins."""
WHERE = "[learner] features"


def check_features(names: tuple[str, ...], folder: Path) -> None:
    """Refuse names that `fit_features` could not use, before any data is read.

    Raises:
        SettingsError: unknown or repeated name, `auto` in a union, or a `python:` factory that cannot be imported.
    """
    if not names or len(set(names)) != len(names):
        raise SettingsError(WHERE, f"{list(names)!r}; accepted: one or more different names")
    for name in names:
        if name.startswith(OWN):
            from secure_gal.factories import load_factory

            load_factory(name, folder, WHERE)
        elif KINDS.find(name, WHERE).alone and len(names) > 1:
            raise SettingsError(
                WHERE, f'{list(names)!r}; "{name}" chooses alone: leave the others out, or leave it out'
            )


def check_fresh(names: tuple[str, ...]) -> None:
    """SettingsError for `fresh_features` with a map that would be the same in every round."""
    fixed = [name for name in names if name.startswith(OWN) or KINDS.find(name, WHERE).draw is None]
    if fixed:
        what = "holds the columns as they are, which are" if fixed == ["auto"] else "is"
        random = [kind.name for kind in KINDS.every() if kind.draw is not None]
        raise SettingsError(
            "[learner] fresh_features",
            f"true with features = {list(names)!r}: {fixed[0]!r} {what} the same "
            f"in every round; accepted: {', '.join(random)}, or {'both' if len(random) == 2 else 'several'}",
        )


def check_maps_take(names: tuple[str, ...], dimensions: int, held: str) -> None:
    """SettingsError for a map that does not take x of so many dimensions, which is `held` in words."""
    for name in names:
        if not name.startswith(OWN) and dimensions not in KINDS.find(name, WHERE).shapes:
            fitting = tuple(kind.name for kind in KINDS.every() if dimensions in kind.shapes)
            accepted = KINDS.accepted(fitting, "accepted for it: ")
            raise SettingsError(WHERE, f"{name!r} does not take {held}; {accepted}")


def fit_features(
    names: tuple[str, ...],
    x_train: EncodedRows,
    folder: Path,
    seed: int,
    options: Mapping[str, Options] | None = None,
    device: str = "auto",
) -> FeatureMap:
    """The union of these maps, fitted to the training rows.

    Args:
        names: as the party file lists them.
        x_train: encoded training rows, (N_train, q), or images or series for maps that take them.
        folder: the party file's, where `python:` modules are looked up first.
        seed: `derive_seed("features", study seed, party name)`; the same seed and rows give the same map.
        options: of maps by name; defaults for the others.
        device: `[learner] device`.

    Raises:
        SettingsError: as `check_features`; a factory's object is unusable; or the union is wider than MAX_WIDTH.
    """
    from secure_gal.features import base, custom
    from secure_gal.gal.split import derive_seed

    check_features(names, folder)
    parts: list[FeatureMap] = []
    for name in names:
        own = derive_seed("feature map", seed, name)
        if name.startswith(OWN):
            parts.append(custom.fit(name, x_train, folder, own))
        else:
            kind = KINDS.find(name, WHERE)
            parts.append(kind.fit(x_train, Asked(own, folder, device), (options or {}).get(name) or kind.options()))
    return base.side_by_side(parts)
