"""`lstm`: a recurrent network for series."""

from __future__ import annotations

from secure_gal.learners.base import Learner
from secure_gal.learners.declare import EVERY_POWER, SERIES, Asked, learner
from secure_gal.learners.recurrent_options import RecurrentOptions


@learner("lstm", options=RecurrentOptions, losses=EVERY_POWER, shapes=(SERIES,), torch=True)
def make(asked: Asked, options: RecurrentOptions) -> Learner:
    """A recurrent network, or one extractor with a new head a round."""
    from secure_gal.learners.extractor import shared_or_not
    from secure_gal.learners.recurrent import body

    return shared_or_not(body("lstm", options), asked, options)
