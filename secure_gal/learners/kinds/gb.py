"""`gb`: scikit-learn's histogram gradient boosting on the residual."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from secure_gal.learners.base import Learner
from secure_gal.learners.declare import TABLE, Asked, learner
from secure_gal.options import Options as Checked
from secure_gal.options import TakenBy

SKLEARN = TakenBy("HistGradientBoostingRegressor")
LOSSES = {"l1": "absolute_error", "l2": "squared_error"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Options(Checked):
    """Of the same names in scikit-learn."""

    max_iter: Annotated[int, SKLEARN] = 50
    max_depth: Annotated[int, SKLEARN] = 3
    learning_rate: Annotated[float, SKLEARN] = 0.1
    max_leaf_nodes: Annotated[int | None, SKLEARN] = None
    min_samples_leaf: Annotated[int | None, SKLEARN] = None
    l2_regularization: Annotated[float | None, SKLEARN] = None


@learner("gb", options=Options, losses=tuple(LOSSES), shapes=(TABLE,))
def make(asked: Asked, options: Options) -> Learner:
    """Boosted trees, one model a column of the residual."""
    from sklearn.ensemble import HistGradientBoostingRegressor

    from secure_gal.learners.trees import tried

    loss, given = LOSSES[asked.loss], options.given()
    return tried(
        lambda seed: HistGradientBoostingRegressor(loss=loss, early_stopping=False, random_state=seed, **given)
    )
