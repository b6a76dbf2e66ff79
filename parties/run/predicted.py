"""What is said of a predictions file: how many rows, and which of them to look at."""

from __future__ import annotations

from secure_gal.events import PredictionsWritten
from secure_gal.gal.doubt import LIKELY, UNUSUAL


def written(event: PredictionsWritten) -> str:
    """In words; of rows to look at, how many and which column says why."""
    text = f"{event.rows} predictions written to {event.path}"
    if event.lacking:
        rule = " (with sums a row has it only if every assistor knows the row)" if event.summed else ""
        text += f"; {event.lacking} of them without some assistor's part, named in the column `missing`{rule}"
    if event.unusual:
        text += f"; {event.unusual} of them with {UNUSUAL}, named in the column `unusual`: {LIKELY}"
    return text
