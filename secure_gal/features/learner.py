"""`linear` on a feature map: features are computed once, every round fits a linear model on them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from secure_gal.features.base import Array
from secure_gal.learners.base import Learner, Model


class Prepared(Protocol):
    """A fitted feature map, or one with its ridge basis."""

    @property
    def description(self) -> str: ...
    def transform(self, x: Array) -> Array:
        """x (n, q) to what the linear model takes."""
        ...


class FeatureLearner:
    """Fits `inner` on `prepare(x_train).transform(x)`; all rounds share what was prepared.

    Args:
        prepare: fits the feature map to training rows; must give the same map for the same rows (a resumed run).
        inner: `HeadLearner` on a ridge basis, or a `LinearLearner` of another loss on the features themselves.
    """

    def __init__(self, prepare: Callable[[Array], Prepared], inner: Learner) -> None:
        self._prepare, self._inner = prepare, inner
        self._for: Array | None = None
        self._train: Array = np.zeros((0, 0))
        self._shared: Shared | None = None

    @property
    def description(self) -> str:
        """In words what was prepared; empty before the first fit."""
        return "" if self._shared is None else self._shared.prepared.description

    def fit(self, x: Array, residual: npt.NDArray[np.float32], seed: int) -> FeatureModel:
        """Fit x (n, q) to the pseudo-residual (n, K)."""
        if self._shared is None or self._for is not x:
            self._shared = Shared(self._prepare(x))
            self._for, self._train = x, self._shared.transform(x)
        return FeatureModel(self._shared, self._inner.fit(self._train, residual, seed))


class Shared:
    """What was prepared, and its last result: in every round the same rows are asked for."""

    def __init__(self, prepared: Prepared) -> None:
        self.prepared = prepared
        self._last: tuple[Array, Array] | None = None

    def __getstate__(self) -> dict[str, Any]:
        return {"prepared": self.prepared, "_last": None}  # a saved model holds no rows

    def transform(self, x: Array) -> Array:
        """x (n, q) to what the linear model takes."""
        if self._last is None or self._last[0] is not x:
            self._last = (x, self.prepared.transform(x))
        return self._last[1]


class FeatureModel:
    """A linear model on features; complete in itself, so that it can be saved and loaded alone."""

    def __init__(self, features: Shared | Prepared, inner: Model) -> None:
        self._features, self._inner = features, inner

    def predict(self, x: Array) -> Array:
        """x (n, q) to (n, K)."""
        return self._inner.predict(self._features.transform(x))
