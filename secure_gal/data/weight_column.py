"""`[data] weight`: the column of a sponsor's table that says how much each row counts, and is no feature."""

from __future__ import annotations

import msgspec
import polars as pl

from secure_gal.data.schema import Schema
from secure_gal.errors import DataError


def check_weights(where: str, column: str, frame: pl.DataFrame) -> None:
    """Refuse weights that are missing, or not above 0.

    Args:
        frame: typed by the schema, rows as the table has them.

    Raises:
        DataError: names the row (1 is the first row of data) and its value.
    """
    if column not in frame.columns or frame[column].dtype != pl.Float64:
        problem = f"[data] weight is {column!r}, which is no column of numbers that the schema lets take part"
        raise DataError(where, f"{problem}; its role there is feature and its type number")
    weights = frame[column]
    bad = ~((weights > 0) & weights.is_finite()).fill_null(False)
    if bad.any():
        row = int(bad.arg_max() or 0)
        said = "has no weight" if weights[row] is None else f"has the weight {weights[row]!r}"
        raise DataError(
            where, f"row {row + 1} {said} in column {column!r}; weights are numbers above 0: correct or remove the row"
        )


def without_column(schema: Schema, column: str | None) -> Schema:
    """The same schema but for one field."""
    return msgspec.structs.replace(schema, fields=tuple(field for field in schema.fields if field.name != column))
