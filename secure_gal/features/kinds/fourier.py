"""`fourier`: random Fourier features of standardised ranks."""

from __future__ import annotations

import numpy as np

from secure_gal.features import fourier
from secure_gal.features.base import Array, FeatureMap
from secure_gal.features.declare import Asked, feature_map
from secure_gal.learners.base import EncodedRows, as_table
from secure_gal.options import Options


def draw(x: Array, bits: np.random.MT19937) -> FeatureMap:
    """Features of x (N, q) from a stream of bits."""
    return fourier.fit(x, np.random.Generator(bits))


@feature_map("fourier", options=Options, draw=draw)
def fit(x: EncodedRows, asked: Asked, options: Options) -> FeatureMap:
    """Features of the training rows x (N, q) from a seed."""
    return fourier.fit(as_table(x), asked.seed)
