"""The classes of a label as a person must see them before anything is learnt: counts, and what looks wrong."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from secure_gal.data.encode import class_order
from secure_gal.settings.classes import Class, Label, class_of

FEWEST_ROWS, FEWEST_SHARE = 10, 0.02
"""A class with fewer rows, or a smaller share of them, is rare."""
MOST_CLASSES = 20
"""Classes that are listed."""
MISSING = frozenset(
    ("", "?", "-", "--", ".", "/", "*", "na", "n/a", "#n/a", "nan", "null", "none", "nil", "-9", "-99", "-999", "-9999")
) | {"missing", "empty", "unk", "unknown", "undefined", "undetermined", "not available", "not known"}
"""What stands for a missing value in tables that people have, in lower case."""


@dataclass(frozen=True, slots=True)
class LabelForm:
    """Rows by class, numbers first, each in ascending order; `column` is the label's."""

    column: str
    classes: tuple[tuple[Class, int], ...]

    @property
    def rows(self) -> int:
        """Of all classes."""
        return sum(count for _, count in self.classes)

    def lines(self) -> list[str]:
        """For a person."""
        listed = [
            f"  {_named(label)}: {count:,} ({count / self.rows:.1%})" for label, count in self.classes[:MOST_CLASSES]
        ]
        more = len(self.classes) - MOST_CLASSES
        return [
            f"label {self.column!r}: {len(self.classes):,} classes in {self.rows:,} rows",
            *listed,
            *([f"  and {more:,} more"] if more > 0 else []),
        ]

    def in_words(self) -> str:
        """The same in one line."""
        return "; ".join(line.strip() for line in self.lines())

    def warnings(self) -> list[str]:
        """What looks wrong."""
        return [f"label {self.column!r}: {text}" for text in (*self._alike(), *self._missing(), *self._rare())]

    def _alike(self) -> list[str]:
        groups: dict[str, list[str]] = {}
        for label, count in self.classes:
            groups.setdefault(_bare(label), []).append(f"{_named(label)} ({count:,} rows)")
        return [
            f"{' and '.join(same)} look alike and are different classes; if they are one, write them alike in the table"
            for same in groups.values()
            if len(same) > 1
        ]

    def _missing(self) -> list[str]:
        return [
            f"the class {_named(label)} ({count:,} rows) looks like a missing value; if it is one, take those rows out "
            "of the training table"
            for label, count in self.classes
            if str(label).casefold() in MISSING
        ]

    def _rare(self) -> list[str]:
        rare = [(x, n) for x, n in self.classes if n < FEWEST_ROWS or n < FEWEST_SHARE * self.rows]
        if not rare:
            return []
        named = ", ".join(f"{_named(label)} ({count:,})" for label, count in rare[:MOST_CLASSES])
        return [
            f"few rows of {named} among {self.rows:,}: little can be learnt about such a class, and a prediction "
            "seldom names it. More rows of it help, or classes put together, or weights: [data] class_weights = "
            '"balanced" lets each class count alike, where study.toml has row_weights = "sponsor". Judge by the '
            "probabilities in the predictions file, with a threshold of your own, not by the predicted class"
        ]


def _named(label: Class) -> str:
    """A class as a person reads it, between quotes whether it is a number or not."""
    return repr(str(label))


def _bare(label: Class) -> str:
    """What is left of a class without case, form of letters, blanks and zeros at the front of a number."""
    text = unicodedata.normalize("NFKC", str(label)).casefold()
    return re.sub(r"(?<!\d)0+(?=\d)", "", re.sub(r"\s+", "", text))


def label_form(column: str, labels: Sequence[Label]) -> LabelForm:
    """Count the classes of labels (N,), none of them missing."""
    counts: Counter[Class] = Counter()
    for label, rows in Counter(labels).items():
        counts[class_of(label)] += rows
    return LabelForm(column, tuple(sorted(counts.items(), key=lambda found: class_order(found[0]))))


def unevenly_split(labels: Sequence[Label], parts: Mapping[str, npt.NDArray[np.bool_]]) -> list[str]:
    """Which classes some part of the rows lacks.

    The split is drawn without a look at labels, since assistors see it: so a class can fall into one part alone, and a
    person is told.

    Args:
        labels: (N,), of the study's rows.
        parts: by name, which rows belong to it, (N,); a part without rows is left out.
    """
    held = {
        part: Counter(class_of(labels[i]) for i in np.flatnonzero(rows).tolist())
        for part, rows in parts.items()
        if rows.any()
    }
    said = []
    for label in sorted({label for counts in held.values() for label in counts}, key=class_order):
        having = [f"{counts[label]:,} of {part}" for part, counts in held.items() if label in counts]
        lacking = [part for part, counts in held.items() if label not in counts]
        if lacking:
            said.append(f"class {_named(label)} has {', '.join(having)} rows and none of {' or '.join(lacking)}")
    if not said:
        return []
    return [
        f"{'; '.join(said[:MOST_CLASSES])}. The split is drawn by `seed` alone, never by labels, as assistors see it: "
        "what the parts say of such a class means little. More rows of it help, or another `seed` or `validation`"
    ]
