"""`auto`: a sound default, chosen from the numbers of training rows and columns alone."""

from __future__ import annotations

from secure_gal.features import auto
from secure_gal.features.base import Array, FeatureMap
from secure_gal.features.declare import Asked, feature_map
from secure_gal.options import Options


@feature_map("auto", options=Options, alone=True)
def fit(x: Array, asked: Asked, options: Options) -> FeatureMap:
    """What suits the training rows x (N, q)."""
    return auto.fit(x, asked.seed)
