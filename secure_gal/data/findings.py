"""What a schema was made from, for a person to read: a line a column, and what concerns several columns."""

from __future__ import annotations

from dataclasses import dataclass, field

import polars as pl

from secure_gal.data.infer import Column
from secure_gal.data.schema import Schema
from secure_gal.errors import short


@dataclass(frozen=True, slots=True)
class Findings:
    """The schema, and how each of its columns was found; `fields` of both in one order."""

    schema: Schema
    columns: tuple[Column, ...] = field(repr=False)
    notes: tuple[str, ...] = ()

    @property
    def problems(self) -> list[str]:
        """Why the table is refused."""
        return [f"column {c.field.name!r}: {c.problem}" for c in self.columns if c.problem]

    def warnings(self) -> list[str]:
        """What a person should know, in words."""
        return [*(f"column {short(c.field.name)!r}: {note}" for c in self.columns for note in c.notes), *self.notes]

    def lines(self) -> list[str]:
        """A table: name, kind, missing values, what it holds, how it was decided."""
        rows = [("column", "kind", "missing", "holds", "decided by")]
        for c in self.columns:
            found = ", ".join(f"{short(marker)!r} {count}" for marker, count in list(c.markers.items())[:3] if marker)
            share = f"{100 * c.missing / c.rows:.1f}%" if c.missing and c.rows else "-"
            row = (short(c.field.name), c.field.kind, f"{share}{f' ({found})' if found else ''}", c.summary, c.how)
            rows.append(row)
        widths = [min(40, max(len(row[i]) for row in rows)) for i in range(4)]
        return ["  ".join([*(row[i].ljust(widths[i]) for i in range(4)), row[4]]).rstrip() for row in rows]


def across(typed: pl.DataFrame, ids: pl.Series, labels: pl.Series | None) -> list[str]:
    """What columns have to do with each other, with the row number, the id and the label."""
    notes: list[str] = []
    seen: dict[tuple[int, int, str], pl.Series] = {}
    numbers = ids.cast(pl.Float64, strict=False)
    for column in typed:
        key = int(column.hash(seed=0).sum()), column.null_count(), str(column.dtype)
        twin = seen.setdefault(key, column)
        if twin is not column and twin.equals(column):
            notes.append(f"columns {twin.name!r} and {column.name!r} are identical")
        notes += _of_rows(column, ids, numbers)
        if labels is not None and _determine(column, labels):
            notes.append(f"column {column.name!r} tells the label of every row; is it the label once more?")
    return notes


def _of_rows(column: pl.Series, ids: pl.Series, numbers: pl.Series) -> list[str]:
    if column.dtype == pl.Float64 and not column.has_nulls() and len(column) > 2:
        if bool((column == numbers).all()) and not numbers.has_nulls():
            return [f"column {column.name!r} equals the id; leave it out with [data] columns"]
        if bool((column.diff().drop_nulls() == 1.0).all()):
            return [f"column {column.name!r} counts the rows; leave it out with [data] columns"]
    if column.dtype == pl.String and column.equals(ids):
        return [f"column {column.name!r} equals the id; leave it out with [data] columns"]
    return []


def _determine(column: pl.Series, labels: pl.Series) -> bool:
    """Whether column and label say the same: one value of the one for each of the other, and not a new one each row."""
    kinds = labels.n_unique()
    if not 2 <= kinds < len(labels) or column.has_nulls() or column.n_unique() != kinds:
        return False
    return pl.DataFrame([column.alias("a"), labels.alias("b")]).n_unique() == kinds
