"""Parquet files, of any Arrow type."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from secure_gal.data.contained import read_contained
from secure_gal.data.plain_types import Taken


def read_parquet(path: Path, taken: Collection[str] | None = None) -> Taken:
    """N rows of the columns that take part (None for all), in plain types (`secure_gal.data.plain_types`).

    Raises:
        DataError: no such file, no Parquet, damaged, encrypted, or a column of a type that no learner takes.
    """
    return read_contained("parquet", path, taken)
