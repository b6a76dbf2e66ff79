"""`auto`: a sound default, chosen from the numbers of training rows and columns alone."""

from __future__ import annotations

from secure_gal.features import auto
from secure_gal.features.base import FeatureMap
from secure_gal.features.declare import Asked, feature_map
from secure_gal.learners.base import EncodedRows, as_table
from secure_gal.options import Options


@feature_map("auto", options=Options, alone=True)
def fit(x: EncodedRows, asked: Asked, options: Options) -> FeatureMap:
    """What suits the training rows x (N, q)."""
    return auto.fit(as_table(x), asked.seed)
