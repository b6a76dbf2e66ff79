"""What is said of a predictions file: how many rows, and which of them to look at."""

from __future__ import annotations

from secure_gal.events import PredictionsWritten


def written(event: PredictionsWritten) -> str:
    """In words; of rows to look at, how many and which column says why."""
    text = f"{event.rows} predictions written to {event.path}"
    if event.lacking:
        rule = " (with sums a row has it only if every assistor knows the row)" if event.summed else ""
        text += f"; {event.lacking} of them without some assistor's part, named in the column `missing`{rule}"
    if event.unusual:
        text += (
            f"; {event.unusual} of them with an assistor's part far outside those of all rows that were learnt from, "
            "named in the column `unusual`: people unlike any before, columns that have changed there since, or a "
            "party that answers wrongly. Such a part counts as the furthest of those rows, and one three times as "
            "far as the party's mean part"
        )
    return text
