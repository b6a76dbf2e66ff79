"""`linear`: ridge in closed form on feature maps, whose last layer can be fitted on ciphertexts; other losses by convex
solvers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

from secure_gal.errors import SettingsError
from secure_gal.learners.declare import EVERY_POWER, IMAGES, SERIES, TABLE, VIEWS, Asked, learner
from secure_gal.options import Either, Number
from secure_gal.options import Options as Checked

if TYPE_CHECKING:
    from secure_gal.features.encoded import RidgeFeatures
    from secure_gal.learners.base import Learner
    from secure_gal.settings.party import LearnerSettings

RIDGE = 1e-4
"""Ridge strength on standardised columns."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Options(Checked):
    """`ridge`: strength; by default RIDGE for standardised columns and other losses than l2, else `auto`."""

    ridge: Annotated[float | str | None, Either(Number(0), "auto")] = None


def ridge_strength(settings: LearnerSettings, loss: str = "l2") -> float | str:
    """`options.ridge`, a number or `auto`, or its default."""
    from secure_gal.features import STANDARDIZED

    default = RIDGE if settings.maps == STANDARDIZED or loss != "l2" else "auto"
    chosen = settings.options.get("ridge", default)
    return chosen if isinstance(chosen, str) else float(chosen)


def head(asked: Asked, options: Options, x_train: Any) -> RidgeFeatures:
    """Features and ridge basis, from encoded training rows (N_train, q)."""
    from secure_gal.features.encoded import RidgeFeatures

    settings = asked.settings
    strength = ridge_strength(settings)
    return RidgeFeatures.fit(settings.maps, strength, x_train, asked.folder, asked.seed, asked.maps, settings.device)


@learner("linear", options=Options, losses=EVERY_POWER, shapes=(TABLE, SERIES, IMAGES, VIEWS), maps=True, head=head)
def make(asked: Asked, options: Options) -> Learner:
    """A linear model on the columns, on a map that is fitted in round 1, or on a fresh one a round."""
    from secure_gal.features import STANDARDIZED, fit_features
    from secure_gal.learners.linear import LinearLearner
    from secure_gal.learners.ridge import HeadLearner
    from secure_gal.learners.shared import SharedLearner

    settings, loss = asked.settings, asked.loss
    ridge = ridge_strength(settings, loss)
    if loss != "l2" and isinstance(ridge, str):
        raise SettingsError("[learner.options] ridge", f'"auto" with loss {loss!r}; accepted: a number, 0 or more')
    if settings.fresh_features:
        return _fresh(asked, ridge)
    if settings.maps == STANDARDIZED and not isinstance(ridge, str):
        return LinearLearner(loss, ridge)
    if isinstance(ridge, str) or loss == "l2":
        return SharedLearner(lambda x, *_: head(asked, options, x), HeadLearner())
    return SharedLearner(
        lambda x, *_: fit_features(settings.maps, x, asked.folder, asked.seed, asked.maps, settings.device),
        LinearLearner(loss, ridge),
    )


def _fresh(asked: Asked, ridge: float | str) -> Learner:
    from secure_gal.features.encoded import RidgeFeatures
    from secure_gal.features.fresh import FreshLearner
    from secure_gal.learners.linear import LinearLearner
    from secure_gal.learners.ridge import HeadLearner

    names, secret = asked.settings.maps, asked.secret
    if isinstance(ridge, str) or asked.loss == "l2":
        return FreshLearner(names, lambda features, x: RidgeFeatures.on(features, ridge, x), HeadLearner(), secret)
    return FreshLearner(names, lambda features, _: features, LinearLearner(asked.loss, ridge), secret)
