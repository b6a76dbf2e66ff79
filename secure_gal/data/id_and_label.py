"""What a table's rows are called, and their labels: the columns that are no features."""

from __future__ import annotations

from pathlib import Path

import polars as pl

from secure_gal.data.id_types import id_texts
from secure_gal.data.ids import write_ids
from secure_gal.data.notation import numbers
from secure_gal.data.repeated import find_repeats, refuse_repeats
from secure_gal.data.schema import Schema
from secure_gal.errors import DataError
from secure_gal.settings.classes import Label
from secure_gal.settings.study import IdForm


def ids_of(
    path: Path, frame: pl.DataFrame, columns: tuple[str, ...], form: IdForm | None, repeated: bool = False
) -> tuple[list[str], pl.DataFrame]:
    """(ids as the study compares them, the id columns as text); DataError."""
    for column in columns:
        if column not in frame.columns:
            known = f"its columns are {', '.join(frame.columns[:20])}"
            one = " (a CSV of one column: is it separated as the schema says? if there is none: [data] delimiter)"
            one = one if frame.width == 1 else ""
            raise DataError(str(path), f"has no id column {column!r}; {known}{one}")
    written = id_texts(frame, columns, str(path))
    for column in columns:
        _check_present(path, column, written[column])
    where, texts = f"{path}, column {', '.join(columns)}", [column.to_list() for column in written]
    ids = texts[0] if form is None else write_ids(texts, form, where)
    found = None if repeated else find_repeats(ids)
    if found is not None:
        refuse_repeats(found, texts, form, where)
    return ids, written


def _check_present(path: Path, column: str, ids: pl.Series) -> None:
    empty = ids.is_null() | (ids.str.strip_chars() == "")
    if empty.any():
        raise DataError(
            str(path), f"row {1 + int(empty.arg_max() or 0)} has no id in column {column!r}; fill or remove it"
        )


def labels_of(path: Path, column: str | None, frame: pl.DataFrame, schema: Schema | None) -> list[Label] | None:
    """The labels as the schema reads them; None where there is no such column; DataError for one that is missing."""
    if column is None or column not in frame.columns:
        return None
    label = frame[column]
    rule = schema.of(column) if schema is not None else None
    if schema is not None and rule is not None and label.dtype == pl.String:
        text = label.str.strip_chars()
        label = text.set(text.is_in((*schema.missing_values, *rule.missing_values)).fill_null(False), None)
        if rule.type == "number":
            label = numbers(label, rule.notation)
    missing = label.is_null() | (label.is_nan() if label.dtype.is_float() else pl.Series([False] * len(label)))
    if missing.any():
        raise DataError(
            str(path),
            f"row {1 + int(missing.arg_max() or 0)} has no label in column {column!r}; "
            "remove unlabelled rows from the training table",
        )
    return label.to_list()
