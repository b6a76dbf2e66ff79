"""What an encoder is trained with: the `encoder*` fields of `[learner.options]`, and where it computes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from secure_gal.errors import SettingsError

WHERE = "[learner.options] encoder"
FOR = {2: ("denoising",), 3: ("masked",), 4: ("kmeans", "vicreg"), 5: ("kmeans", "vicreg")}
"""Kinds of encoder by the dimensions of x; the first is `auto`."""
TRAINED = ("denoising", "masked", "vicreg")
"""Kinds that are networks, trained in epochs."""
BATCH = 256
"""Rows of a step of theirs."""
STEPS = 2_000
"""Steps that `encoder_epochs = 0` aims at; at least one epoch, at most MOST_EPOCHS."""
MOST_EPOCHS = 100


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


def kind_for(chosen: str, dimensions: int) -> str:
    """The kind of encoder for x of so many dimensions, never `auto`.

    Raises:
        SettingsError: a kind that does not take such rows.
    """
    fitting = FOR[dimensions]
    if chosen == "auto":
        return fitting[0]
    if chosen not in fitting:
        held = {2: "a table", 3: "series"}.get(dimensions, "images")
        raise SettingsError(WHERE, f"{chosen!r} does not take {held}; accepted for it: auto, {', '.join(fitting)}")
    return chosen


def epochs_for(asked: int, rows: int) -> int:
    """Epochs on so many training rows; asked: `encoder_epochs`."""
    return asked or min(max(STEPS * BATCH // max(1, rows), 1), MOST_EPOCHS)
