"""Images and series by entity id: `.npz`, or `.npy` read from disk as it is needed with a table of ids beside it.

An `.npz` holds `x`, one array a column of `[data] id` and, at a sponsor, one of the label's name. A `.npy` holds x
alone and is memory-mapped; ids and label stand in a table of the same stem beside it (`images.npy`, `images.csv`). x is
    (N, L, d)        series; NaN is a missing value, and steps after a row's last value are padding. An `.npz` may
                     instead say how long each row is: `lengths` (N,);
    (N, C, H, W)     images;
    (N, V, C, H, W)  images in V views.
NumPy's own format is parsed with `allow_pickle=False`: a file never runs code.
"""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from secure_gal.errors import DataError

SERIES, IMAGES, VIEWS = 3, 4, 5
"""Dimensions of x by what it holds."""
TABLE_SUFFIXES = (".csv", ".parquet", ".pq")
BLOCK_BYTES = 64 << 20
"""Bytes of float32 read at a time when all rows are gone through."""
Chosen = slice | Sequence[int] | npt.NDArray[Any]


class ArrayRows:
    """Rows of x that are chosen, encoded and only then read: slicing costs nothing, `np.asarray` reads.

    Args:
        base: all rows as stored, in memory or memory-mapped.
        index: the chosen rows in order; None for all.
        encode: float32 rows as stored to float32 rows as learners take them.
        inner: shape of one encoded row; of one stored row where `encode` is None.
    """

    def __init__(
        self,
        base: npt.NDArray[Any],
        index: npt.NDArray[np.int64] | None = None,
        encode: Callable[[npt.NDArray[np.float32]], npt.NDArray[np.float32]] | None = None,
        inner: tuple[int, ...] | None = None,
    ) -> None:
        self._base, self._encode = base, encode
        self._index = np.arange(len(base)) if index is None else index
        self.shape: tuple[int, ...] = (len(self._index), *(inner or base.shape[1:]))

    def __repr__(self) -> str:
        return f"ArrayRows{self.shape}"

    def __len__(self) -> int:
        return self.shape[0]

    @property
    def ndim(self) -> int:
        """3 for series, 4 for images, 5 for images in several views."""
        return len(self.shape)

    @property
    def width(self) -> int:
        """Values in one row."""
        return int(np.prod(self.shape[1:]))

    def __getitem__(self, chosen: Chosen) -> ArrayRows:
        """A slice, positions, or a mask."""
        key = chosen if isinstance(chosen, slice) else np.asarray(chosen)
        if not isinstance(key, slice) and not len(key):
            key = slice(0, 0)
        return ArrayRows(self._base, self._index[key], self._encode, self.shape[1:])

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> npt.NDArray[Any]:
        with np.errstate(over="ignore"):  # infinite in float32: `check_arrays` refuses it
            raw = np.asarray(self._base[self._index], dtype=np.float32)
        return np.asarray(raw if self._encode is None else self._encode(raw), dtype=dtype)

    def encoded(
        self, encode: Callable[[npt.NDArray[np.float32]], npt.NDArray[np.float32]], inner: tuple[int, ...]
    ) -> ArrayRows:
        """The same rows, encoded whenever they are read."""
        return ArrayRows(self._base, self._index, encode, inner)

    def blocks(self) -> Iterator[npt.NDArray[np.float32]]:
        """All rows in order, BLOCK_BYTES at a time."""
        step = max(1, BLOCK_BYTES // (4 * max(1, self.width)))
        for start in range(0, len(self), step):
            yield np.asarray(self[start : start + step])


def read_arrays(
    path: Path, columns: Sequence[str], label_column: str | None
) -> tuple[ArrayRows | None, dict[str, npt.NDArray[Any]], Path]:
    """(x or None, the arrays called `columns` and `label_column`, the file that these came from).

    x is None where a file of ids alone is asked about (to predict rows of `[data] path`).

    Raises:
        DataError: naming the file, the array, the row (1 is the first) and the fix.
    """
    return _read_npz(path, columns, label_column) if path.suffix.lower() == ".npz" else _read_npy(path)


def _read_npz(
    path: Path, columns: Sequence[str], label_column: str | None
) -> tuple[ArrayRows | None, dict[str, npt.NDArray[Any]], Path]:
    try:
        with np.load(path, allow_pickle=False) as file:
            held = {name: _member(path, file, name) for name in file.files}
    except FileNotFoundError:
        raise DataError(str(path), "no such file; `[data] path` is relative to the party file") from None
    except (OSError, EOFError, ValueError, zipfile.BadZipFile) as error:
        raise DataError(str(path), f"cannot be read as .npz: {error}") from error
    known = {*columns, "x", "lengths", *([label_column] if label_column else [])}
    if stray := sorted(held.keys() - known):
        raise DataError(
            str(path),
            f"holds arrays that have no meaning here: {', '.join(stray[:20])}; expected {', '.join(sorted(known))}",
        )
    x, lengths = held.pop("x", None), held.pop("lengths", None)
    for name in columns:
        if name not in held:
            raise DataError(str(path), f"has no id array {name!r}; it holds {', '.join(sorted({*held, 'x'}))}")
    if x is not None:
        check_arrays(path, x, lengths)
        x = _padded(x, lengths) if lengths is not None else x
    for name, values in held.items():
        expected = len(values) if x is None else len(x)
        if values.ndim != 1 or len(values) != expected:
            per_step = "; for a label at every step, give every step an id of its own" if values.ndim == 2 else ""
            raise DataError(
                str(path),
                f"array {name!r} has shape {values.shape}; expected ({expected},), one value a row of x{per_step}",
            )
    return None if x is None else ArrayRows(x), held, path


def _member(path: Path, file: Any, name: str) -> npt.NDArray[Any]:
    try:
        return np.asarray(file[name])
    except ValueError as error:
        raise DataError(
            str(path),
            f"array {name!r} holds Python objects or is damaged ({error}); save plain numbers, and "
            "ids as whole numbers or fixed-width text",
        ) from error


def _read_npy(path: Path) -> tuple[ArrayRows, dict[str, npt.NDArray[Any]], Path]:
    try:
        x = np.load(path, mmap_mode="r", allow_pickle=False)
    except FileNotFoundError:
        raise DataError(str(path), "no such file; `[data] path` is relative to the party file") from None
    except (OSError, EOFError, ValueError) as error:
        raise DataError(str(path), f"cannot be read as .npy: {error}") from error
    check_arrays(path, x, None)
    for suffix in TABLE_SUFFIXES:
        beside = path.with_suffix(suffix)
        if beside.exists():
            return ArrayRows(x), {}, beside
    raise DataError(str(path), f"needs its ids in a table beside it: {path.with_suffix('.csv').name} or .parquet")


def check_arrays(path: Path, x: npt.NDArray[Any], lengths: npt.NDArray[Any] | None) -> None:
    """Shape, type, lengths and values of x; DataError."""
    if x.ndim not in (SERIES, IMAGES, VIEWS) or 0 in x.shape:
        raise DataError(
            str(path),
            f"x has shape {x.shape}; expected series (N, L, d), images (N, C, H, W) or images in "
            "views (N, V, C, H, W), nothing empty",
        )
    if x.dtype.kind not in "uif" or x.dtype.itemsize > 8:
        raise DataError(str(path), f"x has type {x.dtype}; expected whole or floating-point numbers")
    if lengths is not None:
        _check_lengths(path, x, lengths)
    if x.dtype.kind != "f":
        return
    row = 0
    for block in ArrayRows(x).blocks():
        wrong = np.isinf(block) if x.ndim == SERIES else ~np.isfinite(block)
        where = np.flatnonzero(wrong.reshape(len(block), -1).any(axis=1))
        if len(where):
            raise DataError(
                str(path),
                f"row {row + where[0] + 1} of x has a value that is infinite or not a number; "
                "correct or remove that row",
            )
        if x.ndim == SERIES:
            _check_not_empty(path, block, row, lengths)
        row += len(block)


def _check_lengths(path: Path, x: npt.NDArray[Any], lengths: npt.NDArray[Any]) -> None:
    if x.ndim != SERIES:
        raise DataError(str(path), f"has `lengths`, but x of shape {x.shape} holds images; leave it out")
    if lengths.shape != x.shape[:1] or lengths.dtype.kind not in "ui":
        raise DataError(str(path), f"`lengths` is {lengths.dtype} {lengths.shape}; expected whole numbers ({len(x)},)")
    wrong = (lengths < 1) | (lengths > x.shape[1])
    if wrong.any():
        row = int(wrong.argmax())
        raise DataError(
            str(path),
            f"row {row + 1} has length {lengths[row]}; accepted: 1 to {x.shape[1]} steps (remove empty series)",
        )


def _check_not_empty(path: Path, block: npt.NDArray[np.float32], row: int, lengths: npt.NDArray[Any] | None) -> None:
    there = np.asarray(np.any(~np.isnan(block), axis=2))
    if lengths is not None:
        there &= np.arange(block.shape[1]) < lengths[row : row + len(block), None]
    empty = ~there.any(axis=1)
    if empty.any():
        raise DataError(
            str(path),
            f"row {row + int(empty.argmax()) + 1} of x is an empty series (no value at any step); remove that row",
        )


def _padded(x: npt.NDArray[Any], lengths: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
    """Lengths written as NaN padding, the one form that the rest of the code knows."""
    padded = np.array(x, dtype=np.float32)
    padded[np.arange(x.shape[1]) >= lengths[:, None]] = np.nan
    return padded
