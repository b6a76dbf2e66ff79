"""`trees`: leaves of totally random trees, one-hot."""

from __future__ import annotations

import numpy as np

from secure_gal.features import random_trees
from secure_gal.features.base import Array, FeatureMap
from secure_gal.features.declare import Asked, feature_map
from secure_gal.learners.base import EncodedRows, as_table
from secure_gal.options import Options


def draw(x: Array, bits: np.random.MT19937) -> FeatureMap:
    """Trees on x (N, q) from a stream of bits."""
    return random_trees.fit(x, np.random.RandomState(bits))


@feature_map("trees", options=Options, draw=draw)
def fit(x: EncodedRows, asked: Asked, options: Options) -> FeatureMap:
    """Trees on the training rows x (N, q) from a seed."""
    return random_trees.fit(as_table(x), asked.seed)
