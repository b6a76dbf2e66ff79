"""`residuals = "dp"` and `"ip"`: labels are released once, and everything that others observe comes from the releases.

A residual of released labels travels as `privatised-residual`, so that a true one is refused where the study agreed on
this. The release itself is made where the sponsor's labels are coded (`secure_gal.holdings.privatised`).
"""

from __future__ import annotations

from secure_gal.holdings.privatised import ReleasedLabels, label_scheme
from secure_gal.messages import PrivatisedResidual
from secure_gal.protection.clear.mode import finish_line, residuals_of
from secure_gal.protection.disclosure import Disclosure
from secure_gal.settings.study import Study


def _lines(study: Study) -> tuple[Disclosure, ...]:
    """What residuals of released labels tell."""
    epsilon = study.protect.epsilon
    worth = "of each target one interval, below or above a random threshold; no epsilon is claimed"
    if epsilon is not None:
        worth = f"of each label at most what epsilon {epsilon:g} allows, for all rounds and runs together"
    residual = Disclosure(
        PrivatisedResidual.KIND,
        "sponsor",
        "assistor",
        "pseudo-residual of the training rows, every round",
        f"privatised ({label_scheme(study.protect).statement})",
        worth,
        readable=True,
    )
    return (residual, finish_line("released labels"))


RESIDUALS = residuals_of(PrivatisedResidual, _lines, ReleasedLabels)
