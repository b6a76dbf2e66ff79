"""Common rows of all parties from clear id lists (`ids = "clear"`), in the sponsor's own order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from secure_gal.errors import DataError
from secure_gal.split import SMALLEST_SPLIT, split_rows


@dataclass(frozen=True, slots=True)
class Alignment:
    """Positions int64 (N,) of the study's rows in each party's own table, and the training mask bool (N,)."""

    own: npt.NDArray[np.int64]
    positions: dict[str, npt.NDArray[np.int64]]
    train: npt.NDArray[np.bool_]
    warning: str = ""


def align(own: Sequence[str], others: Mapping[str, Sequence[str]], validation: float, seed: int) -> Alignment:
    """Intersect the id lists and draw validation rows without looking at any label.

    Raises:
        DataError: no id is common to all parties; the message says how many each pair has in common.
    """
    where = {name: {entity: i for i, entity in enumerate(ids)} for name, ids in others.items()}
    rows = [i for i, entity in enumerate(own) if all(entity in index for index in where.values())]
    if not rows:
        pairs = ", ".join(f"{sum(e in index for e in own)} with {name}" for name, index in where.items())
        raise DataError("alignment", f"no id is common to all parties (the sponsor shares {pairs}); do the id "
                        "columns hold the same kind of id, written the same way?")  # fmt: skip
    positions = {n: np.array([index[own[i]] for i in rows], dtype=np.int64) for n, index in where.items()}
    train = split_rows(len(rows), validation, seed)
    warning = ""
    if validation > 0 and train.all():
        warning = f"{len(rows)} common rows are below {SMALLEST_SPLIT}: no validation rows, all rounds are kept"
    return Alignment(np.array(rows, dtype=np.int64), positions, train, warning)
