"""One party's local fits: f_m^t = argmin_f mean_i l_m(r_i^t, f(x_i)) (GAL, step c)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from secure_gal.gal.split import derive_seed
from secure_gal.learners.base import Learner, Model


class LocalParty:
    """A party's encoded rows x float64 (N, p) in study order, its training mask and its learner."""

    def __init__(
        self, name: str, x: npt.NDArray[np.float64], train: npt.NDArray[np.bool_], learner: Learner, seed: int
    ) -> None:
        self._name, self._x, self._learner, self._seed = name, x, learner, seed
        self._x_train = x if train.all() else x[train]

    def __repr__(self) -> str:
        return f"LocalParty({self._name}, {self._x.shape[0]} x {self._x.shape[1]})"

    @property
    def columns(self) -> int:
        """Numbers a row has once it is encoded."""
        return int(np.prod(self._x.shape[1:]))

    def fit_round(self, round_: int, residual: npt.NDArray[np.float32]) -> tuple[Model, npt.NDArray[np.float32]]:
        """Fit to r^t float32 (N_train, K); returns the model and fitted values float32 (N, K) of all rows."""
        model = self._learner.fit(self._x_train, residual, derive_seed("fit", self._seed, self._name, round_))
        return model, model.predict(self._x).astype(np.float32)


def collapse(
    models: Sequence[Model], coefficients: npt.NDArray[np.float64], x: npt.NDArray[np.float64]
) -> npt.NDArray[np.float32]:
    """A party's part of a prediction, sum_t c_t f_m^t(x), float32 (n, K): one answer instead of T."""
    total = sum(c * model.predict(x) for c, model in zip(coefficients, models, strict=True))
    return np.asarray(total, dtype=np.float32)
