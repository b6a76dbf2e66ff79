"""What every column of a table is, decided from all of its values, once; the schema keeps it.

The rules, for a feature of text, in this order:
    1. blanks at both ends belong to no value; `BLANKS` and `[data] missing_values` are missing;
    2. truth values where nothing else stands;
    3. numbers, in the notation with which most texts are numbers; whole numbers with a leading zero are codes, so text;
    4. beside numbers a known marker, or one repeated word, is missing; anything else is refused where numbers prevail;
    5. dates in one of the known forms;
    6. else a category.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, replace

import msgspec
import polars as pl

from secure_gal.data.dates import find_forms, moments, one_form
from secure_gal.data.encode import class_order
from secure_gal.data.notation import (
    LEADING_ZERO,
    MAX_SIZE,
    Notation,
    find_notation,
    grouped_by_points,
    numbers,
    without,
)
from secure_gal.data.odd_numbers import notes_on
from secure_gal.data.schema import BLANKS, FALSE, MARKS, TRUE, VERSION, Constraints, Field, Role, Schema
from secure_gal.data.unread import looks_like
from secure_gal.errors import quoted, short
from secure_gal.settings.classes import class_of
from secure_gal.settings.party import ROW, DataSettings

FEW_LEVELS = 20
"""So many different numbers may be codes, so that a word among them may be one as well."""
MAX_LEVELS = 1000
"""Levels of one category; more is nearly always an identifier or free text."""
PREVAIL = 0.5
"""A column of which this share is numbers, more than FEW_LEVELS different ones, was meant as numbers."""
TEXT = "text"
"""What a column is called while its values are counted: its own name could be that of the counts."""


@dataclass(frozen=True, slots=True)
class Column:
    """A column, how it was read, and what to tell of it.

    Attributes:
        how: why it is what it is, in words.
        missing: missing values; markers: the texts among them, with their counts.
        notes: what a person should know.
        problem: why the table is refused, empty where it is not; first odd row in it.
    """

    field: Field
    how: str = ""
    rows: int = 0
    missing: int = 0
    markers: dict[str, int] = dataclasses.field(default_factory=dict)
    summary: str = ""
    notes: tuple[str, ...] = ()
    problem: str = ""


def infer(series: pl.Series, data: DataSettings, role: Role) -> Column:
    """Decide on a column: String as written, or Float64, Int64, Boolean, Date or Datetime as a typed file has it."""
    if role == "left out":
        return Column(Field(series.name, "string", role), "not among [data] columns", len(series))
    if role == "id":
        numbered = ("rows are known by their number: every party's table must have them in this order",)
        notes = numbered if series.name == ROW else ()
        return Column(Field(series.name, "string", role), "[data] id", len(series), series.null_count(), notes=notes)
    if role == "label":
        return _label(series, data)
    if series.name in data.categorical:
        return _category(series.cast(pl.String), data, "[data] categorical")
    if series.dtype == pl.Boolean:
        counts = f"true {int(series.sum())}, false {int((~series).sum())}"
        found = Column(Field(series.name, "boolean"), "truth values in the file", summary=counts)
        return replace(found, rows=len(series), missing=series.null_count())
    if series.dtype.is_temporal():
        days = series.drop_nulls().sort().dt.to_string("%Y-%m-%d")  # Python knows no year 0
        found = Column(Field(series.name, "date"), "dates in the file", len(series), series.null_count())
        return replace(found, summary=f"{days[0]} to {days[-1]}") if len(days) else found
    if series.dtype.is_numeric():
        found = Column(Field(series.name, "number"), "numbers in the file")
        values = without(series.cast(pl.Float64).fill_nan(None), data.missing_values, Notation())
        return _sized(values, found, series)
    return _text(series, data)


def _text(series: pl.Series, data: DataSettings) -> Column:
    """Rules 1 to 6."""
    name, stripped = series.name, series.str.strip_chars()
    said = (*BLANKS, *data.missing_values)
    there = stripped.filter(~stripped.is_in(said).fill_null(True))
    if not len(there):
        return Column(Field(name, "string", "left out"), "empty", len(series), len(series))
    if plain := _plain(stripped, there, data):
        return plain
    counts = there.alias(TEXT).to_frame().group_by(TEXT, maintain_order=True).len()
    texts, times = counts[TEXT], counts["len"]
    if bool(texts.head(7).is_in([*TRUE, *FALSE]).all()) and bool(texts.is_in([*TRUE, *FALSE]).all()):
        return _counted(Column(Field(name, "boolean"), "all are truth values"), stripped, data)
    found = _number(stripped, texts, times, data) or _date(stripped, texts, data)
    if found:
        return found
    column, odd = _category(series, data, "text"), looks_like(stripped, texts)
    return replace(column, problem=odd, notes=()) if odd else column


def _plain(stripped: pl.Series, there: pl.Series, data: DataSettings) -> Column | None:
    """What most columns are: nothing but numbers with a decimal point; None where it is not so."""
    if data.decimal_char is not None or data.group_char is not None:
        return None
    values = numbers(stripped, Notation())
    if values.drop_nulls().len() != len(there) or bool(there.str.contains(LEADING_ZERO).any()):
        return None
    points = grouped_by_points(there)
    field_ = Field(stripped.name, "number")
    column = Column(field_, "all are numbers", notes=(points,) if points else ())
    return _sized(without(values, data.missing_values, Notation()), _counted(column, stripped, data), stripped)


def _number(stripped: pl.Series, texts: pl.Series, times: pl.Series, data: DataSettings) -> Column | None:
    """Rules 3 and 4; None where it is no column of numbers."""
    known = texts.is_in(MARKS)
    words, counts = texts.filter(~known), times.filter(~known)
    if not len(words) or bool(words.str.contains(LEADING_ZERO).any()):
        return None
    read = find_notation(words, data.decimal_char, data.group_char)
    values = numbers(words, read.notation)
    odd = values.is_null()
    some, share = int((~odd).sum()), float(counts.filter(~odd).sum()) / float(counts.sum())
    if not some or (odd.any() and some <= FEW_LEVELS):
        return None
    markers: tuple[str, ...] = ()
    extra = words.filter(odd).to_list()
    how, notes, problem = str(read.notation) or "numbers", [], read.doubt
    if read.doubt and read.notation.plain:
        notes, problem = [read.doubt], ""
    if len(extra) == 1 and int(counts.filter(odd)[0]) > 1 and share > 0:
        markers, extra = (extra[0],), []
        notes.append(
            f"{markers[0]!r} in {int(counts.filter(odd)[0])} rows is taken for a missing value; if it is a level: "
            f'[data] categorical = ["{stripped.name}"]'
        )
    if extra:
        if share < PREVAIL:
            return None
        problem = _odd(stripped, extra, share)
    n = read.notation
    found = Field(stripped.name, "number", "feature", markers, n.decimal, n.group, n.prefix, n.suffix)
    column = _counted(Column(found, how, notes=tuple(notes), problem=problem), stripped, data)
    if problem:
        return column
    return _sized(without(numbers(stripped, n), data.missing_values, n), column, stripped)


def _odd(stripped: pl.Series, extra: list[str], share: float) -> str:
    row = int(stripped.is_in(extra).fill_null(False).arg_max() or 0)
    count = int(stripped.is_in(extra).sum())
    return (
        f"{share:.0%} of its values are numbers, {count} are not: row {row + 1} has {quoted(stripped[row])}; correct "
        f'them, or say what they are: [data] missing_values = ["{stripped[row]}"], or categorical = ["{stripped.name}"]'
    )


def _sized(values: pl.Series, column: Column, written: pl.Series) -> Column:
    """With range and sentinels of Float64 values; a problem where one is infinite or too large to compute with.

    Args:
        written: the same values as the file has them.
    """
    there = values.drop_nulls()
    column = replace(column, rows=len(values), missing=values.null_count())
    beyond = values.is_not_null() & ~(values.abs() <= MAX_SIZE)
    if bool(beyond.any()):
        row = int(beyond.arg_max() or 0)
        return replace(
            column,
            problem=f"{int(beyond.sum())} values are infinite or beyond {MAX_SIZE:g}: row {row + 1} has "
            f"{quoted(written[row])}; correct them, or, where that stands for a missing value: [data] missing_values = "
            f'["{written[row]}"]',
        )
    if not len(there):
        return replace(column, field=msgspec.structs.replace(column.field, role="left out"), how="empty")
    low, high = float(there.min()), float(there.max())  # type: ignore[arg-type]
    notes = [*column.notes, *notes_on(there, low, high)]
    return replace(column, summary=f"{low:g} to {high:g}", notes=tuple(notes))


def _date(stripped: pl.Series, texts: pl.Series, data: DataSettings) -> Column | None:
    """Rule 5; None where it is no column of dates."""
    words = texts.filter(~texts.is_in(MARKS))
    if not len(words) or not bool(words.head(20).str.contains(r"\d.*[-/.: ]|[-/.: ].*\d").all()):
        return None
    forms = find_forms(words, data.date_format)
    if not forms:
        return None
    form, doubt = one_form(forms, words[0]) if data.date_format is None else (forms[0], "")
    found = Field(stripped.name, "date", format=form)
    when = moments(words, form)
    days = when.sort().dt.to_string("%Y-%m-%d")  # Python knows no year 0
    first, last = days[0], days[-1]
    summary = f"{first} to {last}"
    how = f"dates as {form}, in days since {found.origin}"
    return _counted(Column(found, how, summary=summary, problem=doubt), stripped, data)


def _category(series: pl.Series, data: DataSettings, how: str) -> Column:
    name, stripped = series.name, series.str.strip_chars()
    there = stripped.filter(~stripped.is_in((*BLANKS, *data.missing_values)).fill_null(True))
    counts = there.alias(TEXT).value_counts().sort(["count", TEXT], descending=[True, False])
    levels = counts[TEXT].to_list()
    column = _counted(Column(Field(name, "string"), how), stripped, data)
    if not levels:
        return replace(column, field=Field(name, "string", "left out"), how="empty")
    if len(levels) == len(there) > FEW_LEVELS and name not in data.categorical:
        return replace(
            column,
            field=Field(name, "string", "left out"),
            how="another text in every row",
            notes=("looks like an identifier or free text and is left out",),
        )
    if len(levels) > MAX_LEVELS:
        return replace(
            column,
            problem=f"has {len(levels)} different texts (at most {MAX_LEVELS} levels); if it is an identifier or free "
            "text, leave it out: name the columns that take part in [data] columns",
        )
    enum = Constraints(tuple(sorted(levels)))
    shown = ", ".join(f"{short(level)} {count}" for level, count in counts.head(6).iter_rows())
    more = f" and {len(levels) - 6} more" if len(levels) > 6 else ""
    notes = [
        f'{level!r} is a level of its own ({count} rows); if it means missing: [data] missing_values = ["{level}"]'
        for level, count in counts.iter_rows()
        if level in MARKS or level.lower() in ("unknown", "missing")
    ]
    return replace(
        column,
        field=msgspec.structs.replace(column.field, constraints=enum),
        summary=f"{len(levels)} levels: {shown}{more}",
        notes=tuple(notes),
    )


def _label(series: pl.Series, data: DataSettings) -> Column:
    """Text stays as it is written, so that 01 and 1 stay two classes; numbers in another notation are read."""
    texts = series.drop_nulls().cast(pl.String).str.strip_chars().unique(maintain_order=True)
    plain = Field(series.name, "string", "label")
    if len(texts) <= FEW_LEVELS or (len(texts) <= MAX_LEVELS and numbers(texts, Notation()).has_nulls()):
        classes = tuple(sorted(set(texts) - {""}, key=lambda text: class_order(class_of(text))))
        plain = msgspec.structs.replace(plain, constraints=Constraints(classes))
    summary = f"{len(texts)} values"
    if plain.constraints.enum and len(texts) <= FEW_LEVELS:
        times = dict(series.drop_nulls().cast(pl.String).str.strip_chars().alias(TEXT).value_counts().iter_rows())
        summary = f"{len(texts)} classes: " + ", ".join(
            f"{short(text)} {times[text]}" for text in plain.constraints.enum
        )
    column = Column(plain, "[data] label", len(series), series.null_count(), summary=summary)
    if series.dtype != pl.String:
        return column
    read = find_notation(texts, data.decimal_char, data.group_char)
    if len(texts) <= FEW_LEVELS or read.notation.plain or numbers(texts, read.notation).has_nulls():
        return column
    n = read.notation
    found = Field(series.name, "number", "label", BLANKS, n.decimal, n.group, n.prefix, n.suffix)
    return replace(column, field=found, how=f"[data] label; {n}", problem=read.doubt)


def basis(data: DataSettings) -> Schema:
    """A schema without columns: what stands for a missing value in all of them."""
    return Schema(VERSION, tuple(dict.fromkeys((*BLANKS, *data.missing_values))), MARKS, (), asked={})


def _counted(column: Column, stripped: pl.Series, data: DataSettings) -> Column:
    """With rows, missing values, and the markers among them."""
    marked = stripped.is_in(basis(data).missing(column.field)).fill_null(False)
    counts: dict[str, int] = {}
    if bool(marked.any()):
        counts = dict(stripped.filter(marked).alias(TEXT).value_counts(sort=True).iter_rows())
    found = tuple(text for text in counts if text)
    named = msgspec.structs.replace(column.field, missing_values=found)
    missing = stripped.null_count() + int(marked.sum())
    return replace(column, field=named, rows=len(stripped), missing=missing, markers=counts)
