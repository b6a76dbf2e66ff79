"""What a learning stage came to, kept with its last step: results are made from it whenever they are asked for."""

from __future__ import annotations

import msgspec

from secure_gal.gal.ensemble import Evidence


class Learned(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The end of a learning stage as the sponsor saw it; metrics are in the ensemble's unit, None where not measured.

    Attributes:
        kept: rounds kept; 0 is F^0.
        metric: what `gal` and `alone` are.
        gal: of the kept rounds on the judged rows.
        alone: of the sponsor's own features with the same learner and rounds.
        unit: what one unit of the metric is worth in the label's own.
        judged: which rows `gal` and `alone` are of; None where there were none to judge by.
    """

    kept: int
    metric: str
    gal: float | None
    alone: float | None
    unit: float
    judged: Evidence | None = None
