"""`polynomial`: columns, their pairwise products and squares."""

from __future__ import annotations

from secure_gal.features.base import FeatureMap
from secure_gal.features.declare import Asked, feature_map
from secure_gal.features.polynomial import Pairs
from secure_gal.learners.base import EncodedRows, as_table
from secure_gal.options import Options


@feature_map("polynomial", options=Options)
def fit(x: EncodedRows, asked: Asked, options: Options) -> FeatureMap:
    """All pairs of the columns of x (N, q)."""
    return Pairs.fit(as_table(x))
