"""What one committed round did."""

from __future__ import annotations

import msgspec


class RoundRecord(msgspec.Struct, frozen=True):
    """What one committed round did; losses are means over rows.

    Attributes:
        train_loss, train_metric: of the training rows; in-sample, unless `out_of_fold`.
        valid_loss, valid_metric: of held-out rows; None without any.
        out_of_fold: whether the training rows' values come from fits that have not seen them.
        set_aside: by party why its fit got no weight, of `secure_gal.gal.doubt.Doubt`.
    """

    round: int
    train_loss: float
    valid_loss: float | None
    valid_metric: float | None
    eta: float
    attained: bool
    weights: dict[str, float]
    train_metric: float | None = None
    out_of_fold: bool = False
    set_aside: dict[str, str] = {}
