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
MARKERS = (*BLANKS, "None", "none", "NONE", "Null", "na", "nil", "-", "--", "---", ".", "..", "?", "#NULL!", "#DIV/0!")
"""The same in a column of numbers, dates or truth values, of which none can be such a text."""
TRUE, FALSE = ("true", "True", "TRUE"), ("false", "False", "FALSE")


class Constraints(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """`enum`: the levels of a category, or the classes of the label in their order."""

    enum: tuple[str, ...] = ()


class Field(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel", omit_defaults=True):
    """One column.

    Attributes:
        missing_values: texts that stand for a missing value.
        decimal_char, group_char, prefix, suffix: how its numbers are written.
        format: of a date, as strftime has it.
        origin: the day 0 of a date; parts: what becomes of it.
    """

    name: str
    type: Type
    role: Role = "feature"
    missing_values: tuple[str, ...] = BLANKS
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

    def means(self, other: Field) -> bool:
        """Whether every value that `other` reads is read as the same by this one.

        Levels may have come, markers too; nothing that was read otherwise may be read in another way.
        """
        same = msgspec.structs.replace(other, missing_values=self.missing_values, constraints=self.constraints)
        return self == same and set(other.missing_values) <= set(self.missing_values)


class Schema(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One table's columns in its order.

    Attributes:
        dialect: of delimited text only.
        asked: what `[data]` said when the schema was made; another word there asks for another schema.
    """

    fields: tuple[Field, ...]
    dialect: Dialect | None = None
    asked: dict[str, str] = {}
    version: int = VERSION

    def of(self, name: str) -> Field | None:
        """The column of this name."""
        return next((field for field in self.fields if field.name == name), None)

    @property
    def features(self) -> tuple[Field, ...]:
        """The columns that a learner sees."""
        return tuple(field for field in self.fields if field.role == "feature")

    @property
    def digest(self) -> str:
        """SHA-256 (64 hex digits) of what the columns are; how the file is written is not in it."""
        raw = msgspec.json.encode(self.fields, order="deterministic")
        return hashlib.sha256(b"secure-gal/1 schema\0" + raw).hexdigest()
