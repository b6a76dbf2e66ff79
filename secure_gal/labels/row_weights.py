"""Weights of the sponsor's rows: a column of its table, times one number a class."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from secure_gal.data.encode import LabelCodec
from secure_gal.errors import SettingsError
from secure_gal.gal.losses import Array, Weights
from secure_gal.settings.classes import class_of
from secure_gal.settings.party import DataSettings


def row_weights(
    data: DataSettings, codec: LabelCodec, y: npt.NDArray[Any], train: npt.NDArray[np.bool_], column: Array | None
) -> Weights:
    """v (N,), the largest 1, so that no residual of a class is beyond 1; None where all rows weigh the same.

    Args:
        y: coded labels of all rows; train: mask (N,); column: `[data] weight` of all rows, (N,), above 0.

    Raises:
        SettingsError: `[data] class_weights` names a class that there is not.
    """
    v = np.ones(len(y)) if column is None else column
    if data.class_weights is not None:
        v = v * _of_classes(data.class_weights, codec, y, train, v)[y]
    return None if (v == v[0]).all() else v / v.max()


def _of_classes(
    asked: str | dict[str, float], codec: LabelCodec, y: npt.NDArray[Any], train: npt.NDArray[np.bool_], v: Array
) -> Array:
    """One weight a class; `balanced`: the inverse of its training rows' total weight."""
    classes = list(codec.classes)
    if isinstance(asked, str):
        totals = np.bincount(y[train], v[train], minlength=len(classes))
        return np.asarray(1.0 / np.where(totals > 0, totals, totals[totals > 0].min()))
    named = {class_of(name): weight for name, weight in asked.items()}
    if stray := [name for name in asked if class_of(name) not in classes]:
        accepted = f"accepted: {', '.join(map(str, classes))}; a class that is not named has 1"
        raise SettingsError("[data] class_weights", f"{stray[0]!r} is no class of the label; {accepted}")
    return np.array([named.get(c, 1.0) for c in classes])
