"""What one committed round did."""

from __future__ import annotations

import msgspec


class RoundRecord(msgspec.Struct, frozen=True):
    """What one committed round did; losses are means over rows, `valid_*` are None without validation rows."""

    round: int
    train_loss: float
    valid_loss: float | None
    valid_metric: float | None
    eta: float
    attained: bool
    weights: dict[str, float]
