"""What `features = "encoder"` can be told: the `encoder*` fields of `[learner.options]`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from secure_gal.errors import SettingsError

KINDS = ("auto", "denoising", "kmeans", "vicreg", "masked")
WHERE = "[learner.options]"
WIDEST = 4095
"""Columns that an encrypted head takes beside its intercept (`features.base.MAX_WIDTH`)."""


@dataclass(frozen=True, slots=True)
class EncoderOptions:
    """Checked on construction.

    Attributes:
        kind: `auto` (denoising for tables, kmeans for images, masked for series), or one of KINDS.
        width: most features p that leave the encoder; 1023 and an intercept are 1,024 encrypted columns.
        epochs: passes over the party's own rows; 0 chooses by the number of rows.
        device: `[learner] device`.
        file: where a trained encoder is kept: read if it is there, else written after training.

    Raises:
        SettingsError: a value outside its range.
    """

    kind: str = "auto"
    width: int = 1023
    epochs: int = 0
    device: str = "auto"
    file: Path | None = None

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise SettingsError(f"{WHERE} encoder", f"{self.kind!r}; accepted: {', '.join(KINDS)}")
        for name, value, low, high in (("width", self.width, 8, WIDEST), ("epochs", self.epochs, 0, 10_000)):
            if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
                raise SettingsError(f"{WHERE} encoder_{name}", f"{value!r}; accepted: a whole number, {low} to {high}")
