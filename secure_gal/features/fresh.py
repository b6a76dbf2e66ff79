"""`[learner] fresh_features`: every round draws its feature map anew, from a secret of the party's own (decision 0010).

With one map for all rounds an assistor's fits are f^t = H r^t with one matrix H, and enough of them can be solved for
it. With a map a round there is a new matrix H^t for every residual. Only maps that are random have anything to draw: a
union with a deterministic map, which `auto` is, would bring the same columns back in every round.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from secure_gal.errors import StateError
from secure_gal.features.base import Array, FeatureMap, side_by_side
from secure_gal.features.declare import KINDS
from secure_gal.learners.base import EncodedRows, Learner, Model, as_table
from secure_gal.learners.cross_fit import CrossFit, Folds, cross_fit
from secure_gal.learners.fold_maps import Prepared

LABEL = b"secure-gal/1 fresh feature map\0"


class FreshModel:
    """A linear model with the map that was drawn for it; complete in itself, so that it can be saved and loaded
    alone."""

    def __init__(self, features: Prepared, inner: Model) -> None:
        self._features, self._inner = features, inner

    def predict(self, x: EncodedRows) -> Array:
        """x (n, q) to (n, K)."""
        return self._inner.predict(self._features.transform(x))


class FreshLearner:
    """Fits `inner` on a map that is drawn for this fit alone; the model that it returns carries the map.

    Args:
        names: feature maps, all of them random.
        prepare: (map, x_train, K) to what the linear model takes: the map with a ridge basis.
        inner: as for `SharedLearner`.
        secret: gives the secret, which must be the same when a run is resumed; asked at each fit.
    """

    def __init__(
        self,
        names: tuple[str, ...],
        prepare: Callable[[FeatureMap, Array, int], Prepared],
        inner: Learner,
        secret: Callable[[], bytes],
    ) -> None:
        self._names, self._prepare, self._inner, self._secret = names, prepare, inner, secret

    @property
    def description(self) -> str:
        """In words."""
        return f"{' and '.join(self._names)} features, drawn anew every round"

    def fit(self, x: EncodedRows, residual: npt.NDArray[np.float32], seed: int) -> FreshModel:
        """Fit x (n, q) to the pseudo-residual (n, K); `seed` differs from round to round."""
        features = self._drawn(as_table(x), residual.shape[1], seed)
        return FreshModel(features, self._inner.fit(features.transform(x), residual, seed))

    def cross_fit(self, x: EncodedRows, residual: npt.NDArray[np.float32], seed: int, folds: Folds) -> CrossFit:
        """The same, and values of the training rows from fits that have not seen them; the map has seen no label."""
        features = self._drawn(as_table(x), residual.shape[1], seed)
        found = cross_fit(self._inner, features.transform(x), residual, seed, folds)
        return found._replace(model=FreshModel(features, found.model))

    def _drawn(self, x: Array, outputs: int, seed: int) -> Prepared:
        return self._prepare(draw(self._names, x, self._secret(), seed), x, outputs)


def draw(names: tuple[str, ...], x_train: Array, secret: bytes, seed: int) -> FeatureMap:
    """The union of these maps, fitted to the training rows (N_train, q); unknown to who lacks the secret.

    Raises:
        SettingsError: the union is wider than MAX_WIDTH.
    """
    parts: list[FeatureMap] = []
    for name in names:
        bits = np.random.MT19937(int.from_bytes(hashlib.sha256(LABEL + secret + f"{seed} {name}".encode()).digest()))
        drawn = KINDS.find(name, "[learner] features").draw
        if drawn is None:
            raise StateError(f"the feature map {name!r} has nothing to draw")
        parts.append(drawn(x_train, bits))
    return side_by_side(parts)
