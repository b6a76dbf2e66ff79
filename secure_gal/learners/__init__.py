"""Local models by name; each party chooses its own, and nobody else sees which."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from secure_gal.errors import SettingsError

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from secure_gal.arrays import ArrayRows
    from secure_gal.features.encoded import RidgeFeatures
    from secure_gal.features.encoder_options import EncoderOptions
    from secure_gal.learners.base import Learner
    from secure_gal.study import LearnerSettings

POWERS = ("l1", "l1.5", "l2", "l4")
LOSSES = {"linear": POWERS, "mlp": POWERS, "cnn": POWERS, "lstm": POWERS, "gru": POWERS, "gb": ("l1", "l2"), "svm": ()}
TORCH = {
    "epochs",
    "batch",
    "rate",
    "weight_decay",
    "patience",
    "clip",
    "schedule",
    "precision",
    "compile",
    "share_extractor",
}
RECURRENT = TORCH | {"hidden", "layers", "dropout", "output"}
OPTIONS = {
    "linear": {"ridge"},
    "mlp": TORCH | {"hidden", "layers", "dropout"},
    "cnn": TORCH | {"blocks", "width"},
    "lstm": RECURRENT,
    "gru": RECURRENT,
    "gb": {"max_iter", "max_depth", "learning_rate", "max_leaf_nodes", "min_samples_leaf", "l2_regularization"},
    "svm": {"kernel", "C", "epsilon", "gamma", "degree"},
}

ENCODER = {"encoder", "encoder_width", "encoder_epochs", "encoder_file"}
"""Options of `linear` with `features = "encoder"`."""
TAKES = {2: ("linear", "mlp", "gb", "svm"), 3: ("linear", "lstm", "gru"), 4: ("linear", "cnn"), 5: ("linear", "cnn")}
"""Learners by the dimensions of x: a table's columns, series, images, images in views."""
SHAPES = {2: "a table", 3: "series (N, L, d)", 4: "images (N, C, H, W)", 5: "images in views (N, V, C, H, W)"}
ON_ARRAYS = ("encoder",)
"""Feature maps of `linear` that take more than a table's columns; `python:` maps may as well."""
RIDGE = 1e-4
"""Ridge strength on standardised columns."""
CLEAR_ONLY = (
    "with encrypted residuals only models that are linear in the residual can be fitted. Choose one of: "
    '(a) [learner] kind = "linear" with rich label-free features (features = "auto", "encoder", or your own encoder as '
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
    kind, options = settings.kind, dict(settings.options)
    if kind.startswith("python:"):
        from secure_gal.learners.custom import custom

        return custom(kind, settings.loss or default_loss, settings.device, options, folder)
    if kind not in LOSSES:
        raise SettingsError("[learner] kind", f"{kind!r}; accepted: {', '.join(LOSSES)} or python:MODULE:FACTORY")
    _check(settings, kind, options, folder)
    loss = settings.loss or default_loss
    if kind == "linear":
        return _linear(settings, loss, folder, seed, secret)
    if kind in ("mlp", "cnn", "lstm", "gru"):
        return _torch(kind, loss, settings.device, options)
    from secure_gal.learners import trees

    return trees.gradient_boosting(loss, options) if kind == "gb" else trees.support_vectors(options)


def check_shape(settings: LearnerSettings, dimensions: int) -> None:
    """Refuse a learner that cannot take what `[data] path` holds, before anything is sent.

    Args:
        dimensions: of x: 2 for a table.

    Raises:
        SettingsError: names the learners that can.
    """
    kind = settings.kind
    if kind.startswith("python:") or kind == "none":
        return
    if kind not in TAKES[dimensions]:
        raise SettingsError(
            "[learner] kind",
            f"{kind!r} does not take {SHAPES[dimensions]}; accepted for it: "
            f"{', '.join(TAKES[dimensions])} or python:MODULE:FACTORY",
        )
    flat = [name for name in settings.maps if name not in ON_ARRAYS and not name.startswith("python:")]
    if kind == "linear" and dimensions > 2 and flat:
        raise SettingsError(
            "[learner] features",
            f"{flat[0]!r} does not take {SHAPES[dimensions]}; accepted for it: "
            f"{', '.join(ON_ARRAYS)} or python:MODULE:FACTORY",
        )


def encryptable(settings: LearnerSettings, default_loss: str = "l2") -> str:
    """Empty where this learner can be fitted on ciphertexts, else the reason and the alternatives in words."""
    loss = settings.loss or default_loss
    if settings.kind != "linear":
        return f"[learner] kind = {settings.kind!r} must see the residual: {CLEAR_ONLY}"
    if loss != "l2":
        return (
            f'the local loss {loss!r} needs a solver that sees the residual: set [learner] loss = "l2" (the study\'s '
            f"own loss stays as it is), or, since {CLEAR_ONLY}"
        )
    return ""


def ridge_features(
    settings: LearnerSettings, x_train: npt.NDArray[np.float64] | ArrayRows, folder: Path, seed: int
) -> RidgeFeatures:
    """Features and ridge basis of an `encryptable` learner: `transform(x)` gives the U of fits and predictions.

    `seed` and errors as for `make_learner`; x_train: encoded training rows (N_train, q).
    """
    from secure_gal.features.encoded import RidgeFeatures

    if settings.fresh_features:
        raise SettingsError("[learner] fresh_features", ONE_MAP)
    _check(settings, "linear", dict(settings.options), folder)
    options = encoder_options(settings, folder)
    return RidgeFeatures.fit(settings.maps, ridge_strength(settings), x_train, folder, seed, options)


def encoder_options(settings: LearnerSettings, folder: Path) -> EncoderOptions:
    """The `encoder*` options of `[learner.options]`, checked; `encoder_file` is relative to the party file."""
    from secure_gal.features.encoder_options import EncoderOptions

    chosen: dict[str, Any] = dict(settings.options)
    file = chosen.get("encoder_file")
    if file is not None and (not isinstance(file, str) or not file):
        raise SettingsError("[learner.options] encoder_file", f"{file!r}; accepted: a path as text")
    named = {field: chosen[f"encoder_{field}"] for field in ("width", "epochs") if f"encoder_{field}" in chosen}
    path = None if file is None else folder / file
    return EncoderOptions(chosen.get("encoder", "auto"), **named, device=settings.device, file=path)


def ridge_strength(settings: LearnerSettings, loss: str = "l2") -> float | str:
    """`options.ridge`, a number or `auto`; by default 1e-4 for standardised columns and other losses, else `auto`."""
    from secure_gal.features import STANDARDIZED

    default = RIDGE if settings.maps == STANDARDIZED or loss != "l2" else "auto"
    chosen = settings.options.get("ridge", default)
    return chosen if isinstance(chosen, str) else float(chosen)


def _linear(settings: LearnerSettings, loss: str, folder: Path, seed: int, secret: Callable[[], bytes]) -> Learner:
    from secure_gal.features import STANDARDIZED
    from secure_gal.learners.linear import LinearLearner

    ridge = ridge_strength(settings, loss)
    if loss != "l2" and isinstance(ridge, str):
        raise SettingsError("[learner.options] ridge", f'"auto" with loss {loss!r}; accepted: a number, 0 or more')
    if settings.fresh_features:
        return _fresh(settings, ridge, loss, secret)
    if settings.maps == STANDARDIZED and not isinstance(ridge, str):
        return LinearLearner(loss, ridge)
    from secure_gal.features import fit_features
    from secure_gal.learners.ridge import HeadLearner
    from secure_gal.learners.shared import SharedLearner

    if isinstance(ridge, str) or loss == "l2":
        return SharedLearner(lambda x, *_: ridge_features(settings, x, folder, seed), HeadLearner())
    encoder = encoder_options(settings, folder)
    return SharedLearner(
        lambda x, *_: fit_features(settings.maps, x, folder, seed, encoder), LinearLearner(loss, ridge)
    )


def _fresh(settings: LearnerSettings, ridge: float | str, loss: str, secret: Callable[[], bytes]) -> Learner:
    from secure_gal.features.encoded import RidgeFeatures
    from secure_gal.features.fresh import FreshLearner
    from secure_gal.learners.linear import LinearLearner
    from secure_gal.learners.ridge import HeadLearner

    if isinstance(ridge, str) or loss == "l2":
        return FreshLearner(
            settings.maps, lambda features, x: RidgeFeatures.on(features, ridge, x), HeadLearner(), secret
        )
    return FreshLearner(settings.maps, lambda features, _: features, LinearLearner(loss, ridge), secret)


def _torch(kind: str, loss: str, device: str, options: dict[str, Any]) -> Learner:
    shared = options.pop("share_extractor", False)
    if not isinstance(shared, bool):
        raise SettingsError("[learner.options] share_extractor", f"{shared!r}; accepted: true, false")
    if shared and loss != "l2":
        raise SettingsError(
            "[learner.options] share_extractor",
            f'true with loss {loss!r}; every round\'s head is a ridge fit: set [learner] loss = "l2"',
        )
    if kind == "mlp":
        from secure_gal.learners.mlp import mlp

        inner = mlp(loss, device, options)
    elif kind == "cnn":
        from secure_gal.learners.cnn import cnn

        inner = cnn(loss, device, options)
    else:
        from secure_gal.learners.recurrent import recurrent

        inner = recurrent(kind, loss, device, options)
    if not shared:
        return inner
    from secure_gal.learners.extractor import sharing

    return sharing(inner)


def _check(settings: LearnerSettings, kind: str, options: dict[str, Any], folder: Path) -> None:
    if settings.loss is not None and settings.loss not in LOSSES[kind]:
        accepted = ", ".join(LOSSES[kind]) or "none; it has a loss of its own"
        raise SettingsError("[learner] loss", f"{settings.loss!r} with kind {kind!r}; accepted: {accepted}")
    known = OPTIONS[kind] | (ENCODER if kind == "linear" and "encoder" in settings.maps else set())
    unknown = sorted(options.keys() - known)
    if unknown:
        raise SettingsError(
            "[learner.options]", f"unknown {', '.join(unknown)} for {kind!r}; accepted: {', '.join(sorted(known))}"
        )
    if kind != "linear":
        return
    from secure_gal.features import check_features, check_fresh

    check_features(settings.maps, folder)
    if settings.fresh_features:
        check_fresh(settings.maps)
    encoder_options(settings, folder)
    if "encoder" in settings.maps and settings.device not in ("auto", "cpu"):
        from secure_gal.learners.devices import choose_device

        choose_device(settings.device)
    ridge = options.get("ridge", RIDGE)
    number = isinstance(ridge, int | float) and not isinstance(ridge, bool) and 0 <= ridge < math.inf
    if ridge != "auto" and not number:
        raise SettingsError("[learner.options] ridge", f'{ridge!r}; accepted: a number, 0 or more, or "auto"')
