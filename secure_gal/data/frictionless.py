"""Import and export of Frictionless Table Schema (https://specs.frictionlessdata.io/table-schema/), as JSON.

What has no word there (roles, text around numbers, the origin and the parts of a date) is left out of an export, and is
taken from the table on an import.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import msgspec

from secure_gal.data.schema import Field, Schema, Type
from secure_gal.errors import DataError

MAX_BYTES = 16 << 20
TYPES: dict[str, Type] = {
    "number": "number",
    "integer": "number",
    "boolean": "boolean",
    "date": "date",
    "datetime": "date",
    "string": "string",
    "any": "string",
}
"""Of theirs to ours; time, year, duration, object, array and geographic types have no number in them that is meant."""
DEFAULT_FORMATS = {"date": "%Y-%m-%d", "datetime": "%+"}


def exported(schema: Schema) -> str:
    """The schema as a Table Schema descriptor."""
    fields = [_exported(field, schema.missing(field)) for field in schema.fields]
    keys = [field.name for field in schema.fields if field.role == "id"]
    return json.dumps({"fields": fields, "missingValues": [""], "primaryKey": keys}, indent=2, ensure_ascii=False)


def _exported(field: Field, missing: tuple[str, ...]) -> dict[str, object]:
    found: dict[str, object] = {"name": field.name, "type": field.type, "missingValues": list(missing)}
    if field.type == "number":
        marks = {"decimalChar": field.decimal_char, "groupChar": field.group_char}
        found |= {name: mark for name, mark in marks.items() if mark}
        found |= {"bareNumber": False} if field.prefix or field.suffix else {}
    if field.type == "boolean":
        found |= {"trueValues": list(field.true_values), "falseValues": list(field.false_values)}
    if field.type == "date":
        found |= {"type": "datetime" if "%H" in field.format or field.format == "%+" else "date"}
        found |= {"format": field.format} if field.format else {}
    if field.constraints.enum:
        found |= {"constraints": {"enum": list(field.constraints.enum)}}
    return found


def imported(path: Path, decided: Schema) -> Schema:
    """`decided` from the table, with what a descriptor says of each of its columns.

    Raises:
        DataError: no descriptor, a field that the table has not, or a type that holds no number and no category.
    """
    try:
        with path.open("rb") as file:
            raw = json.loads(file.read(MAX_BYTES + 1))
        listed = {str(entry["name"]): entry for entry in raw["fields"]}
        shared = raw.get("missingValues", [""])
        fields = tuple(
            _imported(path, field, listed.pop(field.name), shared) if field.name in listed else field
            for field in decided.fields
        )
    except FileNotFoundError:
        raise DataError(str(path), "no such file") from None
    except OSError as error:
        raise DataError(str(path), f"cannot be read: {error.strerror}") from error
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise DataError(str(path), f"is no Table Schema descriptor: {error!r}") from error
    if listed:
        raise DataError(str(path), f"has the field {next(iter(listed))!r}, which the table has not")
    return msgspec.structs.replace(decided, fields=fields)


def _imported(path: Path, field: Field, entry: Mapping[str, object], shared: list[str]) -> Field:
    theirs = entry.get("type", "any")
    if not isinstance(theirs, str) or theirs not in TYPES:
        raise DataError(str(path), f"field {field.name!r} has the type {theirs!r}; accepted: {', '.join(TYPES)}")
    given = entry.get("format", "default")
    form = given if given not in ("default", "any") else DEFAULT_FORMATS.get(theirs, "")
    constraints = msgspec.convert(entry.get("constraints", {}), dict[str, object])
    said: dict[str, object] = {
        "name": field.name,
        "type": TYPES[theirs],
        "role": field.role,
        "missingValues": entry.get("missingValues", shared),
        "decimalChar": entry.get("decimalChar", "."),
        "groupChar": entry.get("groupChar", ""),
        "prefix": "" if entry.get("bareNumber", True) else field.prefix,
        "suffix": "" if entry.get("bareNumber", True) else field.suffix,
        "format": form if TYPES[theirs] == "date" else "",
        "constraints": {"enum": constraints.get("enum", field.constraints.enum)},
    }
    said |= {name: entry[name] for name in ("trueValues", "falseValues") if name in entry}
    return msgspec.convert(said, Field)
