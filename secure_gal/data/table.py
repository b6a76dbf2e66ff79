"""Rows by entity id: CSV and Parquet through polars, arrays through `secure_gal.data.arrays`; ids kept verbatim."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from secure_gal.data.arrays import ARRAY_SUFFIXES, ArrayRows, read_arrays
from secure_gal.data.ids import normalise
from secure_gal.errors import DataError
from secure_gal.settings.study import IdForm

MOSTLY_NUMERIC = 0.9
"""A text column of which this share parses as numbers was meant as numbers; the rest are errors, not levels."""


@dataclass(frozen=True, slots=True)
class Table:
    """ids (N,) as the study compares them, features (N rows), labels if the file has them, and the id columns as
    text."""

    ids: list[str] = field(repr=False)
    frame: pl.DataFrame | ArrayRows = field(repr=False)
    labels: list[Any] | None = field(repr=False)
    path: Path
    written: pl.DataFrame = field(repr=False)


def read_table(
    path: Path,
    id_column: str | tuple[str, ...],
    label_column: str | None,
    categorical: tuple[str, ...] = (),
    form: IdForm | None = None,
    labelled: bool = True,
) -> Table:
    """Read a table, or arrays, and check ids and label.

    Args:
        id_column: one column, or several that make an id together (only with `form`).
        form: how ids are normalised (`secure_gal.data.ids`); None keeps them verbatim.
        labelled: False for rows to predict, whose label column, if they have one, is dropped whatever it holds.

    Raises:
        DataError: naming the file, the column, the row (1 is the first row of data) and the fix.
    """
    columns = (id_column,) if isinstance(id_column, str) else id_column
    if path.suffix.lower() in ARRAY_SUFFIXES:
        return _read_arrays(path, columns, label_column, form, labelled)
    frame = _read(path, (*columns, *categorical, *([label_column] if label_column else [])))
    ids, written = _ids(path, frame, columns, form)
    labels = _labels(path, label_column, frame) if labelled else None
    features = frame.drop([name for name in frame.columns if name in (*columns, label_column)])
    _check_text(path, features, categorical)
    return Table(ids, features, labels, path, written)


def _read_arrays(
    path: Path, columns: tuple[str, ...], label_column: str | None, form: IdForm | None, labelled: bool
) -> Table:
    """x with its ids and label, from one `.npz` or from a `.npy` and the table beside it; DataError."""
    x, held, source = read_arrays(path, columns, label_column)
    if source != path:
        frame = _read(source, (*columns, *([label_column] if label_column else [])))
        stray = [name for name in frame.columns if name not in (*columns, label_column)]
        if stray:
            raise DataError(
                str(source),
                f"stands beside {path.name} for its ids and label only, and has other columns: "
                f"{', '.join(stray[:20])}; remove them",
            )
        if x is not None and len(x) != frame.height:
            raise DataError(
                str(source), f"has {frame.height} rows and {path.name} has {len(x)}; they go together row by row"
            )
    else:
        frame = pl.DataFrame({name: _as_column(path, name, values, name in columns) for name, values in held.items()})
    ids, written = _ids(source, frame, columns, form)
    labels = _labels(source, label_column, frame) if labelled else None
    return Table(ids, pl.DataFrame() if x is None else x, labels, path, written)


def _as_column(path: Path, name: str, values: npt.NDArray[Any], is_id: bool) -> pl.Series:
    accepted = "uiU" if is_id else "uiUfb"
    if values.dtype.kind not in accepted:
        raise DataError(
            str(path),
            f"array {name!r} has type {values.dtype}; expected whole numbers or fixed-width text"
            f"{'' if is_id else ', or floating-point numbers'}",
        )
    return pl.Series(
        name, np.char.strip(values).tolist() if values.dtype.kind == "U" and not is_id else values.tolist()
    )


def _ids(
    path: Path, frame: pl.DataFrame, columns: tuple[str, ...], form: IdForm | None
) -> tuple[list[str], pl.DataFrame]:
    """(ids as the study compares them, the id columns as text); DataError."""
    for column in columns:
        if column not in frame.columns:
            raise DataError(str(path), f"has no id column {column!r}; its columns are {', '.join(frame.columns[:20])}")
    written = frame.select(pl.col(columns).cast(pl.String))
    for column in columns:
        _check_present(path, column, written[column])
    if form is None:
        _check_distinct(path, columns[0], written[columns[0]])
        return written[columns[0]].to_list(), written
    where = f"{path}, column {', '.join(columns)}"
    return normalise([column.to_list() for column in written], form, where), written


def _read(path: Path, as_text: tuple[str, ...]) -> pl.DataFrame:
    try:
        if path.suffix.lower() in (".parquet", ".pq"):
            frame = pl.read_parquet(path)
        else:
            overrides = {name: pl.String for name in as_text}
            header = pl.read_csv(path, n_rows=0, infer_schema=False).columns
            _check_header(path, header)
            known = {k: v for k, v in overrides.items() if k in header}
            frame = pl.read_csv(
                path, schema_overrides=known, infer_schema_length=None, null_values=["", "NA", "NaN", "nan"]
            )
    except FileNotFoundError:
        raise DataError(str(path), "no such file; `[data] path` is relative to the party file") from None
    except (pl.exceptions.PolarsError, OSError) as error:
        raise DataError(str(path), f"cannot be read as {path.suffix or 'CSV'}: {str(error).splitlines()[0]}") from error
    if frame.height == 0:
        raise DataError(str(path), "has no rows")
    return frame


def _check_header(path: Path, header: list[str]) -> None:
    """polars would go on with the second column of a name under another one."""
    twice = [name for name in header if f"{name}_duplicated_0" in header]
    if twice:
        raise DataError(str(path), f"has more than one column {twice[0]!r} in its header; rename or remove one")


def _check_present(path: Path, column: str, ids: pl.Series) -> None:
    empty = ids.is_null() | (ids.str.strip_chars() == "")
    if empty.any():
        raise DataError(
            str(path), f"row {1 + int(empty.arg_max() or 0)} has no id in column {column!r}; fill or remove it"
        )


def _check_distinct(path: Path, column: str, ids: pl.Series) -> None:
    if ids.n_unique() != len(ids):
        twice = ids.filter(ids.is_duplicated())[0]
        raise DataError(str(path), f"id {twice!r} stands in column {column!r} more than once; keep one row an id")


def _labels(path: Path, column: str | None, frame: pl.DataFrame) -> list[Any] | None:
    if column is None or column not in frame.columns:
        return None
    label = frame[column]
    missing = label.is_null() | (label.is_nan() if label.dtype.is_float() else pl.Series([False] * len(label)))
    if missing.any():
        raise DataError(
            str(path),
            f"row {1 + int(missing.arg_max() or 0)} has no label in column {column!r}; "
            "remove unlabelled rows from the training table",
        )
    return label.to_list()


def _check_text(path: Path, frame: pl.DataFrame, categorical: tuple[str, ...]) -> None:
    for name in frame.columns:
        column = frame[name]
        if column.dtype != pl.String or name in categorical:
            continue
        text, share = _not_numbers(column, column)
        if not text.any():
            continue
        row = int(text.arg_max() or 0)
        with_points = _not_numbers(column, column.str.replace(",", ".", literal=True))[1]
        if with_points >= MOSTLY_NUMERIC and with_points > share:
            raise DataError(
                str(path),
                f"column {name!r} holds numbers with decimal commas: row {row + 1} has {column[row]!r}; "
                f'write them with points, or declare the column: [data] categorical = ["{name}"]',
            )
        if share >= MOSTLY_NUMERIC:
            raise DataError(
                str(path),
                f"column {name!r} holds numbers but row {row + 1} has {column[row]!r}; correct it, "
                f'or declare the column: [data] categorical = ["{name}"]',
            )


def _not_numbers(column: pl.Series, written: pl.Series) -> tuple[pl.Series, float]:
    """Which values are there and no numbers as they are written (N,), and the share of numbers among those there."""
    present = column.is_not_null()
    text = present & written.str.strip_chars().cast(pl.Float64, strict=False).is_null()
    return text, 1 - int(text.sum()) / max(1, int(present.sum()))
