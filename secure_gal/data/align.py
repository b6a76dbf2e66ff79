"""From who holds which id to the rows of the study: the common rows of all parties, or the sponsor's own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import assert_never

import numpy as np
import numpy.typing as npt

from secure_gal.errors import DataError
from secure_gal.gal.split import SMALLEST_SPLIT, split_rows
from secure_gal.settings.study import WhichRows

Positions = npt.NDArray[np.int64]
COMPARE = (
    "The people may be the same and their ids written differently: compare by telephone what `secure-gal check` shows "
    "of the ids at each side (length, pattern, zeros at the front, case). `id_form` in study.toml says how ids are "
    'compared with [protect] ids = "psi": "text" as they stand, "lower" without case, "digits" by their digits alone; '
    "else write them alike in the tables. Then begin with an empty run_dir at every party"
)
"""What the people of both sides do when no ids match."""


class NoRowsError(DataError):
    """An alignment that leaves the study, or an assistor, nothing to learn from; the message is for the sponsor."""


@dataclass(frozen=True, slots=True)
class Match:
    """The ids that the sponsor and one assistor have in common: int64 (C,) positions in each one's list."""

    own: Positions = field(repr=False)
    theirs: Positions = field(repr=False)
    attempt: int = 0
    """Which masked list `theirs` counts in; 0 for a list in the clear."""


@dataclass(frozen=True, slots=True)
class Alignment:
    """The study's N rows.

    Attributes:
        own: position of each row in the sponsor's table, (N,).
        coverage: by assistor, the row numbers that it holds, ascending, (N_m,); all N with `rows = "common"`.
        positions: by assistor, where in its list those rows are, (N_m,).
        train: mask (N,), drawn without looking at any label.
        warning: something a person should know, or empty.
    """

    own: Positions = field(repr=False)
    coverage: dict[str, Positions] = field(repr=False)
    positions: dict[str, Positions] = field(repr=False)
    train: npt.NDArray[np.bool_] = field(repr=False)
    warning: str = ""


def match_clear(own: Sequence[str], other: Sequence[str]) -> Match:
    """Compare two id lists that are both in the clear."""
    where = {entity: i for i, entity in enumerate(other)}
    pairs = [(i, where[entity]) for i, entity in enumerate(own) if entity in where]
    both = np.array(pairs, dtype=np.int64).reshape(-1, 2)
    return Match(both[:, 0].copy(), both[:, 1].copy())


def combine(
    count: int, matches: Mapping[str, Match], rows: WhichRows, order: Positions | None, validation: float, seed: int
) -> Alignment:
    """The study's rows from every pairwise match.

    Args:
        count: ids in the sponsor's list.
        matches: by assistor.
        rows: `common` keeps the ids that all parties hold, `sponsor` every id of the sponsor.
        order: permutation (count,) of the sponsor's list in which rows are numbered; None keeps the list's own order.
        validation, seed: for the training mask.

    Raises:
        NoRowsError: no id is common, or an assistor holds no training row; says how many each pair has in common.
    """
    held = np.full(count, True)
    match rows:
        case "common":
            for found in matches.values():
                held &= np.isin(np.arange(count), found.own)
        case "sponsor":
            pass
        case _:
            assert_never(rows)
    order = np.arange(count, dtype=np.int64) if order is None else order
    own = order[held[order]]
    pairs = ", ".join(f"{len(match.own)} with {name}" for name, match in matches.items())
    if not len(own) or any(not len(match.own) for match in matches.values()):
        raise NoRowsError("alignment", f"no id is common to all parties (the sponsor shares {pairs}). {COMPARE}")
    train = split_rows(len(own), validation, seed)
    coverage, positions = {}, {}
    for name, match in matches.items():
        where = np.full(count, -1, dtype=np.int64)
        where[match.own] = match.theirs
        found = where[own]
        coverage[name] = np.flatnonzero(found >= 0)
        positions[name] = found[coverage[name]]
        if not train[coverage[name]].any():
            raise NoRowsError(
                "alignment", f"{name} holds none of the training rows (the sponsor shares {pairs}). {COMPARE}"
            )
    warning = ""
    if validation > 0 and train.all():
        warning = f"{len(own)} rows are below {SMALLEST_SPLIT}: none is held out, whatever `validation` says"
    return Alignment(own, coverage, positions, train, warning)
