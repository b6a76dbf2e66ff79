"""Images and series as learners take them: standardised on the training rows, gaps filled, and nothing copied."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from secure_gal.data.arrays import SERIES, ArrayRows
from secure_gal.errors import DataError

Array = npt.NDArray[np.float32]


def check_varies(rows: ArrayRows) -> None:
    """Refuse x that is the same in all rows; reads no further than to the first difference, usually one block.

    Raises:
        DataError: no row differs from the first one.
    """
    first: Array | None = None
    for block in rows.blocks():
        if first is None:
            first = block[:1]
        if not np.array_equal(block, np.broadcast_to(first, block.shape), equal_nan=True):
            return
    raise DataError("[data]", "x is the same in all rows; there is nothing to learn from")


@dataclass(frozen=True, slots=True)
class ArrayEncoder:
    """Mean and deviation a channel (images, over all views) or a column (series), learnt from training rows.

    In a series a missing value is the column's last observed one (before the first: the mean), and a column with gaps
    in training gets one more column beside all others that is 1 where it was observed, else 0. Steps after a row's last
    value stay NaN: padding, which learners leave out.

    Attributes:
        inner: shape of one row as stored; a series may be longer or shorter, an image may not.
        mean, scale: float32 (C,) or (d,); scale is 1 where nothing varies.
        gaps: columns of a series that get an observed-or-not column, ascending.
        warnings: in words, what was noticed in training.
    """

    inner: tuple[int, ...]
    mean: Array = field(repr=False)
    scale: Array = field(repr=False)
    gaps: tuple[int, ...] = ()
    warnings: tuple[str, ...] = field(default=(), repr=False)

    @classmethod
    def fit(cls, rows: ArrayRows) -> ArrayEncoder:
        """Learn from the training rows, read once in blocks.

        Raises:
            DataError: no channel or column varies.
        """
        series = rows.ndim == SERIES
        channels = rows.shape[-1] if series else rows.shape[-3]
        count, total, squares = (np.zeros(channels) for _ in range(3))
        gaps = np.zeros(channels, dtype=np.bool_)
        for block in rows.blocks():
            if series:
                gaps |= (np.isnan(block) & _real(block)[..., None]).any(axis=(0, 1))
            flat = np.moveaxis(block, -1 if series else -3, 0).reshape(channels, -1).astype(np.float64)
            seen = ~np.isnan(flat)
            count += seen.sum(axis=1)
            total += np.nansum(flat, axis=1)
            squares += np.nansum(flat**2, axis=1)
        mean = total / np.maximum(count, 1)
        variance = np.maximum(squares / np.maximum(count, 1) - mean**2, 0.0)
        varies = variance > 1e-12 * np.maximum(squares / np.maximum(count, 1), 1e-300)
        if not varies.any() and not gaps.any():
            raise DataError("[data]", "x is the same everywhere on the training rows; there is nothing to learn from")
        scale = np.where(varies, np.sqrt(variance), 1.0)
        kind = "column" if series else "channel"
        constant = tuple(f"{kind} {c + 1} of x does not vary on the training rows" for c in np.flatnonzero(~varies))
        places = tuple(int(c) for c in np.flatnonzero(gaps))
        return cls(rows.shape[1:], mean.astype(np.float32), scale.astype(np.float32), places, constant)

    def transform(self, rows: ArrayRows) -> tuple[ArrayRows, dict[str, int]]:
        """Rows that are encoded when they are read, and no unseen values (the form of `TableEncoder.transform`).

        Raises:
            DataError: rows of another shape than in training.
        """
        inner = rows.shape[1:]
        if len(inner) != len(self.inner) or (inner != self.inner if len(inner) != 2 else inner[1] != self.inner[1]):
            shown = "(N, L, " + str(self.inner[-1]) + ")" if len(self.inner) == 2 else f"(N, {str(self.inner)[1:]}"
            raise DataError("[data]", f"x has shape {rows.shape}, but the model was trained on {shown}")
        if rows.ndim == SERIES:
            return rows.encoded(self._series, (inner[0], inner[1] + len(self.gaps))), {}
        return rows.encoded(self._images, inner), {}

    def _images(self, raw: Array) -> Array:
        return (raw - self.mean[:, None, None]) / self.scale[:, None, None]

    def _series(self, raw: Array) -> Array:
        """(n, L, d) to (n, L, d + gaps)."""
        observed = ~np.isnan(raw)
        steps = np.where(observed, np.arange(raw.shape[1])[:, None], 0)
        last = np.maximum.accumulate(steps, axis=1)
        filled = np.take_along_axis(raw, last, axis=1)
        values = np.nan_to_num((filled - self.mean) / self.scale)
        encoded = np.concatenate([values, observed[..., self.gaps].astype(np.float32)], axis=2)
        encoded[~_real(raw)] = np.nan
        return np.asarray(encoded, dtype=np.float32)


def _real(raw: Array) -> npt.NDArray[np.bool_]:
    """(n, L): steps up to a row's last value."""
    some = np.asarray(np.any(~np.isnan(raw), axis=2))
    return np.asarray(np.logical_or.accumulate(some[:, ::-1], axis=1)[:, ::-1])
