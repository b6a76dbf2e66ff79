"""`secure-gal schema`: how a party's table is read, decided once and shown; nothing of it is sent."""

from __future__ import annotations

from pathlib import Path

from parties.commands.outputs import DESCRIPTOR, SCHEMA, check_output
from secure_gal.data import frictionless, schema_file
from secure_gal.data.findings import Findings
from secure_gal.data.schema import Schema
from secure_gal.data.table import Table, look, read_table
from secure_gal.errors import DataError
from secure_gal.holdings.reading import known_schema
from secure_gal.settings.load import load_party
from secure_gal.settings.party import PartySettings
from secure_gal.settings.study import Study


def schema_of(file: Path, *, renew: bool, export: Path | None, descriptor: Path | None) -> tuple[str, str]:
    """Read the table, show what every column is, and keep what was decided.

    Args:
        renew: decide anew, whatever was decided before.
        export: where to write a Frictionless Table Schema; descriptor: one to take over what it says.

    Returns:
        What to print, and why the table is refused (empty where it is not).

    Raises:
        DataError, SettingsError: the file is no table, its settings are wrong, or something else would be written over.
    """
    party, study = load_party(file)
    if export is not None:
        check_output("--export", export, DESCRIPTOR)
    if (renew or descriptor is not None) and party.data.schema is not None:
        check_output("[data] schema", party.data.schema, SCHEMA)
    if party.data.arrays:
        raise DataError(str(party.data.path), "holds arrays, which have no columns; `secure-gal check` looks at them")
    found = look(party.data)
    before = None if renew or descriptor is not None else known_schema(party)
    lines = [*shown(found, before)]
    if before is None and found.problems:
        return "\n".join(lines), "; ".join(found.problems)
    decided = before or (frictionless.imported(descriptor, found.schema) if descriptor is not None else found.schema)
    table = read_table(party.data, study.form, schema=decided)
    lines += [*_kept(party, study, table, decided, before is None)]
    if export is not None:
        schema_file.write_private(export, frictionless.exported(decided))
        lines.append(f"written as a Frictionless Table Schema: {export} (it holds levels of people's data)")
    return "\n".join(lines), ""


def shown(found: Findings, before: Schema | None) -> list[str]:
    """The dialect, a line a column, and warnings; where a schema is there, what this table would be read as besides."""
    dialect = (before or found.schema).dialect
    lines = [f"file: {dialect}"] if dialect is not None else []
    lines += found.lines()
    lines += [f"warning: {text}" for text in found.warnings()]
    lines += [f"refused: {text}" for text in found.problems] if before is None else []
    fields = {field.name: field for field in found.schema.fields}
    for field in before.fields if before is not None else ():
        now = fields.get(field.name)
        if now is not None and (now.type, now.role) != (field.type, field.role):
            lines.append(
                f"the schema has column {field.name!r} as {field.kind}; alone, this table looks like {now.kind}"
            )
    return lines


def _kept(party: PartySettings, study: Study, table: Table, schema: Schema, new: bool) -> list[str]:
    lines = [f"note: {text}" for text in table.notes]
    if new and party.data.schema is not None:
        schema_file.write(party.data.schema, schema, party.data.where)
    features = schema.features
    return [
        *lines,
        f"{len(table.ids):,} rows, {len(features)} features; schema {schema.digest[:16]} "
        f"{'written to' if new else 'as in'} {party.data.schema}",
    ]
