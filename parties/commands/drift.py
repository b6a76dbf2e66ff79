"""`secure-gal drift`: a party's table as it is now against what it learnt from; for its own eyes, nothing is sent."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import msgspec
import polars as pl

from secure_gal.data import distributions, schema_file
from secure_gal.data.distributions import LARGE, SOME, Drift
from secure_gal.data.table import read_table
from secure_gal.errors import SettingsError
from secure_gal.holdings.reading import kept_at
from secure_gal.settings.load import load_party

LEGEND = f"""\
PSI: population stability index; below {SOME:g} usually called stable, from {LARGE:g} a large shift.
By chance: what it stays below in 95 of 100 tables of so many rows without a shift.
Unseen: levels, or numbers beyond all, of the training rows."""


class Held(NamedTuple):
    """A table of so many rows held against the training rows, most changed column first."""

    table: str
    rows: int
    training_rows: int
    columns: list[Drift]
    notes: tuple[str, ...] = ()
    """Of the reading of the table."""


def drift(party_file: Path, table: Path | None) -> Held:
    """Hold a table (None: the one in `[data]`) against the training rows.

    Raises:
        SettingsError: this party has not learnt, or holds arrays.
        DataError: the table cannot be read by the schema that was learnt with.
    """
    party, study = load_party(party_file)
    if party.data.arrays:
        raise SettingsError(str(party.data.path), "holds arrays; drift is told of columns of tables")
    learnt = distributions.read(party.run_dir)
    data = party.data if table is None else msgspec.structs.replace(party.data, path=table, source="", query="")
    schema = schema_file.read(kept_at(party), party.data)
    if schema is None:
        raise SettingsError("run_dir", f"{party.run_dir} holds no schema; restore it with the rest of the run")
    now = read_table(data, study.form, schema=schema, labelled=False)
    assert isinstance(now.frame, pl.DataFrame)  # noqa: S101  (arrays were refused)
    return Held(data.where, len(now.ids), learnt.rows, distributions.drift_of(learnt, now.frame), now.notes)


def as_text(held: Held) -> str:
    """One line a column."""
    lines = [
        f"{held.table}: {held.rows:,} rows, against {held.training_rows:,} training rows",
        f"{'column':<24} {'PSI':>8} {'by chance':>10} {'missing then':>13} {'now':>7} {'unseen':>8}  ",
    ]
    for d in held.columns:
        psi = "-" if d.psi is None else f"{d.psi:.4f}"
        lines.append(
            f"{d.column[:24]:<24} {psi:>8} {d.chance:>10.4f} {d.missing_then:>13.1%} {d.missing_now:>7.1%} "
            f"{d.unseen:>8.1%}  {d.word}"
        )
    lines.extend([*(f"note: {text}" for text in held.notes), LEGEND])
    return "\n".join(lines)


def as_json(held: Held) -> dict[str, object]:
    """The same for scripts."""
    return held._asdict() | {"columns": [d._asdict() | {"word": d.word} for d in held.columns]}
