"""The schema beside a party's file: TOML that a person may edit, 0600, since it holds levels of people; never sent."""

from __future__ import annotations

from pathlib import Path

import msgspec

from crypto import private_files
from secure_gal.data.schema import VERSION, Schema
from secure_gal.errors import DataError, EnvironmentFailure
from secure_gal.settings.party import DataSettings

MAX_BYTES = 16 << 20
"""Bytes of a schema file; a thousand levels in a thousand columns take about that."""
HEAD = """\
# How {where} is read, and every table after it: decided once, and the same for training and prediction.
# It may be edited: type is number, boolean, date or string (a category); role is feature, id, label or left out.
# It holds levels of people's data: keep it to yourself. `secure-gal schema` shows it, with --renew it is made anew.
"""
READING = (
    "id",
    "label",
    "weight",
    "categorical",
    "columns",
    "delimiter",
    "encoding",
    "header_row",
    "comment_char",
    "decimal_char",
    "group_char",
    "date_format",
    "missing_values",
)
"""What of `[data]` a schema depends on."""


def asked(data: DataSettings) -> dict[str, str]:
    """What `[data]` says that a schema is made from, where it says anything."""
    said = {name: getattr(data, name) for name in READING}
    return {name: str(msgspec.to_builtins(value)) for name, value in said.items() if value not in (None, ())}


def write(path: Path, schema: Schema, where: str) -> None:
    """Write the file, 0600; what was there is replaced at once or not at all.

    Raises:
        EnvironmentFailure: it cannot be written.
    """
    import tomli_w

    write_private(path, HEAD.format(where=where) + tomli_w.dumps(msgspec.to_builtins(schema)))


def write_private(path: Path, text: str) -> None:
    """Write a file that holds levels of people, 0600; EnvironmentFailure where it cannot be written."""
    try:
        private_files.replace(path, text.encode())
    except OSError as error:
        raise EnvironmentFailure(f"{path} cannot be written: {error.strerror}") from error


def _check_fields(path: Path, schema: Schema, data: DataSettings) -> None:
    """What a person's edit must leave as it is; DataError."""
    names = [field.name for field in schema.fields]
    if len(set(names)) < len(names):
        raise DataError(str(path), "has two fields of one name; remove one")
    for field in schema.fields:
        marks = [len(field.decimal_char) == 1, len(field.group_char) <= 1, field.decimal_char != field.group_char]
        if not all(marks) or any(map(str.isalnum, field.decimal_char + field.group_char)):
            raise DataError(
                str(path),
                f"column {field.name!r} has decimalChar {field.decimal_char!r} and groupChar {field.group_char!r}; "
                "accepted: two different characters that are no letters and digits, or no groupChar",
            )
        role = "id" if field.name in data.ids else "label" if field.name == data.label else field.role
        if field.role != role or (role in ("id", "label") and field.name not in (*data.ids, data.label)):
            raise DataError(
                str(path), f"column {field.name!r} has the role {field.role!r}; [data] says which is id and label"
            )


def read(path: Path, data: DataSettings) -> Schema | None:
    """The schema that was decided; None where there is none yet.

    Raises:
        DataError: not ours, or made for other words in `[data]` than these; names the fix.
    """
    import tomllib

    try:
        if path.stat().st_size > MAX_BYTES:
            raise DataError(str(path), f"is larger than {MAX_BYTES} bytes; is it a schema?")
        schema = msgspec.convert(tomllib.loads(path.read_text(encoding="utf-8")), Schema)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise DataError(str(path), f"cannot be read: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, msgspec.ValidationError) as error:
        raise DataError(
            str(path), f"is no schema: {error}; correct it, or make it anew: secure-gal schema --renew"
        ) from error
    if schema.version != VERSION:
        raise DataError(str(path), f"has version {schema.version}, and this release reads {VERSION}; make it anew")
    _check_fields(path, schema, data)
    said = asked(data)
    changed = sorted(name for name in said.keys() | schema.asked.keys() if said.get(name) != schema.asked.get(name))
    if changed:
        raise DataError(
            f"[data] {changed[0]}",
            f"is not what the schema {path} was made for; put it back, or make the schema anew and learn anew: "
            "secure-gal schema PARTY.toml --renew",
        )
    return schema
