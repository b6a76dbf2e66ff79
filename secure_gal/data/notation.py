"""How numbers are written: decimal mark, thousands mark, and what stands before or after them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import polars as pl

GROUPS = (",", ".", " ", "\u00a0", "\u202f", "\u2009", "'", "\u2019")
"""Thousands marks in use; the spaces are plain, no-break, narrow no-break and thin."""
MINUS = "\u2212"
LEADING_ZERO = r"^[+-]?0\d+$"
"""A whole number that is written so is a code."""
UNITS = (
    "%",
    "\u2030",
    "\u20ac",
    "$",
    "\u00a3",
    "\u00a5",
    "EUR",
    "USD",
    "GBP",
    "CHF",
    "JPY",
    "kg",
    "mg",
    "cm",
    "mm",
    "ml",
)
"""What may stand beside a number and leave it a number; other letters make a code of it, such as k12 or Ward 3."""
MAX_SIZE = 1e100
"""Numbers beyond have no place in arithmetic with squares and sums of squares (binary64 ends at 1.8e308)."""
PREVAILS = 0.9
MOST_LOOKED_AT = 20_000
"""Different texts from which the notation is found; all are read with it afterwards."""
AT_FIRST = 100
"""Texts of which one with decimals shows that points mark no thousands."""


@dataclass(frozen=True, slots=True)
class Notation:
    """decimal and thousands mark (empty for none), and fixed text before and after every number."""

    decimal: str = "."
    group: str = ""
    prefix: str = ""
    suffix: str = ""

    @property
    def plain(self) -> bool:
        """Whether polars reads such numbers as they are."""
        return self == Notation()

    def __str__(self) -> str:
        parts = [f"decimal mark {self.decimal!r}"] * (self.decimal != ".")
        parts += [f"thousands mark {self.group!r}"] * bool(self.group)
        parts += [f"text around it: {self.prefix}...{self.suffix}"] * bool(self.prefix or self.suffix)
        return ", ".join(parts)


def numbers(texts: pl.Series, notation: Notation) -> pl.Series:
    """Float64 (n,) from stripped texts; null where a text is no number in this notation."""
    if notation.plain:
        values = without_nan(texts.cast(pl.Float64, strict=False))
        if values.null_count() == texts.null_count():
            return values
    left = texts.str.replace_all(MINUS, "-", literal=True)
    if notation.prefix or notation.suffix:
        left = left.str.extract(f"^{re.escape(notation.prefix)}(.*){re.escape(notation.suffix)}$", 1).str.strip_chars()
    if notation.group:
        grouped = left.str.contains(_pattern(notation))
        left = pl.select(pl.when(grouped).then(left.str.replace_all(notation.group, "", literal=True))).to_series()
    if notation.decimal != ".":
        pointed = left.str.contains(".", literal=True)
        changed = left.str.replace(notation.decimal, ".", literal=True)
        left = pl.select(pl.when(~pointed).then(changed)).to_series()
    return left.cast(pl.Float64, strict=False).fill_nan(None).alias(texts.name)


def without_nan(values: pl.Series) -> pl.Series:
    """Float64 with nulls for what is not a number; the same values, not a copy, where there is none."""
    return values.fill_nan(None) if bool(values.is_nan().any()) else values


def without(values: pl.Series, markers: Sequence[str], notation: Notation) -> pl.Series:
    """Float64 (n,) with nulls for numbers that stand for a missing value, such as -999."""
    digits = [text for text in markers if any(map(str.isdigit, text)) or "inf" in text.lower()]
    if not digits:
        return values
    said = numbers(pl.Series(digits), notation).drop_nulls().to_list()
    return values.set(values.is_in(said).fill_null(False), None)


def _pattern(notation: Notation) -> str:
    """Numbers whose thousands, where they are marked at all, are marked everywhere."""
    group, decimal = re.escape(notation.group), re.escape(notation.decimal)
    return rf"^[+-]?(?:[1-9]\d{{0,2}}(?:{group}\d{{3}})+|\d+)(?:{decimal}\d*)?(?:[eE][+-]?\d+)?$"


@dataclass(frozen=True, slots=True)
class Read:
    """A way to read texts as numbers: the notation, and a reason to doubt it (empty for none)."""

    notation: Notation
    doubt: str = ""


def find_notation(texts: pl.Series, decimal: str | None, group: str | None) -> Read:
    """The notation with which most of these different, stripped texts are numbers.

    Args:
        decimal, group: what the person said.
    """
    sample = texts.head(MOST_LOOKED_AT)
    if decimal is not None or group is not None:
        said = Notation(decimal or ("," if group == "." else "."), group or "")
        return Read(max((said, *_around(sample, said)), key=lambda n: _read(sample, n)))
    plain = Notation()
    if (found := _read(sample, plain)) == len(sample):
        return Read(plain, grouped_by_points(sample))
    best, read = plain, found
    for base in (plain, *_marked(sample)):
        for notation in (base, *_around(sample, base)):
            if (count := _read(sample, notation)) > read:
                best, read = notation, count
    return Read(best, _doubt(sample, best))


def _read(sample: pl.Series, notation: Notation) -> int:
    return int(numbers(sample, notation).is_not_null().sum())


def _marked(sample: pl.Series) -> list[Notation]:
    """Notations whose marks occur; those that mark thousands first, since fewer texts fit them by chance."""
    there = [mark for mark in GROUPS if bool(sample.str.contains(mark, literal=True).any())]
    both = [Notation(d, g) for g in there for d in (".", ",") if d != g]
    return [*both, Notation(",")] if there else []


def _around(sample: pl.Series, base: Notation) -> list[Notation]:
    """The base with a unit that stands before or after all numbers."""
    texts = [text for text in sample.head(200).to_list() if re.search(r"\d", text)]
    found = []
    for unit in UNITS:
        before, after = (sum(t.startswith(unit) for t in texts), sum(t.endswith(unit) for t in texts))
        if max(before, after) > PREVAILS * len(texts):
            around = (unit, "") if before > after else ("", unit)
            found.append(Notation(base.decimal, base.group, *around))
    return found


def _doubt(sample: pl.Series, notation: Notation) -> str:
    """Why a comma that marks thousands might mark decimals, where nothing tells."""
    if notation.group != "," and notation.decimal != ",":
        return ""
    other = Notation(",", "", notation.prefix, notation.suffix)
    grouped = Notation(".", ",", notation.prefix, notation.suffix)
    if notation.decimal == "," and notation.group:
        return ""
    if _read(sample, grouped) < _read(sample, other) or _read(sample, other) < _read(sample, grouped):
        return ""
    marked = sample.str.contains(",", literal=True)
    bare = sample.filter(~marked & numbers(sample, Notation()).is_not_null())
    if len(bare) > len(sample) / 100 and not bool(bare.str.contains(r"\d{4}").any()):
        return ""  # below a thousand no mark, from there on always
    shown = sample.filter(marked)[0]
    return (
        f'{shown!r} could be {shown.replace(",", "")} or {shown.replace(",", ".")}; say which: [data] group_char = ","'
    )


def grouped_by_points(texts: pl.Series) -> str:
    """A note where points may mark thousands: whole numbers below a thousand beside 1.791, never 1.79."""
    by_thousands = r"^[+-]?[1-9]\d{0,2}(\.\d{3})+$"
    if not all(re.match(by_thousands, text) for text in texts.head(AT_FIRST) if "." in text):
        return ""  # as in most columns with decimals, without looking at all of it
    sample = texts.unique(maintain_order=True).head(MOST_LOOKED_AT)
    pointed = sample.filter(sample.str.contains(".", literal=True))
    if not len(pointed) or not bool(pointed.str.contains(by_thousands).all()):
        return ""
    rest = sample.filter(~sample.str.contains(".", literal=True))
    if not len(rest) or not bool(rest.str.contains(r"^[+-]?\d{1,3}$").all()):
        return ""
    return f'{pointed[0]!r} is read with a decimal point; if points mark thousands: [data] group_char = "."'
