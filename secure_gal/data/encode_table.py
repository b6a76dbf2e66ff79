"""Typed features to float64 matrices; fitted on training rows only, kept with the model."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import polars as pl

from secure_gal.data.encode import FEW_LEVELS
from secure_gal.data.schema import Schema
from secure_gal.errors import DataError

Rows = npt.NDArray[np.int64]
"""Numbers of rows of a table, from 0."""


@dataclass(frozen=True, slots=True)
class Columns:
    """A table's columns by what they are encoded as: numbers, levels by column (ascending), and what to tell a
    person."""

    numeric: list[str] = field(default_factory=list)
    levels: dict[str, list[str]] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)

    @classmethod
    def of(cls, frame: pl.DataFrame, rows: Rows | None = None) -> Columns:
        """Sort the columns of these rows (None for all), which a schema has typed: numbers, or text.

        Raises:
            DataError: no usable column is left.
        """
        if not frame.width:
            raise DataError(
                "[data]",
                'the table has no feature columns; add some (a sponsor may go without: [learner] kind = "none")',
            )
        found, unlike = cls(), []
        for name in frame.columns:
            column = _taken(frame, name, rows).drop_nulls()
            if column.n_unique() <= 1:
                found.warnings.append(f"column {name!r} is constant on the training rows and is left out")
            elif column.dtype != pl.String:
                found.numeric.append(name)
            else:
                found.levels[name] = levels = sorted(column.unique().to_list())
                if len(levels) > max(FEW_LEVELS, len(column) / 2):
                    unlike.append(
                        f"column {name!r} has {len(levels)} different texts in {len(column)} rows, each one a "
                        "column of its own; if it is an identifier or free text, remove it, or name it in "
                        "[data] id"
                    )
        if not found.numeric and not found.levels:
            raise DataError(
                "[data]",
                "every feature column is constant or empty on the training rows; there is nothing to learn from",
            )
        found.warnings.extend(unlike)
        return found


@dataclass(frozen=True, slots=True)
class Scale:
    """Of a column of numbers over the training rows: what a missing value becomes, and what is taken off and divided
    by."""

    median: float
    mean: float
    deviation: float

    @classmethod
    def of(cls, column: pl.Series) -> Scale:
        """Of Float64 values, null where missing; one that varies by rounding alone is only centred."""
        median = float(column.median())  # type: ignore[arg-type]
        values = column.fill_null(median).to_numpy()
        mean, deviation = float(values.mean()), float(values.std())
        rounding = len(values) * abs(mean) * float(np.finfo(np.float64).eps)
        return cls(median, mean, deviation if deviation > rounding else 1.0)


class TableEncoder:
    """Numeric: median for missing values, scaled. Categorical: one-hot, unseen levels are zeros.

    Column by column into one matrix, so that no second copy of the table is made on the way.
    """

    def __init__(self, numeric: dict[str, Scale], levels: dict[str, list[str]]) -> None:
        self._numeric, self._levels = numeric, levels
        self.schema: Schema | None = None
        self.warnings: list[str] = []

    @classmethod
    def fit(cls, frame: pl.DataFrame, schema: Schema | None = None, rows: Rows | None = None) -> TableEncoder:
        """Learn medians, scales and levels from the training rows; DataError as `Columns.of`.

        Args:
            schema: how the table was read, kept with the model.
            rows: the training rows; None for all.
        """
        found = Columns.of(frame, rows)
        encoder = cls({name: Scale.of(_numbers(frame, name, rows)) for name in found.numeric}, found.levels)
        encoder.warnings, encoder.schema = found.warnings, schema
        return encoder

    @property
    def names(self) -> list[str]:
        """What the columns of the matrix stand for."""
        return [*self._numeric, *(f"{name}={level}" for name, levels in self._levels.items() for level in levels)]

    def transform(
        self, frame: pl.DataFrame, rows: Rows | None = None
    ) -> tuple[npt.NDArray[np.float64], dict[str, int]]:
        """Matrix (n, p) of these rows (None for all), and how many values a column were never seen in training.

        Raises:
            DataError: a column is missing.
        """
        absent = [n for n in (*self._numeric, *self._levels) if n not in frame.columns]
        if absent:
            raise DataError("[data]", f"columns that the model was trained on are missing: {', '.join(absent)}")
        matrix, unseen = np.zeros((frame.height if rows is None else len(rows), len(self.names))), {}
        for place, (name, scale) in enumerate(self._numeric.items()):
            values = _numbers(frame, name, rows).fill_null(scale.median).to_numpy()
            matrix[:, place] = (values - scale.mean) / scale.deviation
        place = len(self._numeric)
        for name, known in self._levels.items():
            texts = _taken(frame, name, rows).cast(pl.String)
            codes = texts.cast(pl.Enum(known), strict=False).to_physical()
            if new := codes.null_count() - texts.null_count():
                unseen[name] = new
            matrix[codes.is_not_null().arg_true().to_numpy(), place + codes.drop_nulls().to_numpy()] = 1.0
            place += len(known)
        return matrix, unseen


def _taken(frame: pl.DataFrame, name: str, rows: Rows | None) -> pl.Series:
    return frame[name] if rows is None else frame[name].gather(rows)


def _numbers(frame: pl.DataFrame, name: str, rows: Rows | None) -> pl.Series:
    """Float64 (n,), null where missing."""
    return _taken(frame, name, rows).cast(pl.Float64).fill_nan(None)
