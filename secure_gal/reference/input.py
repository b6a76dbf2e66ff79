"""The data of `secure_gal.reference.gal.GAL`: blocks of numbers and labels, from arrays, lists and frames."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from secure_gal.data.arrays import SERIES
from secure_gal.errors import DataError
from secure_gal.learners import check_shape
from secure_gal.learners.declare import KINDS, SHAPES
from secure_gal.settings.party import LearnerSettings

Array = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class BlockForm:
    """What a party's block looks like: its name for messages, the shape of one row, and a frame's column names."""

    where: str
    inner: tuple[int, ...]
    columns: tuple[str, ...]

    def check_learner(self, learner: Any) -> None:
        """SettingsError where a learner that was chosen by name does not take such rows."""
        if (
            isinstance(learner, LearnerSettings) and learner.kind in KINDS.names()
        ):  # else `make_learner` lists the kinds
            check_shape(learner, len(self.inner) + 1)

    def check_new(self, new: BlockForm) -> None:
        """DataError unless models of these rows can predict the new ones; a series may be longer or shorter."""
        skipped = 1 if len(self.inner) == len(new.inner) == SERIES - 1 else 0
        if new.inner[skipped:] != self.inner[skipped:]:
            raise DataError(new.where, f"has rows of shape {new.inner}, but {self.inner} was trained on")
        if new.columns and self.columns and new.columns != self.columns:
            raise DataError(
                new.where,
                f"has the columns {', '.join(new.columns)}, but {', '.join(self.columns)} were "
                "trained on, in this order",
            )


def list_blocks(blocks: Any) -> list[Any]:
    """The blocks of a list of blocks.

    Raises:
        DataError: there is none, or it is one array or frame.
    """
    if isinstance(blocks, list | tuple) and blocks:
        return list(blocks)
    what = "is empty" if isinstance(blocks, list | tuple) else f"is one {type(blocks).__name__}"
    raise DataError("blocks", f"{what}; accepted: a list of one block (N, p) a party, the sponsor's first")


def read_blocks(
    blocks: Sequence[Any], names: Sequence[str], rows: int | None = None
) -> tuple[list[BlockForm], list[Array]]:
    """Blocks as float64 (n, p), (n, L, d) series, (n, C, H, W) images or (n, V, C, H, W) images in views.

    Args:
        rows: how many labels there are; None for predictions, whose blocks have to agree with the first.

    Raises:
        DataError: names the block, and the row and column that is not a number, infinite, or missing.
    """
    read = [_read(block, f"block {m} ({name})") for m, (block, name) in enumerate(zip(blocks, names, strict=True))]
    expected, whose = (len(read[0][1]), "block 0") if rows is None else (rows, "y")
    for form, x in read:
        if len(x) != expected:
            raise DataError(form.where, f"has {len(x)} rows, {whose} has {expected}")
    return [form for form, _ in read], [x for _, x in read]


def _read(block: Any, where: str) -> tuple[BlockForm, Array]:
    columns = tuple(str(name) for name in getattr(block, "columns", ()))
    try:
        x = _numbers(np.asarray(block), columns)
    except (TypeError, ValueError) as error:
        raise DataError(where, f"is not a table of numbers: {error}; encode text and dates first") from error
    if x.ndim not in SHAPES:
        hint = " (one column is x.reshape(-1, 1))" if x.ndim == 1 else ""
        raise DataError(where, f"has shape {x.shape}; accepted: {', '.join(SHAPES.values())}{hint}")
    if 0 in x.shape[1:]:
        raise DataError(where, f"has shape {x.shape}: nothing to learn from; leave this party out")
    _check_finite(x, columns, where)
    return BlockForm(where, x.shape[1:], columns), x


def _numbers(raw: npt.NDArray[Any], columns: tuple[str, ...]) -> Array:
    """float64; ValueError or TypeError names the column of mixed ones that is something else."""
    if raw.dtype.kind not in "biufO":  # numpy would parse text, and count the days or nanoseconds of a date
        raise TypeError(f"it holds {raw.dtype}")
    if raw.dtype.kind == "O" and raw.ndim == 2:
        for name, column in zip(columns or range(raw.shape[1]), raw.T, strict=True):
            try:
                column.astype(np.float64)
            except (TypeError, ValueError) as error:
                raise type(error)(f"column {name!r}: {error}") from error
    return np.asarray(raw, dtype=np.float64)


def _check_finite(x: Array, columns: tuple[str, ...], where: str) -> None:
    wrong = ~np.isfinite(x)
    if x.ndim == SERIES:  # a step without any value is padding, which learners leave out
        wrong &= ~np.isnan(x).all(axis=2, keepdims=True)
    if not wrong.any():
        return
    row, *place = (int(i) for i in np.argwhere(wrong)[0])
    column = repr(columns[place[-1]]) if columns else ", ".join(map(str, place))
    raise DataError(
        where,
        f"column {column} holds {x[row, *place]} in row {row}; accepted: finite numbers. Fill "
        "missing values first; a further column may say where",
    )


def read_labels(y: Any) -> npt.NDArray[Any]:
    """Labels (N,) of the type that was given, from an array, a list, or a column of a frame.

    Raises:
        DataError: not one a row, or one is infinite or missing.
    """
    try:
        labels = np.asarray(y)
    except ValueError as error:
        raise DataError("y", f"is not one label a row: {error}") from error
    if labels.ndim == 2 and labels.shape[1] == 1:
        labels = labels[:, 0]
    if labels.ndim != 1 or not len(labels):
        raise DataError("y", f"has shape {labels.shape}; accepted: one label a row, (N,)")
    for row, label in enumerate(labels):
        if not _is_label(label):
            raise DataError("y", f"row {row} is {label}; accepted: finite numbers, or text for classes")
    return labels


def _is_label(label: Any) -> bool:
    try:
        return math.isfinite(float(label))  # the text "nan" too: a class that differs from itself
    except ValueError:
        return True
    except TypeError:
        return False
