"""Values of the training rows from fits that have not seen them, and the model that predicts new rows (decision 19).

A learner that overfits explains the residual of the rows it was fitted to, whatever it is worth elsewhere. So what a
party reports of a training row comes from a fit without that row: by folds for any learner, or in the learner's own
way where it has one at the cost of a single fit (`OwnWay`).
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple, Protocol, TypeVar, runtime_checkable

import numpy as np
import numpy.typing as npt

from secure_gal.errors import DataError, SettingsError
from secure_gal.gal.split import derive_seed
from secure_gal.learners.base import EncodedRows, Learner, Model
from secure_gal.learners.fold_workers import Fits, Piece, Timing, each_piece, timing_of

Made = TypeVar("Made")
Array = npt.NDArray[np.float64]
Residual = npt.NDArray[np.float32]
Folds = npt.NDArray[np.int64]
FOLDS = 5
"""Folds where a fit is cheap."""
NETWORK_FOLDS = 2
"""Folds of networks: two fits on half the rows each cost about what one costs."""
ENOUGH_ROWS = 5000
"""Training rows from which on half of them teach a network about what all do."""
LEAVE_ONE_OUT = "exact leave-one-out values of one fit"
OUT_OF_BAG = "out-of-bag values of one fit"


class CrossFit(NamedTuple):
    """What a round's fit gives.

    Attributes:
        model: for rows that are not among the training rows.
        values: float64 (N_train, K), each row's from a fit that has not seen its residual.
        how: they were made, in words.
        own: how often a row's own residual was taken off to leave it out, (N_train,); 0 where values are made by fits
            that do not have the row.
    """

    model: Model
    values: Array
    how: str
    own: Array | float = 0.0


@runtime_checkable
class OwnWay(Protocol):
    """A learner with a way of its own to such values."""

    def cross_fit(self, x: EncodedRows, residual: Residual, seed: int, folds: Folds) -> CrossFit:
        """Fit x (n, ...) to the pseudo-residual (n, K); `folds` (n,) numbers each row's fold, if folds are needed."""
        ...


@dataclass(frozen=True, slots=True)
class FoldModels:
    """The models of all folds; a new row gets their mean."""

    models: tuple[Model, ...]

    def predict(self, x: EncodedRows) -> Array:
        """x (n, ...) to (n, K)."""
        return np.asarray(sum(model.predict(x) for model in self.models) / len(self.models))


def cross_fit(learner: Learner, x: EncodedRows, residual: Residual, seed: int, folds: Folds) -> CrossFit:
    """Fit x (n, ...) to the pseudo-residual (n, K), in the learner's own way or by folds.

    Args:
        folds: (n,), the fold of each row, from 0.

    Raises:
        DataError: there are fewer than two training rows.
        SettingsError: a model answered in another shape than (rows, K).
    """
    if isinstance(learner, OwnWay):
        return learner.cross_fit(x, residual, seed, folds)
    return by_folds(learner, x, residual, seed, folds)


def by_folds(learner: Learner, x: EncodedRows, residual: Residual, seed: int, folds: Folds) -> CrossFit:
    """One model a fold, fitted to all other rows; arguments and errors as `cross_fit`."""
    fits = Fits(x, residual, folds, fold_seeds(seed, folds))
    found = each_piece(timing_of(learner), functools.partial(_fit_and_predict, learner), fits)
    values = np.empty(residual.shape)
    for (held, _), (_, predicted) in zip(each_fold(folds), found, strict=True):
        expected = (int(held.sum()), residual.shape[1])
        if predicted.shape != expected:
            raise SettingsError(
                "[learner]",
                f"predict returned shape {predicted.shape}; accepted: {expected}, one column for each of the residual",
            )
        values[held] = predicted
    models = tuple(model for model, _ in found)
    return CrossFit(FoldModels(models), values, f"out-of-fold values, {len(models)} folds")


def _fit_and_predict(learner: Learner, piece: Piece) -> tuple[Model, Array]:
    """A fold's model, and what it predicts of the rows held back (n', K)."""
    model = learner.fit(piece.kept, piece.residual, piece.seed)
    return model, np.asarray(model.predict(piece.held))


def fold_seeds(seed: int, folds: Folds) -> list[int]:
    """Each fold's; errors as `each_fold`."""
    return [derive_seed("fold", seed, fold) for fold in range(len(each_fold(folds)))]


def each_fold(folds: Folds) -> list[tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_]]]:
    """By fold the rows that it holds back and the rows that are fitted, masks (n,); DataError for fewer than two
    rows."""
    if len(folds) < 2:
        raise DataError("[data]", f"{len(folds)} training rows; values that a fit has not seen need 2 or more")
    return [(folds == fold, folds != fold) for fold in range(int(folds.max()) + 1)]


def folds_for(learner: object, asked: int | None, rows: int) -> int:
    """`[learner] folds`, or by default FOLDS; what the learner names as `default_folds` from ENOUGH_ROWS rows on."""
    default: int = getattr(learner, "default_folds", FOLDS) if rows >= ENOUGH_ROWS else FOLDS
    return default if asked is None else asked


def prepared_by_fold(
    prepare: Callable[[EncodedRows, Residual, int], Made],
    x: EncodedRows,
    residual: Residual,
    seed: int,
    folds: Folds,
    timing: Timing | None = None,
) -> tuple[Made, ...]:
    """What `prepare` makes of every fold's other rows; `timing` as `each_piece`."""
    fits = Fits(x, residual, folds, fold_seeds(seed, folds))
    return tuple(each_piece(timing, functools.partial(_prepare, prepare), fits))


def _prepare(prepare: Callable[[EncodedRows, Residual, int], Made], piece: Piece) -> Made:
    return prepare(piece.kept, piece.residual, piece.seed)
