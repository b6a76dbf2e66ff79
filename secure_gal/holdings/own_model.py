"""The best that the sponsor is likely to do without anybody: scikit-learn's HistGradientBoosting on its own columns."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import numpy.typing as npt

from secure_gal.gal.losses import Weights
from secure_gal.gal.split import derive_seed, fold_numbers
from secure_gal.learners.base import EncodedRows
from secure_gal.learners.cross_fit import each_fold
from secure_gal.settings.study import LossName

Array = npt.NDArray[np.float64]
NAME = "scikit-learn's HistGradientBoosting, defaults, on the sponsor's own columns"
MOST_CELLS = 50_000_000
"""Cells of the encoded table beyond which it is left out: fits to its folds would take longer than the study."""

FEWEST_TO_STOP = 10
"""Rows of the rarest class with which a tenth of the rows, set aside to stop early by, has one of it."""


LIBRARIES = (
    "scipy.ndimage",
    "scipy.interpolate",
    "scipy.integrate",
    "scipy.stats",
    "joblib",
    "sklearn",
    "sklearn.preprocessing",
    "sklearn.neighbors",
    "sklearn.ensemble",
    "threadpoolctl",
)
"""What fits need, imported in this order: a second in parts of which none takes more than a quarter, so that other work
comes in between."""


@contextmanager
def half_of_the_cores() -> Iterator[None]:
    """For fits of this thread."""
    from joblib import cpu_count
    from threadpoolctl import threadpool_limits

    with threadpool_limits(max(1, cpu_count() // 2), "openmp"):
        yield


def refused(x: EncodedRows) -> str:
    """Why there is no such model of these rows, or nothing."""
    if not isinstance(x, np.ndarray) or x.ndim != 2:
        return "none: it takes a table, and the sponsor holds arrays"
    return f"none: {x.size:,} cells are more than {MOST_CELLS:,}" if x.size > MOST_CELLS else ""


def own_outputs(
    x: Array,
    y: npt.NDArray[Any],
    train: npt.NDArray[np.bool_],
    weights: Weights,
    loss: LossName,
    classes: int,
    folds: int,
    seed: int,
) -> Array:
    """Of the rows held out a fit to all training rows; where there are none, of each training row one without its fold.

    Args:
        x: float64 (N, p); y: int64 (N,) class codes, or float64 (N,) targets; train: mask (N,).
        weights: of the rows, (N,); None: equal.
        classes: 0 for a regression.
        folds, seed: the study's, so that the folds are those of its rounds.

    Returns:
        Probabilities (n, classes), or values (n,), of the n rows held out, or of all.
    """
    x_train, y_train = x[train], y[train]
    v = None if weights is None else weights[train]
    chance = derive_seed("own model", seed)
    if not train.all():
        return fitted(x_train, y_train, v, x[~train], loss, classes, chance)
    values = np.empty((len(x), classes) if classes else len(x))
    for held, kept in each_fold(fold_numbers(len(x), folds, seed)):
        values[held] = fitted(x[kept], y[kept], None if v is None else v[kept], x[held], loss, classes, chance)
    return values


def fitted(x: Array, y: npt.NDArray[Any], v: Weights, new: Array, loss: LossName, classes: int, seed: int) -> Array:
    """What a model of these rows, weighted by v, gives new ones: probabilities (n, classes), or values (n,).

    Equal weights are left out: with any, scikit-learn bins a column by 255 percentiles one at a time.
    """
    from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

    if not classes:
        model = HistGradientBoostingRegressor(
            loss="absolute_error" if loss == "l1" else "squared_error", random_state=seed
        )
        return np.asarray(model.fit(x, y, sample_weight=v).predict(new), dtype=np.float64)
    probabilities = np.zeros((len(new), classes))
    there = np.unique(y)
    if len(there) == 1:
        probabilities[:, there] = 1.0
        return probabilities
    fewest = int(np.bincount(y)[there].min())  # it splits off rows to stop early by, which takes two of each class
    stops = "auto" if fewest > FEWEST_TO_STOP else False
    model = HistGradientBoostingClassifier(random_state=seed, early_stopping=stops).fit(x, y, sample_weight=v)
    probabilities[:, model.classes_] = model.predict_proba(new)
    return probabilities
