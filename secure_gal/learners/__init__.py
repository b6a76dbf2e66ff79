"""Local models by name; each party chooses its own, and nobody else sees which."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from secure_gal.errors import SettingsError

if TYPE_CHECKING:
    from secure_gal.learners.base import Learner
    from secure_gal.study import LearnerSettings

LOSSES = {"linear": ("l1", "l1.5", "l2", "l4"), "mlp": ("l1", "l1.5", "l2", "l4"), "gb": ("l1", "l2"), "svm": ()}
OPTIONS = {
    "linear": {"ridge"},
    "mlp": {"hidden", "layers", "dropout", "epochs", "batch", "rate", "weight_decay", "patience"},
    "gb": {"max_iter", "max_depth", "learning_rate", "max_leaf_nodes", "min_samples_leaf", "l2_regularization"},
    "svm": {"kernel", "C", "epsilon", "gamma", "degree"},
}


def make_learner(settings: LearnerSettings, folder: Path, default_loss: str = "l2") -> Learner:
    """The learner that `[learner]` names; `folder` is the party file's, for `python:` learners.

    Raises:
        SettingsError: unknown kind, loss, device or option; names what is accepted.
    """
    kind, options = settings.kind, dict(settings.options)
    if kind.startswith("python:"):
        from secure_gal.learners.custom import custom

        return custom(kind, settings.loss or default_loss, settings.device, options, folder)
    if kind not in LOSSES:
        raise SettingsError("[learner] kind", f"{kind!r}; accepted: {', '.join(LOSSES)} or python:MODULE:FACTORY")
    _check(settings, kind, options)
    loss = settings.loss or default_loss
    if kind == "linear":
        from secure_gal.learners.linear import LinearLearner

        return LinearLearner(loss, float(options.get("ridge", 1e-4)))
    if kind == "mlp":
        from secure_gal.learners.mlp import mlp

        return mlp(loss, settings.device, options)
    from secure_gal.learners import trees

    return trees.gradient_boosting(loss, options) if kind == "gb" else trees.support_vectors(options)


def _check(settings: LearnerSettings, kind: str, options: dict[str, Any]) -> None:
    if settings.loss is not None and settings.loss not in LOSSES[kind]:
        accepted = ", ".join(LOSSES[kind]) or "none; it has a loss of its own"
        raise SettingsError("[learner] loss", f"{settings.loss!r} with kind {kind!r}; accepted: {accepted}")
    unknown = sorted(options.keys() - OPTIONS[kind])
    if unknown:
        raise SettingsError("[learner.options]", f"unknown {', '.join(unknown)} for {kind!r}; accepted: "
                            f"{', '.join(sorted(OPTIONS[kind]))}")  # fmt: skip
    if kind == "linear" and settings.features != ("standardized",):
        raise SettingsError("[learner] features", f"{settings.features!r}; accepted: ['standardized']")
    ridge = options.get("ridge", 1e-4)
    if isinstance(ridge, bool) or not isinstance(ridge, int | float) or ridge < 0:
        raise SettingsError("[learner.options] ridge", f"{ridge!r}; accepted: a number, 0 or more")
