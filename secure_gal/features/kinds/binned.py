"""`binned`: one-hot bins of equal width in rank."""

from __future__ import annotations

from secure_gal.features import quantile_bins
from secure_gal.features.base import FeatureMap
from secure_gal.features.declare import Asked, feature_map
from secure_gal.learners.base import EncodedRows, as_table
from secure_gal.options import Options


@feature_map("binned", options=Options)
def fit(x: EncodedRows, asked: Asked, options: Options) -> FeatureMap:
    """Bins of the training rows x (N, q)."""
    return quantile_bins.fit(as_table(x))
