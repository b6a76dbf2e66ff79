"""`auto`: a sound default, chosen from the numbers of training rows and columns alone.

One rule for all data; docs/decisions/0004 says how it was found. The ridge strength and the width of what is encrypted
follow from the features' spectrum afterwards (`secure_gal.learners.ridge`).
"""

from __future__ import annotations

from secure_gal.features import fourier
from secure_gal.features.base import MAX_WIDTH, Array, FeatureMap, Standardized, Union

FEW_ROWS = 200
"""Below so many training rows curves and interactions cannot be told from noise."""


def width(rows: int, columns: int) -> int:
    """Features of so many training rows and encoded columns."""
    few = rows < FEW_ROWS or columns + fourier.WIDTH > MAX_WIDTH
    return columns if few else columns + fourier.WIDTH


def fit(x: Array, seed: int) -> FeatureMap:
    """Standardised columns and random Fourier features, or the columns alone where those do not fit or rows are few."""
    rows, columns = x.shape
    straight = Standardized(columns)
    return straight if width(rows, columns) == columns else Union((straight, fourier.fit(x, seed)))
