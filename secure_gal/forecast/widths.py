"""How wide encrypted heads will be: from the settings and from numbers of rows and columns, which are known before."""

from __future__ import annotations

from secure_gal.features import STANDARDIZED, auto
from secure_gal.gal.split import split_rows
from secure_gal.learners.kinds.linear import ridge_strength
from secure_gal.learners.ridge import freedom_for, most_columns
from secure_gal.settings.party import LearnerSettings
from secure_gal.settings.study import Study


def padded_width(study: Study, width: int) -> int:
    """P of an encrypted head on so many columns; 0 where nothing is encrypted."""
    if not study.protect.encrypted:
        return 0
    from crypto.ckks.ring import padded
    from crypto.ckks.sets import named

    params = named(study.protect.parameter_set)
    return padded(params, min(max(width, 1), params.max_features))


def widest(study: Study, learner: LearnerSettings, columns: int, rows: int) -> int:
    """Columns of U, the intercept's included, of a party with this learner: at most, where `ridge = "auto"` chooses.

    A learner that is fitted in the clear says nothing of the others' heads: their features are taken to be as many as
    its columns.

    Args:
        columns: of the party's table.
        rows: common to all parties.
    """
    if learner.kind != "linear" or ridge_strength(learner) != "auto":
        return columns + 1
    train = int(split_rows(rows, study.validation, study.seed).sum())
    chosen = most_columns(freedom_for(train))
    if learner.maps == STANDARDIZED:
        return min(chosen, columns + 1)
    return min(chosen, auto.width(train, columns) + 1) if learner.maps == ("auto",) else chosen
