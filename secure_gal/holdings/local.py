"""One party's local fits: f_m^t = argmin_f mean_i l_m(r_i^t, f(x_i)) (GAL, step c)."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from secure_gal.errors import SettingsError
from secure_gal.gal.split import derive_seed, fold_numbers
from secure_gal.gal.withheld import fixed, least
from secure_gal.learners.base import EncodedRows, Learner, Model
from secure_gal.learners.cross_fit import cross_fit
from secure_gal.learners.fold_workers import whole_fit

WHERE = "[learner]"
LARGEST_PART = 1e30
"""A part of a prediction is cut there: float32 ends at 3.4e38, and no part of rows that were learnt from comes near."""


class LocalParty:
    """A party's encoded rows, and what it answers to a residual.

    Args:
        x: float64 (N, p), or arrays, in study order; train: its training mask (N,).
        seed: the study's.
        folds: of cross-fitted rounds, for a learner without a way of its own; None: the paper's rule, fitted values.
        fixed_share: whether leave-one-out values leave out the same in all rounds, as those of encrypted fits do.
    """

    def __init__(
        self,
        name: str,
        x: EncodedRows,
        train: npt.NDArray[np.bool_],
        learner: Learner,
        seed: int,
        folds: int | None = None,
        fixed_share: bool = False,
    ) -> None:
        self._name, self.x, self._seed = name, x, seed
        self._learner, self._fit_whole = learner, whole_fit(learner)
        self._train, self._fixed_share = train, fixed_share
        self._x_train = x if train.all() else x[train]
        self._x_held_out = x[~train]
        self._folds = None if folds is None else fold_numbers(len(self._x_train), folds, seed)
        self.how = ""
        """How the training rows' values of the last fit were made, in words; empty before it."""

    def __repr__(self) -> str:
        return f"LocalParty({self._name}, {self.x.shape[0]} x {self.x.shape[1]})"

    @property
    def columns(self) -> int:
        """Numbers a row has once it is encoded."""
        return int(np.prod(self.x.shape[1:]))

    def learning_with(self, learner: Learner, folds: int) -> LocalParty:
        """The same rows with another learner, in so many folds where rounds are cross-fitted."""
        other = copy.copy(self)
        other._learner, other._fit_whole = learner, whole_fit(learner)
        other._folds = None if self._folds is None else fold_numbers(len(self._x_train), folds, self._seed)
        return other

    def fit_round(
        self, round_: int, residual: npt.NDArray[np.float32], withheld: float = 1.0
    ) -> tuple[Model, npt.NDArray[np.float32]]:
        """Fit to r^t float32 (N_train, K).

        Args:
            withheld: share of a row's own residual that its leave-one-out value leaves out, if that is enough
                (`secure_gal.gal.withheld`).

        Returns:
            The model for new rows, and float32 (N, K): in cross-fitted rounds each training row's value from a fit that
            has not seen it, in the paper's its fitted value; held-out rows get what the model predicts.

        Raises:
            DataError: fewer than two training rows to cross-fit.
            SettingsError: the learner fails, or answers in another shape.
        """
        seed = derive_seed("fit", self._seed, self._name, round_)
        if self._folds is None:
            model, self.how = self._fit_whole(self._x_train, residual, seed), "fitted values"
            return model, self._checked(model.predict(self.x), residual.shape[1])
        found = cross_fit(self._learner, self._x_train, residual, seed, self._folds)
        self.how, of_training = found.how, found.values
        share = self._share(withheld, residual.shape[1], found.own)
        of_training = of_training + ((1.0 - share) * found.own * residual.T).T
        if not len(self._x_held_out):
            return found.model, self._checked(of_training, residual.shape[1])
        values = np.empty((len(self._train), residual.shape[1]))
        values[self._train] = of_training
        values[~self._train] = found.model.predict(self._x_held_out)
        return found.model, self._checked(values, residual.shape[1])

    def _share(
        self, withheld: float, outputs: int, own: npt.NDArray[np.float64] | float
    ) -> npt.NDArray[np.float64] | float:
        """Of its own residual that a row's value leaves out, one for all rows or (N_train,)."""
        if self._fixed_share:
            return fixed(outputs, np.asarray(own / (1.0 + own)))
        return max(withheld, least(outputs, own)) if withheld < 1.0 else 1.0

    def _checked(self, values: npt.NDArray[Any], outputs: int) -> npt.NDArray[np.float32]:
        """SettingsError unless a model answered with finite values (N, K): peers would take others for an attack."""
        due = len(self._train), outputs
        if np.shape(values) != due:
            raise SettingsError(
                WHERE,
                f"predict returned shape {np.shape(values)}; accepted: {due}, one column for each of the residual",
            )
        with np.errstate(over="ignore"):
            answer = np.asarray(values).astype(np.float32)
        if not np.isfinite(answer).all():
            raise SettingsError(WHERE, "predict returned values that are infinite or not a number")
        return answer


def collapse(models: Sequence[Model], coefficients: npt.NDArray[np.float64], x: EncodedRows) -> npt.NDArray[np.float32]:
    """A party's part of a prediction, sum_t c_t f_m^t(x), float32 (n, K): one answer instead of T. It is cut at
    LARGEST_PART, and NaN where the models have no number."""
    total = np.asarray(sum(c * model.predict(x) for c, model in zip(coefficients, models, strict=True)))
    return np.asarray(np.clip(total, -LARGEST_PART, LARGEST_PART), dtype=np.float32)
