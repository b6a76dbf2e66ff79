"""`svm`: scikit-learn's support vector regression, which has its own epsilon-insensitive loss."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from secure_gal.learners.base import Learner
from secure_gal.learners.declare import TABLE, Asked, learner
from secure_gal.options import Options as Checked
from secure_gal.options import TakenBy

SKLEARN = TakenBy("SVR")


@dataclass(frozen=True, slots=True, kw_only=True)
class Options(Checked):
    """Of the same names in scikit-learn."""

    kernel: Annotated[str | None, SKLEARN] = None
    C: Annotated[float | None, SKLEARN] = None
    epsilon: Annotated[float | None, SKLEARN] = None
    gamma: Annotated[float | str | None, SKLEARN] = None
    degree: Annotated[int | None, SKLEARN] = None


@learner("svm", options=Options, losses=(), shapes=(TABLE,))
def make(asked: Asked, options: Options) -> Learner:
    """Support vectors, one model a column of the residual."""
    from sklearn.svm import SVR

    from secure_gal.learners.trees import tried

    given = options.given()
    return tried(lambda seed: SVR(**given))
