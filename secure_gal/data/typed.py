"""A table's columns by its schema: numbers as Float64, categories as String, nothing guessed."""

from __future__ import annotations

from collections.abc import Iterator

import polars as pl

from secure_gal.data.dates import columns_of, moments
from secure_gal.data.infer import MAX_SIZE
from secure_gal.data.notation import Notation, numbers, without
from secure_gal.data.schema import Field, Schema
from secure_gal.errors import DataError


def typed(where: str, raw: pl.DataFrame, schema: Schema, schema_at: str) -> pl.DataFrame:
    """The features (N rows) in the schema's order.

    Args:
        where: the table, for messages; schema_at: where the schema lies.
        raw: String columns as written, or typed ones.

    Raises:
        DataError: a column is missing, or a value is not what the schema says; names row (1 is the first row of data),
            column, value and fix.
    """
    absent = [field.name for field in schema.features if field.name not in raw.columns]
    if absent:
        raise DataError(
            where,
            f"has no column {', '.join(map(repr, absent[:10]))}, which the schema {schema_at} has as a feature; its "
            f"columns are {', '.join(raw.columns[:20])}",
        )
    return pl.DataFrame(
        [column for field in schema.features for column in _columns(where, raw[field.name], field, schema_at)]
    )


def _columns(where: str, series: pl.Series, field: Field, schema_at: str) -> Iterator[pl.Series]:
    match field.type:
        case "number":
            yield _numbers(where, series, field, schema_at)
        case "boolean":
            yield _truths(where, series, field, schema_at)
        case "date":
            yield from columns_of(field.name, _moments(where, series, field, schema_at), field.parts, field.origin)
        case "string":
            yield _blanked(_text(series), field)
    # a closed set: mypy finds a type that is not here, since nothing would be yielded for it


def _text(series: pl.Series) -> pl.Series:
    return series.cast(pl.String).str.strip_chars()


def _blanked(text: pl.Series, field: Field) -> pl.Series:
    """With nulls for missing values."""
    return text.set(text.is_in(field.missing_values).fill_null(False), None)


def _numbers(where: str, series: pl.Series, field: Field, schema_at: str) -> pl.Series:
    if series.dtype.is_numeric() or series.dtype == pl.Boolean:
        values = without(series.cast(pl.Float64).fill_nan(None), field.missing_values, Notation())
    else:
        values = without(
            _from_text(where, series.cast(pl.String), field, schema_at), field.missing_values, field.notation
        )
    _refuse(
        where, series, (values.abs() > MAX_SIZE).fill_null(False), field, schema_at, f"a number of at most {MAX_SIZE:g}"
    )
    return values.alias(field.name)


def _from_text(where: str, text: pl.Series, field: Field, schema_at: str) -> pl.Series:
    """Most texts are plain numbers; only those that are not are looked at again."""
    plain = field.notation.plain
    values = numbers(text, field.notation) if plain else pl.repeat(None, len(text), dtype=pl.Float64, eager=True)
    left = text.is_not_null() & values.is_null()
    if not bool(left.any()):
        return values
    rest = _blanked(_text(text.filter(left)), field)
    read = numbers(rest, field.notation)
    odd = rest.is_not_null() & read.is_null()
    if bool(odd.any()):
        wrong = left.scatter(left.arg_true(), odd)
        _refuse(where, text, wrong, field, schema_at, "a number")
    return values.scatter(left.arg_true(), read)


def _truths(where: str, series: pl.Series, field: Field, schema_at: str) -> pl.Series:
    if series.dtype == pl.Boolean:
        return series.cast(pl.Float64)
    text = _blanked(_text(series), field)
    true, false = text.is_in(field.true_values), text.is_in(field.false_values)
    _refuse(where, text, (~true & ~false).fill_null(False), field, schema_at, "a truth value (trueValues, falseValues)")
    return true.cast(pl.Float64).alias(field.name)


def _moments(where: str, series: pl.Series, field: Field, schema_at: str) -> pl.Series:
    if series.dtype.is_temporal():
        return series.cast(pl.Datetime("us"))
    text = _blanked(_text(series), field)
    when = moments(text, field.format)
    _refuse(where, text, text.is_not_null() & when.is_null(), field, schema_at, f"a date such as {field.format}")
    return when


def _refuse(where: str, shown: pl.Series, wrong: pl.Series, field: Field, schema_at: str, expected: str) -> None:
    """DataError for the first wrong value."""
    if not bool(wrong.any()):
        return
    row = int(wrong.arg_max() or 0)
    raise DataError(
        where,
        f"row {row + 1} has {shown[row]!r} in column {field.name!r}, where the schema {schema_at} has {expected} "
        f"({int(wrong.sum())} such values in all); correct the value, or if it stands for a missing one add it to "
        "missingValues of this column in the schema",
    )
