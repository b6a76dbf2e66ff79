"""Ids of one column that are written in several ways: the same person may stand there twice, or match nobody."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from secure_gal.data.id_form import ColumnForm, padded
from secure_gal.data.repeated import rows_in_words


def mixed_forms(form: ColumnForm, values: Sequence[str]) -> list[str]:
    """Warnings about one id column: ids that only zeros, case or dashes tell apart, or else that differ in these.

    Args:
        form: of this column.
        values: (N,) as they are written, none of them missing.
    """
    ids = pl.Series("id", values, dtype=pl.String)
    unpadded = ids.str.replace_all(r"(^|\P{Nd})0+(\p{Nd})", "${1}${2}")
    bare = ids.str.replace_all(r"[\s\p{Cf}\p{Pd}._/]", "")
    found = [
        _same(ids, unpadded, "zeros at the front of a number") or _lengths(form, ids),
        _same(ids, ids.str.to_lowercase(), "case") or _cases(form),
        _same(ids, bare, "blanks, dashes, dots, slashes, underscores or invisible letters") or _dashes(form, ids),
    ]
    return [f"id column {form.column!r}: {text}" for text in found if text]


def _same(ids: pl.Series, without: pl.Series, what: str) -> str:
    """Different ids that are the same without `what`; empty if there are none."""
    if without.equals(ids) or without.n_unique() == ids.n_unique():
        return ""
    frame = pl.DataFrame({"id": ids, "without": without}).with_row_index("row")
    groups = frame.group_by("without", maintain_order=True).agg(pl.col("id").n_unique(), pl.col("row"))
    several = groups.filter(pl.col("id") > 1)
    if not several.height:
        return ""
    first = rows_in_words(several["row"][0].to_list())
    return (
        f"{int(several['id'].sum()):,} different ids are told apart by {what} alone (the first in rows {first}); are "
        "they the same people?"
    )


def _lengths(form: ColumnForm, ids: pl.Series) -> str:
    """Padded and unpadded numbers side by side, in ids that are a number or letters and a number."""
    plain = ids.filter(ids.str.contains(r"^\P{Nd}*\p{Nd}+$"))
    zeros, digits = int(padded(plain).sum()), plain.str.count_matches(r"\p{Nd}").n_unique()
    if not zeros or digits == 1:
        return ""
    return (
        f"{zeros:,} of {form.ids:,} numbers have zeros at the front, yet not all are of one length: are some padded "
        "and some not?"
    )


def _cases(form: ColumnForm) -> str:
    if not (form.lower and form.upper):
        return ""
    return f"{form.lower:,} ids have lower-case letters only, and {form.upper:,} upper-case letters only"


def _dashes(form: ColumnForm, ids: pl.Series) -> str:
    """Of ids with a digit: names may well differ in this."""
    dashed = ids.filter(ids.str.contains(r"\p{Nd}")).str.contains(r"[\p{Pd}._/]")
    if dashed.all() or not dashed.any():
        return ""
    return f"{int(dashed.sum()):,} of {form.ids:,} ids have a dash, dot, slash or underscore, and others none"
