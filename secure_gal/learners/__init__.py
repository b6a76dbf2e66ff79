"""Local models by name; each party chooses its own, and nobody else sees which."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from secure_gal import options
from secure_gal.errors import SettingsError
from secure_gal.features import OWN, check_features, check_fresh, check_maps_take
from secure_gal.features.declare import KINDS as MAPS
from secure_gal.learners.declare import KINDS, SHAPES, Asked, Kind

if TYPE_CHECKING:
    from secure_gal.features.encoded import RidgeFeatures
    from secure_gal.learners.base import EncodedRows, Learner
    from secure_gal.settings.party import LearnerSettings

WHERE = "[learner] kind"
CLEAR_ONLY = (
    "with encrypted residuals only models that are linear in the residual can be fitted. Choose one of: "
    '(a) [learner] kind = {heads} with rich label-free features (features = "auto", "encoder", or your own encoder as '
    '"python:MODULE:FACTORY"), whose last layer is fitted on ciphertexts; (b) labels privatised once, with a stated '
    'epsilon; (c) clear residuals, [protect] residuals = "none" in study.toml, to which every party consents'
)
ONE_MAP = (
    'true with residuals = "ckks": there one encrypted head serves all rounds, on one map; accepted with [protect] '
    'predictions = "sum", or with residuals in the clear'
)


def make_learner(
    settings: LearnerSettings,
    folder: Path,
    default_loss: str = "l2",
    seed: int = 0,
    secret: Callable[[], bytes] = bytes,
) -> Learner:
    """The learner that `[learner]` names.

    Args:
        settings: the party's own.
        folder: the party file's, where `python:` modules are looked up first.
        default_loss: local loss where the party names none.
        seed: of the feature map: `derive_seed("features", study seed, party name)`.
        secret: of `fresh_features`; by default there is none, and who knows the study's seed knows the maps.

    Raises:
        SettingsError: unknown kind, loss, device, feature map or option; names what is accepted.
    """
    loss = settings.loss or default_loss
    if settings.kind.startswith(OWN):
        from secure_gal.learners.custom import custom

        _check_maps(settings, False, folder)
        return custom(settings.kind, loss, settings.device, settings.options, folder)
    kind = KINDS.find(settings.kind, WHERE)
    if settings.loss is not None and settings.loss not in kind.losses:
        accepted = ", ".join(kind.losses) or "none; it has a loss of its own"
        raise SettingsError("[learner] loss", f"{settings.loss!r} with kind {kind.name!r}; accepted: {accepted}")
    _check_maps(settings, kind.maps, folder)
    return kind.make(*_asked(settings, kind, loss, folder, seed, secret))


def check_shape(settings: LearnerSettings, dimensions: int) -> None:
    """Refuse a learner that cannot take what `[data] path` holds, before anything is sent.

    Args:
        dimensions: of x: 2 for a table.

    Raises:
        SettingsError: unknown kind or feature map, or one that does not take such rows; names those that do.
    """
    if settings.kind.startswith(OWN) or settings.kind == "none":
        return
    kind = KINDS.find(settings.kind, WHERE)
    if dimensions not in kind.shapes:
        fitting = tuple(kind.name for kind in KINDS.every() if dimensions in kind.shapes)
        accepted = KINDS.accepted(fitting, "accepted for it: ")
        raise SettingsError(WHERE, f"{kind.name!r} does not take {SHAPES[dimensions]}; {accepted}")
    if kind.maps:
        check_maps_take(settings.maps, dimensions, SHAPES[dimensions])


def encryptable(settings: LearnerSettings) -> str:
    """Empty where this learner can be fitted on ciphertexts, else the reason and the alternatives in words."""
    if settings.kind.startswith(OWN) or KINDS.find(settings.kind, WHERE).head is None:
        return f"[learner] kind = {settings.kind!r} must see the residual: {_alternatives()}"
    if settings.loss not in (None, "l2"):
        return (
            f"the local loss {settings.loss!r} needs a solver that sees the residual: leave [learner] loss out (the "
            f"study's own loss stays as it is), or, since {_alternatives()}"
        )
    return ""


def _alternatives() -> str:
    return CLEAR_ONLY.format(heads=" or ".join(f'"{kind.name}"' for kind in KINDS.every() if kind.head is not None))


def ridge_features(settings: LearnerSettings, x_train: EncodedRows, folder: Path, seed: int) -> RidgeFeatures:
    """Features and ridge basis of an `encryptable` learner: `transform(x)` gives the U of fits and predictions.

    `seed` and errors as for `make_learner`; x_train: encoded training rows (N_train, q).
    """
    if settings.fresh_features:
        raise SettingsError("[learner] fresh_features", ONE_MAP)
    kind = KINDS.find(settings.kind, WHERE)
    if kind.head is None:
        raise SettingsError("[learner]", encryptable(settings))
    _check_maps(settings, kind.maps, folder)
    asked, own = _asked(settings, kind, "l2", folder, seed, bytes)
    return kind.head(asked, own, x_train)


def _asked(
    settings: LearnerSettings, kind: Kind, loss: str, folder: Path, seed: int, secret: Callable[[], bytes]
) -> tuple[Asked, options.Options]:
    """What the kind is asked for, and its own options, all checked."""
    maps = [MAPS.find(name, WHERE) for name in settings.maps if kind.maps and not name.startswith(OWN)]
    given = settings.options
    options.check_names(given, kind.name, kind.options, *(chosen.options for chosen in maps))
    read = {chosen.name: options.read(chosen.options, given) for chosen in maps}
    if any(chosen.torch for chosen in maps) and settings.device not in ("auto", "cpu"):
        from secure_gal.learners.devices import choose_device

        choose_device(settings.device)
    return Asked(settings, loss, folder, seed, secret, read), options.read(kind.options, given)


def _check_maps(settings: LearnerSettings, takes: bool, folder: Path) -> None:
    if takes:
        check_features(settings.maps, folder)
        if settings.fresh_features:
            check_fresh(settings.maps)
    elif settings.fresh_features:
        raise SettingsError("[learner] fresh_features", f"true; accepted: false with kind {settings.kind!r}")
