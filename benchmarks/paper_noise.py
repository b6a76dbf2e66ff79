"""The noise of the GAL paper's experiments (its `privacy.py`), for comparison with published figures only.

Neither gives a guarantee: both take their range from quantiles of the very values that they should protect, and the
first adds floating-point noise. The product never imports this module.
"""

from __future__ import annotations

import numpy as np

TAIL = 0.025
"""Values beyond this quantile at either end are clipped to it (Laplace), or lie outside every threshold (intervals)."""


def quantile_clipped_laplace(values: np.ndarray, alpha: float, rng: np.random.Generator) -> np.ndarray:
    """Clip to the values' own quantiles [a, b] and add Laplace noise of scale (b - a) / alpha."""
    low, high = np.quantile(values, (TAIL, 1 - TAIL))
    noised: np.ndarray = np.clip(values, low, high) + rng.laplace(scale=(high - low) / alpha, size=values.shape)
    return noised


def quantile_intervals(values: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """One threshold t a value, uniform between the values' own quantiles [a, b]: 2t - a when above, else 2t - b."""
    low, high = np.quantile(values, (TAIL, 1 - TAIL))
    threshold = rng.uniform(low, high, size=values.shape)
    reported: np.ndarray = 2 * threshold - np.where(values >= threshold, low, high)
    return reported
