"""Entity ids in one written form, so that the same person has the same id at every party.

The rules, in this order, for every column of an id:
    1. a whole number is written in decimal; text is taken as it is; anything else is refused;
    2. Unicode normalisation form C (UAX 15);
    3. by `form`: "text" nothing more, "lower" lower case (and form C again), "digits" the decimal digits of any script
       written 0 to 9, everything else dropped (leading zeros stay);
    4. white space at both ends is removed.
An id of several columns is written injectively: for each column its length in characters, a colon, and its text, so
("ab", "c") and ("a", "bc") differ. An id of one column is that column's text.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from typing import assert_never, get_args

import polars as pl

from secure_gal.data.repeated import find_repeats, refuse_repeats
from secure_gal.errors import DataError
from secure_gal.settings.study import IdForm

FORMS: tuple[IdForm, ...] = get_args(IdForm)
BLANKS = "".join(filter(str.isspace, map(chr, range(128))))
"""What `str.strip` takes off the ends of ASCII text."""
NO_DIGITS = {code: None for code in range(128) if not chr(code).isdigit()}
"""What `str.translate` takes out of ASCII text to leave its digits."""
MAX_ID_BYTES = 1024
"""Bytes of a whole id in UTF-8; a longer one is a column of free text that was named by mistake."""


def normalise(columns: Sequence[Sequence[object]], form: IdForm, where: str) -> list[str]:
    """The ids of a table in which each stands once, row by row.

    Args, Raises:
        as `write_ids`; and DataError where rows have the same id, written alike or not.

    Returns:
        N different ids.
    """
    ids = write_ids(columns, form, where)
    if found := find_repeats(ids):
        refuse_repeats(found, columns, form, where)
    return ids


def write_ids(columns: Sequence[Sequence[object]], form: IdForm, where: str) -> list[str]:
    """The ids of a table, row by row; an id may stand in several rows.

    Args:
        columns: one or more columns of N values each, text or whole numbers.
        form: rule 3.
        where: file and column, for messages.

    Returns:
        N ids, each of 1 to MAX_ID_BYTES bytes in UTF-8.

    Raises:
        DataError: columns of unequal length, or of text and numbers mixed; an id that is missing, empty, too long or
            not Unicode. Rows count from 1.
    """
    if not columns or any(len(column) != len(columns[0]) for column in columns):
        raise DataError(where, "an id needs one or more columns of equal length")
    for column in columns:
        _check_types(column, where)
    written = [[write(value, form) for value in column] for column in columns]
    ids = written[0] if len(columns) == 1 else [_join(parts) for parts in zip(*written, strict=True)]
    _check_ids(columns, written, ids, form, where)
    return ids


def _check_types(column: Sequence[object], where: str) -> None:
    if {*map(type, column)} in ({str}, {int}):
        return
    for row, value in enumerate(column, 1):
        if value is None:
            raise DataError(where, f"row {row} has no id; fill or remove it")
        # bool is an int in Python; floats are refused because 7 and 7.0 would be two ids.
        if type(value) not in (str, int):
            raise DataError(where, f"row {row} has {value!r} as id; ids are text or whole numbers")
        if type(value) is not type(column[0]):
            raise DataError(
                where,
                f"row 1 has the id {column[0]!r} and row {row} has {value!r}: text and numbers "
                "mixed; write the whole column as text",
            )


def write(value: object, form: IdForm) -> str:
    """One part of an id by rules 2 to 4; empty where nothing is left."""
    text = str(value)
    plain = text.isascii()  # its own normal form, in which only 0 to 9 are digits
    normal = text if plain else unicodedata.normalize("NFC", text)
    match form:
        case "text":
            return normal.strip()
        case "lower":
            return (text.lower() if plain else unicodedata.normalize("NFC", normal.lower())).strip()
        case "digits":
            if plain:
                return text.translate(NO_DIGITS)
            return "".join(str(unicodedata.decimal(letter)) for letter in normal if letter.isdecimal())
        case _:
            assert_never(form)


def written(values: pl.Series, form: IdForm) -> pl.Series:
    """`write` of each text (N,), none missing: ASCII by polars, the rest one by one."""
    match form:
        case "text":
            parts = values.str.strip_chars(BLANKS)
        case "lower":
            parts = values.str.to_lowercase().str.strip_chars(BLANKS)
        case "digits":
            parts = values.str.replace_all("[^0-9]", "")
        case _:
            assert_never(form)
    others = (values.str.len_bytes() != values.str.len_chars()).arg_true()
    if not len(others):
        return parts
    return parts.scatter(others, [write(value, form) for value in values.gather(others)])


def _join(parts: Sequence[str]) -> str:
    return "".join(f"{len(part)}:{part}" for part in parts)


def _check_ids(
    columns: Sequence[Sequence[object]], written: list[list[str]], ids: list[str], form: IdForm, where: str
) -> None:
    if _all_well(written, ids):
        return
    for row, entity in enumerate(ids):
        shown = ", ".join(repr(column[row]) for column in columns)
        if not all(column[row] for column in written):
            raise DataError(
                where,
                f"row {row + 1}: nothing is left of the id {shown} under the rule {form!r}; "
                "fill or remove it, or choose another rule",
            )
        if len(_utf8(entity, shown, row, where)) > MAX_ID_BYTES:
            raise DataError(where, f"row {row + 1}: an id is longer than {MAX_ID_BYTES} bytes; is this the id column?")


def _all_well(written: list[list[str]], ids: list[str]) -> bool:
    """Whether nothing can be held against these ids; else the row that is at fault, if one is, has to be looked for."""
    if any("" in column for column in written):
        return False
    try:
        "".join(ids).encode()
    except UnicodeEncodeError:
        return False
    return all(len(entity) <= MAX_ID_BYTES // 4 for entity in ids)  # a character has at most four bytes


def _utf8(entity: str, shown: str, row: int, where: str) -> bytes:
    try:
        return entity.encode()
    except UnicodeEncodeError:
        raise DataError(where, f"row {row + 1}: the id {shown} is not valid Unicode") from None
