"""`residuals = "rounded"`: assistors see residuals on a public grid; the sponsor's own fit and F use them as they are.

Coarser values hide small differences between rows, and nothing else: it is no privacy mechanism, and no epsilon is
claimed. In round 1 of a classification residuals differ by class alone, so rounding hides no label.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from secure_gal.messages import Residual
from secure_gal.protection.clear.assistor import ClearResidualSide
from secure_gal.protection.clear.mode import finish_line, steps_of
from secure_gal.protection.clear.sponsor import ClearResiduals
from secure_gal.protection.disclosure import Disclosure
from secure_gal.protection.modes import ResidualMode
from secure_gal.settings.study import Study

GRID = 0.125
"""Distance of the grid's values, in units of the residual (at most about 1): exact in float32."""


def rounded(residual: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """A residual (N_train, K) on the grid; halves go to the even multiple."""
    return np.asarray(np.round(residual / GRID) * GRID, dtype=np.float32)


def problem(study: Study, round_: int, values: npt.NDArray[np.float32]) -> str:
    """Why no sponsor of such a study sends these values: the agreed grid is all that is asked of them."""
    return "" if np.array_equal(values, rounded(values)) else f"not on the agreed grid of multiples of {GRID:g}"


def _lines(study: Study) -> tuple[Disclosure, ...]:
    """What residuals on a grid tell."""
    residual = Disclosure(
        Residual.KIND,
        "sponsor",
        "assistor",
        f"pseudo-residual of the training rows, every round, rounded to multiples of {GRID:g}",
        "clear",
        f"the labels of all training rows, each to within {GRID / 2:g} of a residual and more closely over rounds; "
        "classes are not hidden; no epsilon is claimed",
    )
    return (residual, finish_line("labels"))


RESIDUALS = ResidualMode(
    steps_of(Residual),
    lambda cipher: ClearResiduals(shown=rounded),
    lambda study: ClearResidualSide(problem=problem),
    _lines,
)
