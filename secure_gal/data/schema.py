"""What was decided of a table once: how it is written, and what every column is. The same for all tables after it.

The words are those of Frictionless Table Schema where it has one; `role`, `prefix`, `suffix`, `origin` and `parts` are
ours.
"""

from __future__ import annotations

import hashlib
from typing import Literal

import msgspec

from secure_gal.data.dates import ORIGIN, Part
from secure_gal.data.dialect import Dialect
from secure_gal.data.notation import Notation

VERSION = 1
Role = Literal["feature", "id", "label", "left out"]
Type = Literal["number", "boolean", "date", "string"]
"""A feature of the type `string` is a category."""
BLANKS = ("", "NA", "N/A", "n/a", "#N/A", "<NA>", "NaN", "nan", "NULL", "null")
"""What stands for a missing value in a column of text, whoever wrote the file."""
MARKS = ("None", "none", "NONE", "Null", "na", "nil", "-", "--", "---", ".", "..", "?", "#NULL!", "#DIV/0!")
"""The same in a column of numbers, dates or truth values, of which none can be such a text."""
TRUE, FALSE = ("true", "True", "TRUE"), ("false", "False", "FALSE")


class Constraints(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """`enum`: the levels of a category, or the classes of the label in their order."""

    enum: tuple[str, ...] = ()


class Field(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel", omit_defaults=True):
    """One column.

    Attributes:
        missing_values: texts that stand for a missing value here, besides those of the schema; those found, first.
        decimal_char, group_char, prefix, suffix: how its numbers are written.
        format: of a date, as strftime has it.
        origin: the day 0 of a date; parts: what becomes of it.
    """

    name: str
    type: Type
    role: Role = "feature"
    missing_values: tuple[str, ...] = ()
    decimal_char: str = "."
    group_char: str = ""
    prefix: str = ""
    suffix: str = ""
    true_values: tuple[str, ...] = TRUE
    false_values: tuple[str, ...] = FALSE
    format: str = ""
    origin: str = ORIGIN
    parts: tuple[Part, ...] = ("days",)
    constraints: Constraints = Constraints()

    @property
    def notation(self) -> Notation:
        """How its numbers are written."""
        return Notation(self.decimal_char, self.group_char, self.prefix, self.suffix)

    @property
    def kind(self) -> str:
        """In words."""
        if self.role != "feature":
            return self.role
        return "category" if self.type == "string" else self.type


class Schema(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel", omit_defaults=True):
    """One table's columns in its order.

    Attributes:
        missing_values: texts that stand for a missing value in every column.
        missing_marks: the same in columns of numbers, dates and truth values alone.
        dialect: of delimited text only.
        asked: what `[data]` said when the schema was made; another word there asks for another schema.
    """

    version: int
    missing_values: tuple[str, ...]
    missing_marks: tuple[str, ...]
    fields: tuple[Field, ...]
    dialect: Dialect | None = None
    asked: dict[str, str] = {}

    def of(self, name: str) -> Field | None:
        """The column of this name."""
        return next((field for field in self.fields if field.name == name), None)

    def missing(self, field: Field) -> tuple[str, ...]:
        """All texts that stand for a missing value in this column."""
        marks = () if field.type == "string" else self.missing_marks
        return (*self.missing_values, *marks, *field.missing_values)

    @property
    def features(self) -> tuple[Field, ...]:
        """The columns that a learner sees."""
        return tuple(field for field in self.fields if field.role == "feature")

    def reads_as(self, other: Schema, name: str) -> bool:
        """Whether every value of this column that `other` reads is read as the same here.

        Levels may have come, markers too; nothing that was read before may be read in another way.
        """
        mine, theirs = self.of(name), other.of(name)
        if mine is None or theirs is None:
            return False
        same = msgspec.structs.replace(theirs, missing_values=mine.missing_values, constraints=mine.constraints)
        return mine == same and set(other.missing(theirs)) <= set(self.missing(mine))

    @property
    def digest(self) -> str:
        """SHA-256 (64 hex digits) of what the columns are; how the file is written is not in it."""
        covered = self.missing_values, self.missing_marks, self.fields
        raw = msgspec.json.encode(covered, order="deterministic")
        return hashlib.sha256(b"secure-gal/1 schema\0" + raw).hexdigest()
