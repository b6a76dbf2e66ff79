"""What a learning stage came to, kept with its last step: results are made from it whenever they are asked for."""

from __future__ import annotations

import msgspec


class Learned(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The end of a learning stage as the sponsor saw it; metrics are in the ensemble's unit, None where not measured.

    Attributes:
        kept: rounds kept; 0 is F^0.
        metric: what `gal` and `alone` are.
        gal: of the kept rounds on the validation rows.
        alone: of the sponsor's own features with the same learner and rounds.
        unit: what one unit of the metric is worth in the label's own.
    """

    kept: int
    metric: str
    gal: float | None
    alone: float | None
    unit: float
