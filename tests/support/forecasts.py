"""Files of a small study, and the forecast that a party kept of it."""

from __future__ import annotations

from pathlib import Path

import polars as pl

from benchmarks import harness
from parties.report import foretold
from parties.run.session import open_session
from secure_gal.forecast.reckoning import Forecast

ROWS = 300


def parties(
    folder: Path, protect: str = "", learner: str = 'kind = "linear"', parquet: bool = False
) -> tuple[Path, Path]:
    """The files of a sponsor and an assistor of ROWS rows with three columns each.

    Args:
        parquet: their tables are Parquet, else CSV.
    """
    case = harness.synthetic(folder, ROWS, 3, parties=3 if "sum" in protect else 2)
    if not parquet:
        as_csv(folder)
    study = f'[protect]\nids = "clear"\n{protect}'
    harness.write_settings(folder, case, study=study, learner=f"{learner}\n[report]\nown_model = false")
    lab = folder / "p1" / "p1.toml"
    lab.write_text(lab.read_text().replace("[report]\nown_model = false\n", ""))
    return folder / "p0" / "p0.toml", lab


def as_csv(folder: Path) -> None:
    """Write the parties' tables anew as CSV, which takes no process to read."""
    for table in folder.glob("*/data.parquet"):
        pl.read_parquet(table).write_csv(table.with_suffix(".csv"))
        table.unlink()


def kept(file: Path) -> Forecast:
    found = foretold.kept(open_session(file))
    assert found is not None
    return found
