"""What both sides of an encrypted study agree on about rows and scales."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt


def to_unit(values: npt.NDArray[np.floating]) -> tuple[npt.NDArray[np.float64], float]:
    """(values / scale, scale) with max|values / scale| = 1; scale is 1 where all values are 0.

    The scale stays at the sponsor: ciphertexts hold values of at most 1, so that nothing wraps.
    """
    scale = float(np.abs(values).max(initial=0.0)) or 1.0
    return np.asarray(values, dtype=np.float64) / scale, scale


def study_order(train: npt.NDArray[np.bool_]) -> npt.NDArray[np.int64]:
    """Row numbers (N,) in the order of encrypted replies: training rows first, then validation rows."""
    return np.concatenate([np.flatnonzero(train), np.flatnonzero(~train)])
