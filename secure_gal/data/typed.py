"""A table's columns by its schema: numbers as Float64, categories as String, nothing guessed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import assert_never

import polars as pl

from secure_gal.data.dates import columns_of, moments
from secure_gal.data.notation import MAX_SIZE, Notation, numbers, without, without_nan
from secure_gal.data.schema import Field, Schema
from secure_gal.errors import DataError, quoted


def typed(where: str, raw: pl.DataFrame, schema: Schema, schema_at: str) -> pl.DataFrame:
    """The features (N rows), by name, so that a table whose columns stand in another order is the same table.

    Args:
        where: the table, for messages; schema_at: where the schema lies.
        raw: String columns as written, or typed ones.

    Raises:
        DataError: a column is missing, or a value is not what the schema says; names row (1 is the first row of data),
            column, value and fix.
    """
    there = set(raw.columns)
    absent = [field.name for field in schema.features if field.name not in there]
    if absent:
        raise DataError(
            where,
            f"has no column {', '.join(map(repr, absent[:10]))}, which the schema {schema_at} has as a feature; its "
            f"columns are {', '.join(raw.columns[:20])}",
        )
    reading = _Reading(where, schema, schema_at)
    features = sorted(schema.features, key=lambda field: field.name)
    columns = [c for field in features for c in reading.columns(raw[field.name], field)]
    twice = [name for name, times in Counter(column.name for column in columns).items() if times > 1]
    if twice:
        raise DataError(where, f"has a column {twice[0]!r} beside a date with a part of that name; rename the column")
    return pl.DataFrame(columns)


@dataclass(frozen=True, slots=True)
class _Reading:
    where: str
    schema: Schema
    schema_at: str

    def columns(self, series: pl.Series, field: Field) -> Iterator[pl.Series]:
        match field.type:
            case "number":
                yield self._numbers(series, field)
            case "boolean":
                yield self._truths(series, field)
            case "date":
                yield from columns_of(field.name, self._moments(series, field), field.parts, field.origin)
            case "string":
                yield self._text(series, field)
            case _:
                assert_never(field.type)

    def _text(self, series: pl.Series, field: Field) -> pl.Series:
        """Without blanks at the ends, null for missing values."""
        text = series.cast(pl.String).str.strip_chars()
        return text.set(text.is_in(self.schema.missing(field)).fill_null(False), None)

    def _numbers(self, series: pl.Series, field: Field) -> pl.Series:
        typed_ = series.dtype.is_numeric() or series.dtype == pl.Boolean
        read = without_nan(series.cast(pl.Float64)) if typed_ else self._from_text(series.cast(pl.String), field)
        said = (*self.schema.missing_values, *field.missing_values)
        values = without(read, said, Notation() if typed_ else field.notation)
        beyond = (values.abs() > MAX_SIZE).fill_null(False)
        self._refuse(series, beyond, field, f"a number of at most {MAX_SIZE:g}")
        return values.alias(field.name)

    def _from_text(self, text: pl.Series, field: Field) -> pl.Series:
        """Most texts are plain numbers; only those that are not are looked at again."""
        plain = field.notation.plain
        nothing = pl.repeat(None, len(text), dtype=pl.Float64, eager=True)
        values = without_nan(text.cast(pl.Float64, strict=False)) if plain else nothing
        left = (text.is_not_null() & values.is_null()).arg_true()
        if not len(left):
            return values
        rest = self._text(text.gather(left), field)
        read = numbers(rest, field.notation)
        wrong = pl.repeat(False, len(text), eager=True).scatter(left, rest.is_not_null() & read.is_null())
        self._refuse(text, wrong, field, "a number")
        return values.scatter(left, read)

    def _truths(self, series: pl.Series, field: Field) -> pl.Series:
        if series.dtype == pl.Boolean:
            return series.cast(pl.Float64)
        text = self._text(series, field)
        true, false = text.is_in(field.true_values), text.is_in(field.false_values)
        self._refuse(text, (~true & ~false).fill_null(False), field, "a truth value (trueValues, falseValues)")
        return true.cast(pl.Float64).alias(field.name)

    def _moments(self, series: pl.Series, field: Field) -> pl.Series:
        if series.dtype.is_temporal():
            return series.cast(pl.Datetime("us"))
        text = self._text(series, field)
        when = moments(text, field.format)
        self._refuse(text, text.is_not_null() & when.is_null(), field, f"a date as {field.format}")
        return when

    def _refuse(self, shown: pl.Series, wrong: pl.Series, field: Field, expected: str) -> None:
        """DataError for the first wrong value."""
        if not bool(wrong.any()):
            return
        row = int(wrong.arg_max() or 0)
        raise DataError(
            self.where,
            f"row {row + 1} has {quoted(shown[row])} in column {field.name!r}, where the schema {self.schema_at} has "
            f"{expected} ({int(wrong.sum())} such values in all); correct the value, or if it stands for a missing one "
            "add it to missingValues of this column in the schema",
        )
