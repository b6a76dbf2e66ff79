"""Which schema a party's tables are read by: the one beside its file, or the one that its model was learnt with."""

from __future__ import annotations

from pathlib import Path

import polars as pl

from secure_gal.data import distributions, schema_file
from secure_gal.data.arrays import ArrayRows
from secure_gal.data.schema import Schema
from secure_gal.errors import DataError
from secure_gal.settings.party import PartySettings


def known_schema(party: PartySettings) -> Schema | None:
    """What was decided before; None for a party that has not read its table yet, and for arrays.

    Raises:
        DataError: a file that is no schema, or that was made for other words in `[data]`.
    """
    beside = party.data.schema
    found = schema_file.read(beside, party.data) if beside is not None else None
    return found or schema_file.read(kept_at(party), party.data)


def kept_at(party: PartySettings) -> Path:
    """Where the schema is kept with the model, so that one that is lost beside the party's file is not guessed anew."""
    return party.run_dir / "schema.toml"


def keep(party: PartySettings, schema: Schema | None, trained: pl.DataFrame | ArrayRows) -> None:
    """Keep what this run learns with: the schema, and how the training rows are distributed."""
    if schema is not None and isinstance(trained, pl.DataFrame) and party.run_dir.is_dir():
        schema_file.write(kept_at(party), schema, party.data.where)
        distributions.write(party.run_dir, distributions.distributions_of(trained, schema))


def check_same(learnt: Schema | None, now: Schema | None, where: str) -> None:
    """Refuse to read for a model what would mean something else than what it was learnt from.

    Levels and missing markers may have been added since: they change no value that could be read before.

    Raises:
        DataError: names the column and the fix.
    """
    if learnt is None or now is None or learnt.digest == now.digest:
        return
    for field in learnt.features:
        if not now.reads_as(learnt, field.name):
            raise DataError(
                where,
                f"column {field.name!r} has another schema now ({now.digest[:16]}) than when this model was learnt "
                f"({learnt.digest[:16]}): put the schema back as it was, or learn anew with an empty run_dir",
            )
