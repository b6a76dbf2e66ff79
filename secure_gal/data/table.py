"""Rows by entity id: a table read by its schema, arrays through `secure_gal.data.arrays`; ids kept verbatim."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt
import polars as pl

from secure_gal.data import schema_file
from secure_gal.data.arrays import ArrayRows, read_arrays
from secure_gal.data.findings import Findings, across
from secure_gal.data.id_and_label import ids_of, labels_of
from secure_gal.data.infer import basis, infer
from secure_gal.data.raw import Raw, read_raw
from secure_gal.data.repeated import resolve_repeated
from secure_gal.data.schema import Role, Schema
from secure_gal.data.typed import typed
from secure_gal.data.weight_column import check_weights, without_column
from secure_gal.errors import DataError
from secure_gal.settings.classes import Label
from secure_gal.settings.party import ROW, DataSettings, Repeated
from secure_gal.settings.study import IdForm, Task

LABEL = "\0label"
"""A column beside the features, whose name no file can have."""


@dataclass(frozen=True, slots=True)
class Table:
    """One party's rows.

    Attributes:
        ids: (N,) as the study compares them; in their order in a table to learn from, as written in rows to predict.
        frame: features (N rows): Float64 and String columns, or arrays.
        labels: if the file has them.
        written: the id columns as text.
        schema: how it was read; None for arrays.
        findings: how the schema was decided, where this reading decided it.
        notes: what a person should know of this reading.
        weights: `[data] weight` of each row, (N,), in a table to learn from.
    """

    ids: list[str] = field(repr=False)
    frame: pl.DataFrame | ArrayRows = field(repr=False)
    labels: list[Label] | None = field(repr=False)
    path: Path
    written: pl.DataFrame = field(repr=False)
    schema: Schema | None = field(default=None, repr=False)
    findings: Findings | None = field(default=None, repr=False)
    notes: tuple[str, ...] = ()
    weights: npt.NDArray[np.float64] | None = field(default=None, repr=False)


def read_table(
    data: DataSettings,
    form: IdForm | None = None,
    *,
    schema: Schema | None = None,
    labelled: bool = True,
    task: Task = "classification",
) -> Table:
    """Read a table, or arrays, and check ids and label.

    Args:
        data: where it lies, and which columns are id and label; several make an id together only with `form`.
        form: how ids are normalised (`secure_gal.data.ids`); None keeps them verbatim.
        schema: what was decided before. Without it, it is decided now, from all rows.
        labelled: False for rows to predict, whose label column, if they have one, is dropped whatever it holds. They
            may be ids alone; the frame is empty then.
        task: whether labels of one id can have a mean, where `[data] repeated` asks for it.

    Raises:
        DataError: naming the file, the column, the row (1 is the first row of data) and the fix.
    """
    if data.arrays:
        return _read_arrays(data, form, labelled)
    found = _numbered(data, read_raw(data, schema))
    return table_of(found, data, form, schema=schema, labelled=labelled, task=task)


def table_of(
    found: Raw, data: DataSettings, form: IdForm | None, *, schema: Schema | None, labelled: bool, task: Task
) -> Table:
    """The same of rows that were read already."""
    where, raw = Path(data.where), found.frame
    ids, written = ids_of(where, raw, data.ids, form, data.repeated is not None)
    findings = None
    if schema is None:
        findings = _decided(found, data)
        if findings.problems:
            more = f" (and {len(findings.problems) - 1} more: secure-gal schema)" if len(findings.problems) > 1 else ""
            raise DataError(data.where, f"{findings.problems[0]}{more}")
        schema = findings.schema
    labels = labels_of(where, data.label, raw, schema) if labelled else None
    held = schema if labelled else without_column(schema, data.weight)
    alone = not labelled and not any(field.name in raw.columns for field in held.features)
    frame = pl.DataFrame() if alone else typed(data.where, raw, held, str(data.schema or ""))
    if labelled and data.weight is not None:
        check_weights(data.where, data.weight, frame)
    notes = found.left_out(schema, data.where)
    if findings is not None:
        findings = replace(findings, notes=(*findings.notes, *_across(data, raw, frame)))
    whole = Table(ids, frame, labels, where, written, schema, findings, notes)
    if data.repeated is not None:
        whole = _one_row_an_id(whole, data.repeated, task)
    return _without_weights(_by_id(whole), data.weight) if labelled else whole


def _by_id(table: Table) -> Table:
    """With its rows in the order of their ids, so that a table in another order is the same table.

    Shorter ids come first: numbers without zeros at their front are then in the order of numbers, as most files are.
    """
    ids, frame, labels = pl.Series(table.ids), table.frame, table.labels
    keys = pl.DataFrame({"length": ids.str.len_bytes(), "id": ids})
    order = keys.select(pl.arg_sort_by("length", "id")).to_series()
    if order.is_sorted():
        return table
    return replace(
        table,
        ids=ids.gather(order).to_list(),
        frame=frame[order] if isinstance(frame, pl.DataFrame) and frame.width else frame,
        labels=None if labels is None else [labels[row] for row in order.to_list()],
        written=table.written[order],
    )


def _without_weights(table: Table, column: str | None) -> Table:
    """With the column of weights beside the features instead of among them."""
    frame = table.frame
    if column is None or isinstance(frame, ArrayRows):
        return table
    return replace(table, frame=frame.drop(column), weights=frame[column].to_numpy())


def _one_row_an_id(table: Table, how: Repeated, task: Task) -> Table:
    """With the rows of each id made into one, and a note of what was done."""
    frame = table.frame
    assert isinstance(frame, pl.DataFrame)  # noqa: S101  (arrays were refused)
    if table.labels is not None:
        frame = frame.with_columns(pl.Series(LABEL, table.labels))
    classes = task == "classification"
    made = resolve_repeated(
        frame, table.ids, how, LABEL if table.labels is not None else None, classes, str(table.path)
    )
    labels = made.frame[LABEL].to_list() if table.labels is not None else None
    return replace(
        table,
        ids=[table.ids[row] for row in made.rows],
        frame=made.frame.drop(LABEL, strict=False),
        labels=labels,
        written=table.written[made.rows],
        notes=(*table.notes, made.said) if made.said else table.notes,
    )


def look(data: DataSettings) -> Findings:
    """How the schema of a table would be decided, whatever speaks against the table; DataError where it is none."""
    raw = _numbered(data, read_raw(data, None))
    found = _decided(raw, data)
    if found.problems:
        return found
    across_ = _across(data, raw.frame, typed(data.where, raw.frame, found.schema, ""))
    return replace(found, notes=(*found.notes, *across_))


def _across(data: DataSettings, raw: pl.DataFrame, frame: pl.DataFrame) -> tuple[str, ...]:
    """What columns have to do with each other, rows as the file has them; nothing where there is no id column."""
    if data.ids[0] not in raw.columns:
        return ()
    label = raw[data.label] if data.label in raw.columns else None
    features = frame if data.weight is None else frame.drop(data.weight, strict=False)
    return tuple(across(features, raw[data.ids[0]].cast(pl.String), label))


def _numbered(data: DataSettings, raw: Raw) -> Raw:
    """With the number of each row as its id, where `[data] id` asks for that."""
    if ROW not in data.ids or ROW in raw.frame.columns:
        return raw
    return replace(raw, frame=raw.frame.with_columns(pl.Series(ROW, np.arange(1, raw.frame.height + 1))))


def _decided(found: Raw, data: DataSettings) -> Findings:
    raw = found.frame
    for name, field_name in [(n, "categorical") for n in data.categorical] + [
        (n, "columns") for n in data.columns or ()
    ]:
        if name not in raw.columns:
            raise DataError(
                f"[data] {field_name}",
                f"no such column: {name}; the table's columns are {', '.join(raw.columns[:20])}",
            )
    columns = tuple(infer(raw[name], data, _role(name, data)) for name in raw.columns)
    columns += tuple(infer(pl.Series(name, [], pl.String), data, "left out") for name in found.others)
    fields = tuple(column.field for column in columns)
    schema = msgspec.structs.replace(basis(data), fields=fields, dialect=found.dialect, asked=schema_file.asked(data))
    return Findings(schema, columns, (found.doubt,) if found.doubt else ())


def _role(name: str, data: DataSettings) -> Role:
    if name in data.ids:
        return "id"
    if name == data.label:
        return "label"
    taken = data.columns is None or name in data.columns or name == data.weight
    return "feature" if taken else "left out"


def _read_arrays(data: DataSettings, form: IdForm | None, labelled: bool) -> Table:
    """x with its ids and label, from one `.npz` or from a `.npy` and the table beside it; DataError."""
    path, columns, label_column = data.path, data.ids, data.label
    if data.repeated is not None:
        raise DataError("[data] repeated", f"{path} holds arrays; keep one row an id there")
    x, held, source = read_arrays(path, columns, label_column)
    if source != path:
        frame = read_raw(DataSettings(source, columns, label_column), None).frame
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
    ids, written = ids_of(source, frame, columns, form)
    labels = labels_of(source, label_column, frame, None) if labelled else None
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
