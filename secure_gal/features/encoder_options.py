"""What an encoder is trained with: the `encoder*` fields of `[learner.options]`, and where it computes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class EncoderOptions:
    """Ranges stand in `kinds.encoder`, which checks what a party file says.

    Attributes:
        kind: `auto` (denoising for tables, kmeans for images, masked for series), or one of these by name.
        width: most features p that leave the encoder; 1023 and an intercept are 1,024 encrypted columns.
        epochs: passes over the party's own rows; 0 chooses by the number of rows.
        device: `[learner] device`.
        file: where a trained encoder is kept: read if it is there, else written after training.
    """

    kind: str = "auto"
    width: int = 1023
    epochs: int = 0
    device: str = "auto"
    file: Path | None = None
