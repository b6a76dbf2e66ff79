"""`linear`: ridge in closed form on feature maps, whose last layer can be fitted on ciphertexts; other local losses by
a convex solver, under the same ridge."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

from secure_gal.learners.declare import EVERY_POWER, IMAGES, POWERS, SERIES, TABLE, VIEWS, Asked, learner
from secure_gal.options import Either, Number
from secure_gal.options import Options as Checked

if TYPE_CHECKING:
    from secure_gal.features.encoded import RidgeFeatures
    from secure_gal.learners.base import EncodedRows, Learner
    from secure_gal.settings.party import LearnerSettings

RIDGE = 1e-4
"""Ridge strength on standardised columns."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Options(Checked):
    """`ridge`: strength; RIDGE for standardised columns by default, else `auto`; the same for every local loss."""

    ridge: Annotated[float | str | None, Either(Number(0), "auto")] = None


def ridge_strength(settings: LearnerSettings) -> float | str:
    """`options.ridge`, a number or `auto`, or its default."""
    from secure_gal.features import STANDARDIZED

    default = RIDGE if settings.maps == STANDARDIZED else "auto"
    chosen = settings.options.get("ridge", default)
    return chosen if isinstance(chosen, str) else float(chosen)


def head(asked: Asked, options: Options, x_train: EncodedRows, outputs: int = 1) -> RidgeFeatures:
    """Features and ridge basis, from encoded training rows (N_train, q), for so many outputs."""
    from secure_gal.features.encoded import RidgeFeatures

    settings = asked.settings
    strength = ridge_strength(settings)
    return RidgeFeatures.fit(
        settings.maps, strength, x_train, asked.folder, asked.seed, asked.maps, settings.device, outputs
    )


@learner("linear", options=Options, losses=EVERY_POWER, shapes=(TABLE, SERIES, IMAGES, VIEWS), maps=True, head=head)
def make(asked: Asked, options: Options) -> Learner:
    """A linear model on the columns, on a map that is fitted in round 1, or on a fresh one a round."""
    from secure_gal.features import STANDARDIZED
    from secure_gal.learners.linear import LinearLearner
    from secure_gal.learners.shared import SharedLearner

    settings = asked.settings
    ridge, last = ridge_strength(settings), _last_layer(asked.loss)
    if settings.fresh_features:
        from secure_gal.features.encoded import RidgeFeatures
        from secure_gal.features.fresh import FreshLearner

        return FreshLearner(settings.maps, lambda drawn, x, k: RidgeFeatures.on(drawn, ridge, x, k), last, asked.secret)
    if settings.maps == STANDARDIZED and not isinstance(ridge, str) and asked.loss == "l2":
        return LinearLearner(ridge)
    return SharedLearner(lambda x, residual, _: head(asked, options, x, residual.shape[1]), last)


def _last_layer(loss: str) -> Learner:
    if loss == "l2":
        from secure_gal.learners.ridge import HeadLearner

        return HeadLearner()
    from secure_gal.learners.power_head import PowerHeadLearner

    return PowerHeadLearner(POWERS[loss])
