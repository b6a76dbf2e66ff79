"""What a feature map is, the identity map, and unions."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from secure_gal.errors import SettingsError
from secure_gal.learners.base import EncodedRows, Placement, as_table, placement_of

Array = npt.NDArray[np.float64]
MAX_WIDTH = 4095
"""Columns p of Phi: an encrypted head takes 4,096 columns (`crypto.ckks`), and one of them is the intercept."""
BLOCK_ROWS = 8192
"""Rows that are mapped at a time: bounds what is in memory beside inputs and results (4,096 columns: 256 MiB)."""


class FeatureMap(Protocol):
    """A fitted map from encoded rows to features; it is saved with the party's model, so `storage` must take it."""

    @property
    def width(self) -> int:
        """p, the columns of Phi."""
        ...

    @property
    def description(self) -> str:
        """In words what it computes, for the log and for `check`; nothing that depends on single rows."""
        ...

    def transform(self, x: EncodedRows) -> Array:
        """x (n, ...) to Phi (n, p)."""
        ...


@dataclass(frozen=True, slots=True)
class Standardized:
    """The encoder's columns as they are: standardised numbers and 0/1 levels."""

    width: int

    @property
    def description(self) -> str:
        """In words."""
        return f"{self.width} standardised columns"

    def transform(self, x: EncodedRows) -> Array:
        """The identity."""
        return as_table(x)


class Union:
    """Maps side by side."""

    def __init__(self, parts: tuple[FeatureMap, ...]) -> None:
        self.parts = parts
        self.width = sum(part.width for part in parts)

    @property
    def description(self) -> str:
        """In words."""
        return " and ".join(part.description for part in self.parts)

    @property
    def placement(self) -> Placement:
        """Every device and precision among the parts."""
        found = [placement_of(part) for part in self.parts]
        devices, precisions = dict.fromkeys(p.device for p in found), dict.fromkeys(p.precision for p in found)
        return Placement(" and ".join(devices), " and ".join(precisions))

    def transform(self, x: EncodedRows) -> Array:
        """x (n, ...) to Phi (n, p)."""
        return np.hstack([part.transform(x) for part in self.parts])


def side_by_side(parts: list[FeatureMap]) -> FeatureMap:
    """The union of these maps, or the one there is; SettingsError where it is wider than MAX_WIDTH."""
    fitted = parts[0] if len(parts) == 1 else Union(tuple(parts))
    check_width(fitted.width, fitted.description)
    return fitted


def check_width(width: int, what: str) -> None:
    """SettingsError, naming the fix, where Phi would be wider than MAX_WIDTH."""
    if width > MAX_WIDTH:
        raise SettingsError(
            "[learner] features",
            f"{what} make {width} features, more than {MAX_WIDTH}; drop a map "
            'from the list, leave out columns with many levels, or use features = "auto", which fits '
            "the width to the data",
        )


def row_blocks(rows: int) -> Iterator[slice]:
    """Slices of at most BLOCK_ROWS rows, in order."""
    for start in range(0, rows, BLOCK_ROWS):
        yield slice(start, min(start + BLOCK_ROWS, rows))
