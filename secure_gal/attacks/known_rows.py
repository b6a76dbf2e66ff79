"""An attacker who knows the truth of some rows, and the models it learns from them.

Known rows are a tenth of all, at most MOST_KNOWN, and at least two a class. Unknown rows are scored. Models and designs
are picked by cross-validation on known rows only, so that messages which say nothing cost the attacker nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from secure_gal.attacks.finding import Array

if TYPE_CHECKING:
    from sklearn.base import ClassifierMixin

KNOWN_SHARE = 0.1
MOST_KNOWN = 500
MOST_SCORED = 5000
"""Unknown rows that are scored; a standard error of 0.007 is then small beside what differs from draw to draw."""
FOLDS = 3
TREES = 40
PENALTIES = np.logspace(-6, 4, 21)
"""Ridge penalties on standardised columns."""


@dataclass(frozen=True)
class Draw:
    """Row numbers that the attacker knows, and those it is scored on."""

    known: npt.NDArray[np.int64]
    unknown: npt.NDArray[np.int64]
    seed: int


def draws(truth: npt.NDArray[Any], repeats: int, seed: int) -> list[Draw]:
    """Independent draws of known rows; stratified where `truth` (N,) is class codes."""
    found = []
    for i in range(repeats):
        rng = np.random.default_rng([seed, i])
        known = np.sort(_known(truth, rng))
        unknown = rng.permutation(np.setdiff1d(np.arange(len(truth)), known))[:MOST_SCORED]
        found.append(Draw(known, np.sort(unknown), i))
    return found


def _known(truth: npt.NDArray[Any], rng: np.random.Generator) -> npt.NDArray[np.int64]:
    share = min(KNOWN_SHARE, MOST_KNOWN / len(truth))
    if not np.issubdtype(truth.dtype, np.integer):
        return rng.permutation(len(truth))[: max(2, round(share * len(truth)))]
    groups = [rng.permutation(np.flatnonzero(truth == c)) for c in np.unique(truth)]
    return np.concatenate([group[: min(max(2, round(share * len(group))), len(group) - 1)] for group in groups])


def _designs(own: Array | None, received: Array) -> list[tuple[Array, bool]]:
    """Columns (N, d) that a model may use, and whether they hold messages."""
    if own is None:
        return [(received, True)]
    return [(np.hstack([own, received]), True), (received, True), (own, False)]


def fit_classes(
    own: Array | None, received: Array, truth: npt.NDArray[Any], draw: Draw
) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
    """Guessed classes of the unknown rows, with and without messages.

    The best of logistic regression and random trees on any columns, or on own columns; the commonest class where there
    are none.
    """
    y = truth[draw.known]
    choices = [(maker, x, uses) for x, uses in _designs(own, received) if x.shape[1] for maker in (_logistic, _trees)]
    scores = [_cross_validated(maker(draw.seed), x[draw.known], y, draw.seed) for maker, x, _ in choices]

    def guess(allowed: list[int]) -> npt.NDArray[Any]:
        if not allowed:
            return np.full(len(draw.unknown), np.bincount(y).argmax())
        maker, x, _ = choices[max(allowed, key=lambda i: scores[i])]
        return np.asarray(maker(draw.seed).fit(x[draw.known], y).predict(x[draw.unknown]))

    every = list(range(len(choices)))
    return guess(every), guess([i for i in every if not choices[i][2]])


def _logistic(_: int) -> ClassifierMixin:
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    return make_pipeline(StandardScaler(), LogisticRegression(class_weight="balanced", max_iter=500))


def _trees(seed: int) -> ClassifierMixin:
    from sklearn.ensemble import ExtraTreesClassifier

    return ExtraTreesClassifier(TREES, class_weight="balanced", min_samples_leaf=2, random_state=seed)


def _cross_validated(model: ClassifierMixin, x: Array, y: npt.NDArray[Any], seed: int) -> float:
    from sklearn.model_selection import StratifiedKFold, cross_val_score

    rarest = int(np.unique(y, return_counts=True)[1].min())
    if rarest < 2:
        return 0.0  # a class known from one row: no fold can hold it out, so the first choice is taken
    folds = StratifiedKFold(min(FOLDS, rarest), shuffle=True, random_state=seed)
    return float(np.mean(cross_val_score(model, x, y, cv=folds, scoring="balanced_accuracy")))


def fit_values(own: Array | None, received: Array, truth: npt.NDArray[Any], draw: Draw) -> tuple[Array, Array]:
    """Guessed values of the unknown rows, with and without messages, in the shape of truth, (N,) or (N, q).

    The mean of the known rows, or ridge regression on the columns with the least leave-one-out error; each target
    picks its own.
    """
    targets = truth.reshape(len(truth), -1).astype(np.float64)
    known, shape = targets[draw.known], (len(draw.unknown), *truth.shape[1:])
    error = known.var(axis=0) * (len(known) / (len(known) - 1)) ** 2  # of the mean, each row left out of its own
    guess, errors = [np.tile(known.mean(axis=0), (len(draw.unknown), 1)) for _ in range(2)], [error, error.copy()]
    for x, uses_messages in _designs(own, received):
        if not x.shape[1]:
            continue
        predicted, error = _ridge(x, known, draw)
        for i in (0,) if uses_messages else (0, 1):
            better = error < errors[i]
            guess[i][:, better], errors[i][better] = predicted[:, better], error[better]
    return guess[0].reshape(shape), guess[1].reshape(shape)


def _ridge(x: Array, known: Array, draw: Draw) -> tuple[Array, Array]:
    """(guesses (n_unknown, q), mean squared leave-one-out errors (q,)) with the best penalty for each target."""
    from sklearn.linear_model import RidgeCV

    mean, spread = x[draw.known].mean(axis=0), x[draw.known].std(axis=0)
    z = (x - mean) / np.where(spread > 0, spread, 1.0)
    model = RidgeCV(alphas=PENALTIES, alpha_per_target=True).fit(z[draw.known], known)
    predicted = model.predict(z[draw.unknown]).reshape(len(draw.unknown), -1)
    return predicted, -np.atleast_1d(model.best_score_)
