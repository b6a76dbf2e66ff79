"""X as one block of rows a party: a list of blocks, or one table whose columns are divided by `parties`."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeGuard

import numpy as np
import numpy.typing as npt
import polars as pl

from secure_gal.data.arrays import ArrayRows, check_arrays
from secure_gal.errors import DataError, SettingsError
from secure_gal.estimator.frames import ID, ID_COLUMN, Keys, columns_of, is_frame, keys_of
from secure_gal.estimator.params import check_names

Rows = pl.DataFrame | ArrayRows
Check = Callable[[object, str], npt.NDArray[Any]]
"""An array, a list or anything like it, and where it comes from, to an array of numbers; ValueError or TypeError."""


@dataclass(frozen=True, slots=True)
class Block:
    """What one party holds of the rows.

    Attributes:
        where: in words, for messages.
        rows: n, features alone; of a party without features an empty frame.
        count: n.
        keys: what they are known by; None where they go by their place.
    """

    party: str
    where: str
    rows: Rows = field(repr=False)
    count: int
    keys: Keys | None = field(default=None, repr=False)

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of a table's columns; none of arrays."""
        return () if isinstance(self.rows, ArrayRows) else tuple(self.rows.columns)

    @property
    def inner(self) -> tuple[int, ...]:
        """The shape of one row."""
        return self.rows.shape[1:]

    @property
    def width(self) -> int:
        """Columns, or numbers in a row of arrays."""
        return self.rows.width

    def taken(self, chosen: npt.NDArray[np.int64]) -> Block:
        """Rows by their places, in this order."""
        rows = self.rows
        picked: Rows = rows[chosen] if isinstance(rows, ArrayRows) or rows.width else rows
        keys = None if self.keys is None else Keys(self.keys.what, [self.keys.values[i] for i in chosen.tolist()])
        return replace(self, rows=picked, count=len(chosen), keys=keys)


def is_list_of_blocks(x: object) -> TypeGuard[Sequence[object]]:
    """Whether it is a list of tables and not one table as a list of its rows."""
    return isinstance(x, list | tuple) and len(x) > 0 and (is_frame(x[0]) or _dimensions(x[0]) >= 2)


def _dimensions(x: object) -> int:
    if hasattr(x, "ndim"):
        return int(x.ndim)
    return 1 + _dimensions(x[0]) if isinstance(x, list | tuple) and len(x) else int(isinstance(x, list | tuple))


def party_names(x: object, parties: object) -> tuple[str, ...]:
    """The parties, the sponsor first: keys of a dictionary, the list itself, or `party-0`, `party-1` and so on.

    Raises:
        SettingsError: not one name a block, or a dictionary of columns for what is no single table.
    """
    blocks = len(x) if is_list_of_blocks(x) else None
    if isinstance(parties, Mapping):
        if blocks is not None:
            raise SettingsError(
                "parties", "names the columns of one table; with a list of blocks it is a list of names"
            )
        names = tuple(parties)
    elif parties is None:
        names = tuple(f"party-{m}" for m in range(blocks or 1))
    elif isinstance(parties, list | tuple):
        names = tuple(parties)
    else:
        raise SettingsError("parties", f"{parties!r}; accepted: a list of names, or a dictionary of each one's columns")
    expected = blocks or (len(parties) if isinstance(parties, Mapping) else 1)
    if not names or len(names) != expected:
        of = f"{expected} blocks" if blocks else 'one table: say whose its columns are, {"hospital": ["age"], ...}'
        raise SettingsError("parties", f"{list(names)!r} for {of}")
    check_names(names)
    return names


def read_blocks(x: object, parties: object, check: Check) -> list[Block]:
    """One block a party, all of the same rows in the order of the first.

    Raises:
        DataError: a block cannot be read, or does not fit to the first; names the block, and what does not fit.
        SettingsError: as `party_names`, or columns in `parties` that are none.
        ValueError, TypeError: as `check`.
    """
    names = party_names(x, parties)
    if is_list_of_blocks(x):
        pairs = enumerate(zip(x, names, strict=True))
        return _joined([_block(each, name, f"block {m} ({name})", check) for m, (each, name) in pairs])
    if not isinstance(parties, Mapping):
        return [_block(x, names[0], "X", check)]
    if not is_frame(x):
        return _divided_array(check(x, "X"), parties)
    keys, n = keys_of(x, "X"), len(x)
    return [
        Block(name, f"X ({name})", columns_of(x, f"X ({name})", _chosen(columns, name)), n, keys)
        for name, columns in parties.items()
    ]


def _chosen(columns: object, name: str) -> list[Hashable]:
    if isinstance(columns, str) or not isinstance(columns, Sequence | np.ndarray):
        raise SettingsError("parties", f"{columns!r} of {name}; accepted: a list of columns")
    chosen = [each.item() if isinstance(each, np.generic) else each for each in columns]
    if (stray := next((each for each in chosen if not isinstance(each, Hashable)), None)) is not None:
        raise SettingsError("parties", f"{stray!r} of {name}; accepted: names or places of columns")
    if len(set(chosen)) < len(chosen):
        raise SettingsError("parties", f"{chosen!r} of {name}; accepted: each column once")
    return chosen


def _divided_array(x: npt.NDArray[Any], parties: Mapping[str, object]) -> list[Block]:
    found = []
    for name, columns in parties.items():
        chosen = _chosen(columns, name)
        places = [i for i in chosen if isinstance(i, int) and 0 <= i < x.shape[1]]
        if len(places) < len(chosen):
            wrong = next(i for i in chosen if i not in places)
            raise SettingsError("parties", f"{wrong!r} of {name}; accepted: places of columns, 0 to {x.shape[1] - 1}")
        found.append(Block(name, f"X ({name})", _table(x[:, places], places), len(x)))
    return found


def _table(x: npt.NDArray[Any], places: Sequence[int]) -> pl.DataFrame:
    """Columns x0, x1 and so on."""
    return pl.DataFrame({f"x{place}": x[:, i].astype(np.float64) for i, place in enumerate(places)})


def _block(x: object, name: str, where: str, check: Check) -> Block:
    if is_frame(x):
        keys = keys_of(x, where)
        rows = columns_of(x, where)
        return Block(name, where, rows.drop(ID, strict=False), len(x), keys)
    array = check(x, where)
    if array.ndim == 2:
        return Block(name, where, _table(array, range(array.shape[1])), len(array))
    check_arrays(Path(where), array, None)
    return Block(name, where, ArrayRows(array), len(array))


def _joined(blocks: list[Block]) -> list[Block]:
    """Every block in the order of the first one's rows."""
    first = blocks[0]
    return [first, *(join(block, first.keys, first.where, first.count) for block in blocks[1:])]


def join(block: Block, keys: Keys | None, whose: str, count: int) -> Block:
    """A block in the order of these keys, or by place where either has none.

    Raises:
        DataError: it has other rows; says which, and the fix.
    """
    if block.count != count:
        raise DataError(block.where, f"has {block.count} rows, {whose} has {count}{_stray(block.keys, keys, whose)}")
    own = block.keys
    if own is None or keys is None:
        if any(known is not None and known.what == ID_COLUMN for known in (own, keys)):
            raise DataError(block.where, f"has a column {ID!r} and {whose} has none, or the other way: give both one")
        return block
    if own.what != keys.what:
        raise DataError(block.where, f"is known by {own.what}, and {whose} by {keys.what}: give both a column {ID!r}")
    order = order_of(own, keys, block.where, whose)
    return block if order is None else block.taken(order)


def order_of(own: Keys, keys: Keys, where: str, whose: str) -> npt.NDArray[np.int64] | None:
    """Where the rows of `keys` stand in `own`; None where both are the same.

    Raises:
        DataError: one has rows that the other has not, or a row twice.
    """
    if own.values == keys.values:
        return None
    place = {value: i for i, value in enumerate(own.values)}
    if len(place) < len(own.values) or len(set(keys.values)) < len(keys.values):
        raise DataError(where, f"{own.what} says rows twice, and {whose} has another order: they cannot be joined")
    if stray := _stray(own, keys, whose):
        raise DataError(where, f"does not fit to {whose} by {own.what}{stray}")
    return np.array([place[value] for value in keys.values], dtype=np.int64)


def _stray(own: Keys | None, keys: Keys | None, whose: str) -> str:
    if own is None or keys is None:
        return ""
    lacking, more = set(keys.values) - set(own.values), set(own.values) - set(keys.values)
    said = [f"it lacks {len(lacking)} of these rows"] * bool(lacking) + [f"it has {len(more)} others"] * bool(more)
    one = next((value for value in (*keys.values, *own.values) if value in lacking | more), None)
    hint = "take the rows that all have first, or, where the place is meant, reset_index(drop=True) on both sides"
    return f": {' and '.join(said)} (first: {one!r}); {hint}" if said else ""
