"""Local models by name; each party chooses its own, and nobody else sees which."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

from secure_gal.errors import SettingsError

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from secure_gal.features.encoded import RidgeFeatures
    from secure_gal.learners.base import Learner
    from secure_gal.study import LearnerSettings

LOSSES = {"linear": ("l1", "l1.5", "l2", "l4"), "mlp": ("l1", "l1.5", "l2", "l4"), "gb": ("l1", "l2"), "svm": ()}
OPTIONS = {
    "linear": {"ridge"},
    "mlp": {"hidden", "layers", "dropout", "epochs", "batch", "rate", "weight_decay", "patience"},
    "gb": {"max_iter", "max_depth", "learning_rate", "max_leaf_nodes", "min_samples_leaf", "l2_regularization"},
    "svm": {"kernel", "C", "epsilon", "gamma", "degree"},
}


RIDGE = 1e-4
"""Ridge strength on standardised columns."""
CLEAR_ONLY = (
    "with encrypted residuals only models that are linear in the residual can be fitted. Choose one of: "
    '(a) [learner] kind = "linear" with rich label-free features (features = "auto", or your own encoder as '
    'features = "python:MODULE:FACTORY"), whose last layer is fitted on ciphertexts; (b) labels privatised once, with a '
    'stated epsilon; (c) clear residuals, [protect] residuals = "none" in study.toml, to which every party consents'
)


def make_learner(settings: LearnerSettings, folder: Path, default_loss: str = "l2", seed: int = 0) -> Learner:
    """The learner that `[learner]` names.

    Args:
        settings: the party's own.
        folder: the party file's, where `python:` modules are looked up first.
        default_loss: local loss where the party names none.
        seed: of the feature map: `derive_seed("features", study seed, party name)`.

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
        return _linear(settings, loss, folder, seed)
    if kind == "mlp":
        from secure_gal.learners.mlp import mlp

        return mlp(loss, settings.device, options)
    from secure_gal.learners import trees

    return trees.gradient_boosting(loss, options) if kind == "gb" else trees.support_vectors(options)


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
    settings: LearnerSettings, x_train: npt.NDArray[np.float64], folder: Path, seed: int
) -> RidgeFeatures:
    """Features and ridge basis of an `encryptable` learner: `transform(x)` gives the U of fits and predictions.

    `seed` and errors as for `make_learner`; x_train: encoded training rows (N_train, q).
    """
    from secure_gal.features.encoded import RidgeFeatures

    _check(settings, "linear", dict(settings.options), folder)
    return RidgeFeatures.fit(settings.maps, ridge_strength(settings), x_train, folder, seed)


def ridge_strength(settings: LearnerSettings, loss: str = "l2") -> float | str:
    """`options.ridge`, a number or `auto`; by default 1e-4 for standardised columns and other losses, else `auto`."""
    from secure_gal.features import STANDARDIZED

    default = RIDGE if settings.maps == STANDARDIZED or loss != "l2" else "auto"
    chosen = settings.options.get("ridge", default)
    return chosen if isinstance(chosen, str) else float(chosen)


def _linear(settings: LearnerSettings, loss: str, folder: Path, seed: int) -> Learner:
    from secure_gal.features import STANDARDIZED
    from secure_gal.learners.linear import LinearLearner

    ridge = ridge_strength(settings, loss)
    if loss != "l2" and isinstance(ridge, str):
        raise SettingsError("[learner.options] ridge", f'"auto" with loss {loss!r}; accepted: a number, 0 or more')
    if settings.maps == STANDARDIZED and not isinstance(ridge, str):
        return LinearLearner(loss, ridge)
    from secure_gal.features import fit_features
    from secure_gal.features.learner import FeatureLearner
    from secure_gal.learners.ridge import HeadLearner

    if isinstance(ridge, str) or loss == "l2":
        return FeatureLearner(lambda x: ridge_features(settings, x, folder, seed), HeadLearner())
    return FeatureLearner(lambda x: fit_features(settings.maps, x, folder, seed), LinearLearner(loss, ridge))


def _check(settings: LearnerSettings, kind: str, options: dict[str, Any], folder: Path) -> None:
    if settings.loss is not None and settings.loss not in LOSSES[kind]:
        accepted = ", ".join(LOSSES[kind]) or "none; it has a loss of its own"
        raise SettingsError("[learner] loss", f"{settings.loss!r} with kind {kind!r}; accepted: {accepted}")
    unknown = sorted(options.keys() - OPTIONS[kind])
    if unknown:
        raise SettingsError("[learner.options]", f"unknown {', '.join(unknown)} for {kind!r}; accepted: "
                            f"{', '.join(sorted(OPTIONS[kind]))}")  # fmt: skip
    if kind != "linear":
        return
    from secure_gal.features import check_features

    check_features(settings.maps, folder)
    ridge = options.get("ridge", RIDGE)
    number = isinstance(ridge, int | float) and not isinstance(ridge, bool) and 0 <= ridge < math.inf
    if ridge != "auto" and not number:
        raise SettingsError("[learner.options] ridge", f'{ridge!r}; accepted: a number, 0 or more, or "auto"')
