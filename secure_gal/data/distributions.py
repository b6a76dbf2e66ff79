"""How a party's columns were distributed when it learnt, and how far another table is from that: for its own eyes.

Kept in the run directory, 0600, as bin and level counts; nothing of it is sent.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt
import polars as pl

from crypto import private_files
from secure_gal.data.schema import Schema
from secure_gal.errors import EnvironmentFailure, SettingsError

FORMAT = 1
FILE = "distributions.json"
SOME, LARGE = 0.1, 0.25
"""Of the population stability index: from here on it is usually called some shift, and a large one (Siddiqi, Credit
Risk Scorecards, 2006)."""
SMOOTH = 0.5
"""Rows added to every bin, so that an empty one has a logarithm."""
CHANCE = 0.95


class Column(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One column of the training rows.

    Attributes:
        missing: rows without a value.
        edges: of numbers: just below the least, the deciles, the largest; a bin ends at each, and one is beyond.
        counts: rows of each bin, (edges + 1,).
        levels: of categories, rows of each.
    """

    name: str
    missing: int
    edges: tuple[float, ...] = ()
    counts: tuple[int, ...] = ()
    levels: dict[str, int] = {}


class Distributions(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Of the training rows; `schema` is the digest of what they were read by."""

    format: int
    schema: str
    rows: int
    columns: tuple[Column, ...]


class Drift(NamedTuple):
    """One column now against then.

    Attributes:
        psi: population stability index over bins or levels, unseen levels together; None without any value.
        chance: what it stays below in 95 of 100 tables of so many rows without any shift (Yurdakul, 2018).
        missing_then, missing_now: shares of all rows.
        unseen: share of the values that are levels, or lie beyond the least and largest number, never seen in training.
    """

    column: str
    psi: float | None
    chance: float
    missing_then: float
    missing_now: float
    unseen: float

    @property
    def word(self) -> str:
        """What the index is usually called; `within chance` where as few rows would show as much without a shift."""
        if self.psi is None:
            return "no values"
        if self.psi < SOME:
            return "stable"
        if self.psi <= self.chance:
            return "within chance"
        return "some shift" if self.psi < LARGE else "large shift"


def distributions_of(frame: pl.DataFrame, schema: Schema) -> Distributions:
    """Of these training rows, which this schema has typed."""
    return Distributions(FORMAT, schema.digest, frame.height, tuple(_column(frame[name]) for name in frame.columns))


def _column(column: pl.Series) -> Column:
    known = column.drop_nulls()
    missing = len(column) - len(known)
    if column.dtype == pl.String:
        return Column(column.name, missing, levels=dict(sorted(known.value_counts().iter_rows())))
    values = known.to_numpy().astype(np.float64)
    if not len(values):
        return Column(column.name, missing)
    deciles = np.quantile(values, np.linspace(0.1, 1, 10), method="inverted_cdf")
    edges = np.unique([np.nextafter(values.min(), -np.inf), *deciles])
    return Column(column.name, missing, tuple(edges.tolist()), tuple(_bins(edges, values)))


def _bins(edges: npt.ArrayLike, values: npt.NDArray[np.float64]) -> list[int]:
    counts: list[int] = np.bincount(np.searchsorted(edges, values), minlength=np.size(edges) + 1).tolist()
    return counts


def drift_of(learnt: Distributions, frame: pl.DataFrame) -> list[Drift]:
    """Every column of the training rows against these rows, the most changed first."""
    found = [_drift(column, learnt.rows, frame[column.name]) for column in learnt.columns]
    return sorted(found, key=lambda d: (-1.0 if d.psi is None else d.psi, d.unseen), reverse=True)


def _drift(learnt: Column, rows: int, now: pl.Series) -> Drift:
    known = now.drop_nulls()
    missing = learnt.missing / max(rows, 1), 1 - len(known) / max(len(now), 1)
    if learnt.edges:
        counts = _bins(learnt.edges, known.to_numpy().astype(np.float64))
        then, beyond = list(learnt.counts), counts[0] + counts[-1]
    else:
        seen = dict(known.cast(pl.String).value_counts().iter_rows())
        beyond = sum(n for level, n in seen.items() if level not in learnt.levels)
        then, counts = [*learnt.levels.values(), 0], [*(seen.get(level, 0) for level in learnt.levels), beyond]
    if not sum(then) or not len(known):
        return Drift(learnt.name, None, 0.0, *missing, 0.0)
    return Drift(learnt.name, *_stability(then, counts), *missing, beyond / len(known))


def _stability(then: list[int], now: list[int]) -> tuple[float, float]:
    """The index, and its limit of chance: without a shift it is about chi-squared times (1 / n + 1 / m)."""
    from scipy.stats import chi2

    p, q = (np.asarray(counts, dtype=np.float64) + SMOOTH for counts in (then, now))
    p, q = p / p.sum(), q / q.sum()
    limit = chi2.ppf(CHANCE, max(1, len(p) - 1)) * (1 / sum(then) + 1 / sum(now))
    return float(np.sum((q - p) * np.log(q / p))), float(limit)


def write(run_dir: Path, learnt: Distributions) -> None:
    """Keep them with the model, 0600; EnvironmentFailure where they cannot be written."""
    path = run_dir / FILE
    try:
        private_files.replace(path, msgspec.json.encode(learnt))
    except OSError as error:
        raise EnvironmentFailure(f"{path} cannot be written: {error.strerror}") from error


def read(run_dir: Path) -> Distributions:
    """Those that a model was learnt with; SettingsError where there are none, or none that can be read."""
    path = run_dir / FILE
    try:
        learnt = msgspec.json.decode(path.read_bytes(), type=Distributions)
    except FileNotFoundError:
        raise SettingsError(
            "run_dir", f"{run_dir} holds no distributions: this party has not learnt from a table with this release"
        ) from None
    except (OSError, msgspec.DecodeError) as error:
        raise SettingsError(str(path), f"cannot be read: {error}") from error
    if learnt.format != FORMAT:
        raise SettingsError(str(path), f"has format {learnt.format}, and this release reads {FORMAT}")
    return learnt
