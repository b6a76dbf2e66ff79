"""What the ids of a column look like, for two people who compare by telephone, and what `id_form` would make of them.

No id is shown. An example is a *mask*: every digit is written 9, every upper-case letter A, every other letter a, white
space as an open box, other characters as they are; what stands at the start of all ids alike and holds no digit (the p
of p0001) stays, since it tells no id from another. Where most ids have a mask of their own, as random ones do, letters
and digits are both written x. A mask is shown only if FEWEST ids have it; of a rarer one only the kinds of its first
and last character and its length are.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import polars as pl

from secure_gal.data.ids import FORMS, written
from secure_gal.settings.study import IdForm

EXAMPLES = 5
FEWEST = 5
"""Ids that must have a mask before it is shown."""
FEWEST_WITH_START = 20
"""Different ids before what they all begin with is no part of any of them."""
MOST_MASKS = 100
"""With more different masks than this, and one for every two ids or fewer, the ids are taken for random ones."""
BLANK = "\u2423"


@dataclass(frozen=True, slots=True)
class Example:
    """A masked id, and how many ids look like it."""

    mask: str
    ids: int


@dataclass(frozen=True, slots=True)
class ColumnForm:
    """How one id column is written; no field holds an id or a part of one.

    Attributes:
        ids, different: values, and different ones among them.
        shortest, longest, usual: characters; `usual` is the most frequent length, that of `of_usual_length` ids.
        zeros: ids whose first number has several digits and a zero at its front.
        lower, upper, both: ids whose letters are all lower case, all upper case, or mixed.
        dashes, blanks: ids with a dash, a dot, an underscore or a slash; with white space, also at an end.
        examples: the most frequent first, at most EXAMPLES of them.
        others: ids that look like none of the examples.
    """

    column: str
    ids: int
    different: int
    shortest: int
    longest: int
    usual: int
    of_usual_length: int
    zeros: int
    lower: int
    upper: int
    both: int
    dashes: int
    blanks: int
    examples: tuple[Example, ...]
    others: int

    def lines(self) -> list[str]:
        """For a person who reads it to another."""
        alike = "all different" if self.different == self.ids else f"{self.different:,} different ones"
        lengths = f"all of {self.usual} characters"
        if self.shortest != self.longest:
            lengths = (
                f"{self.shortest} to {self.longest} characters, most often {self.usual} ({self.of_usual_length:,})"
            )
        counts = {
            "zeros at the front of a number": self.zeros,
            "only lower-case letters": self.lower,
            "only upper-case letters": self.upper,
            "both cases": self.both,
            "dash, dot, slash or underscore": self.dashes,
            "blank": self.blanks,
        }
        found = ", ".join(f"{what} ({many:,})" for what, many in counts.items() if many)
        return [
            f"ids in column {self.column!r}: {self.ids:,}, {alike}; {lengths}",
            f"  with: {found or 'digits alone, and no zeros at the front'}",
            f"  masked (9 digit, A upper-case, a other letter, x either, {BLANK} blank): {self._masks()}",
        ]

    def _masks(self) -> str:
        masks = [f"{example.mask} ({example.ids:,})" for example in self.examples]
        return ", ".join([*masks, *([f"others ({self.others:,})"] if self.others else [])])


def form_of(column: str, values: Sequence[str]) -> ColumnForm:
    """The form of one id column.

    Args:
        values: (N,) as they are written, none of them missing; N is at least 1.
    """
    ids = pl.Series("id", values, dtype=pl.String)
    lengths = ids.str.len_chars()
    usual = lengths.value_counts(sort=True).sort(["count", "id"], descending=[True, False]).row(0)
    lower, upper = ids.str.contains(r"\p{Ll}"), ids.str.contains(r"\p{Lu}")
    examples = _examples(ids, _start(ids))
    return ColumnForm(
        column,
        len(ids),
        ids.n_unique(),
        int(lengths.min() or 0),  # type: ignore[arg-type]
        int(lengths.max() or 0),  # type: ignore[arg-type]
        usual=usual[0],
        of_usual_length=usual[1],
        zeros=int(padded(ids).sum()),
        lower=int((lower & ~upper).sum()),
        upper=int((upper & ~lower).sum()),
        both=int((upper & lower).sum()),
        dashes=int(ids.str.contains(r"[\p{Pd}._/]").sum()),
        blanks=int(ids.str.contains(r"\s").sum()),
        examples=examples,
        others=len(ids) - sum(example.ids for example in examples),
    )


def _start(ids: pl.Series) -> str:
    """What all ids begin with, up to the first digit; nothing where few ids are different."""
    if ids.n_unique() < FEWEST_WITH_START:
        return ""
    first, last = str(ids.min()), str(ids.max())  # of texts in order, what these two share all share
    length = next((i for i, pair in enumerate(zip(first, last, strict=False)) if pair[0] != pair[1]), len(first))
    return first[: next((i for i in range(length) if first[i].isdecimal()), length)]


def padded(ids: pl.Series) -> pl.Series:
    """Which ids have a first number of several digits with a zero at its front."""
    return ids.str.contains(r"^\P{Nd}*0\p{Nd}")


def _examples(ids: pl.Series, start: str) -> tuple[Example, ...]:
    body = ids.str.slice(len(start)).str.replace_all(r"\p{Nd}", "9").str.replace_all(r"[\p{Lu}\p{Lt}]", "A")
    body = body.str.replace_all(r"[[\p{L}\p{M}]--[\p{Lu}\p{Lt}]]", "a").str.replace_all(r"\s", BLANK)
    body = body.str.replace_all(r"[^9Aa" + BLANK + r"[:punct:]]", "?")
    if body.n_unique() > MOST_MASKS and 2 * body.n_unique() > len(ids):
        body = body.str.replace_all("[9Aa]", "x")
    counts = (start + body).alias("mask").value_counts()
    common = counts.filter(pl.col("count") >= FEWEST)
    mask = pl.col("mask").str
    ends = mask.slice(0, 1) + "..." + mask.slice(-1) + " of " + mask.len_chars().cast(pl.String)
    rare = counts.filter(pl.col("count") < FEWEST).group_by(ends.alias("mask")).agg(pl.col("count").sum())
    ordered = [found.sort(["count", "mask"], descending=[True, False]).rows() for found in (common, rare)]
    return tuple(Example(mask, count) for mask, count in [*ordered[0], *ordered[1]][:EXAMPLES])


@dataclass(frozen=True, slots=True)
class FormEffect:
    """What an `id_form` would make of a party's ids: how many stay different, and of how many nothing is left."""

    form: IdForm
    different: int
    empty: int


def effects_of_forms(columns: Sequence[Sequence[str]]) -> list[FormEffect]:
    """What each `id_form` would make of ids of one or more columns of N values each."""
    effects, texts = [], [pl.Series(column, dtype=pl.String) for column in columns]
    for form in FORMS:
        parts = pl.DataFrame([written(column, form).alias(str(place)) for place, column in enumerate(texts)])
        empty = int(parts.select(pl.any_horizontal(pl.all() == "")).to_series().sum())
        effects.append(FormEffect(form, parts.n_unique(), empty))
    return effects


def advice(ids: int, effects: Sequence[FormEffect], form: IdForm | None) -> list[str]:
    """Lines that say which `id_form` suits these ids, before two parties agree on one.

    Args:
        ids: how many there are.
        form: the study's; None where ids are compared as they are written.
    """
    lines = []
    for effect in effects:
        merged, said = ids - effect.different, "every id stays different from every other"
        if effect.empty:
            said = f"not possible, nothing would be left of {effect.empty:,} of {ids:,}"
        elif merged:
            said = f"not possible, {merged:,} of {ids:,} would become one with another"
        mine = " (this study's)" if effect.form == form else ""
        lines.append(f'  id_form = "{effect.form}"{mine}: {said}')
    if form is None:
        lines.append('  [protect] ids = "clear" compares ids as they are written, whatever id_form says')
    return lines
