"""Feature inference by the sponsor from an assistor's fitted values.

Fitted values of a linear model, f^t = X (X'X + N lambda I)^-1 X' r^t, lie in the column space of its features.
One column is received up to scale in round 1, the space of p columns after about p/K rounds. Inside the space, columns
are told apart blindly, by independent component analysis (Hyvarinen and Oja 2000, Neural Networks 13), or by
regression on rows whose values the sponsor happens to know.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from secure_gal.attacks.finding import Array, Finding, r2, repeated, resampled, squared_correlation
from secure_gal.attacks.known_rows import draws, fit_values
from secure_gal.attacks.labels import REPEATS

FLOOR = 1e-5
"""Directions weaker than this share of the strongest are rounding: fitted values travel as float32 (2^-24 = 6e-8).
Where they come out of ciphertexts, the sponsor knows their error and takes a higher floor."""
MOST_COMPONENTS = 64
"""Components that are told apart blindly; the time grows with the cube."""
ROWS = 20_000
"""Rows from which components are learnt and on which they are scored."""


def column_attacks(
    columns: Array,
    fitted: npt.NDArray[Any],
    own: Array | None,
    names: Sequence[str],
    *,
    seed: int,
    repeats: int = REPEATS,
    floor: float = FLOOR,
) -> list[Finding]:
    """Both attacks on every column of one assistor.

    Args:
        columns: the truth, (N, p), one name each.
        fitted: as received, (T, N, K); after decryption where they travelled encrypted.
        own: the sponsor's own columns (N, q), or None.
        floor: what counts as rounding, see `FLOOR`.
    """
    space = column_space(stacked(fitted), floor=floor)
    return [
        *blind(columns, space, own, names, seed=seed),
        *with_known_rows(columns, space, own, names, seed=seed, repeats=repeats),
    ]


def stacked(values: npt.NDArray[Any]) -> Array:
    """(T, N, K) over rounds to (N, T*K)."""
    return np.concatenate(list(values), axis=1).astype(np.float64)


def column_space(vectors: Array, *, centred: bool = True, floor: float = FLOOR) -> Array:
    """An orthonormal basis (N, d) of the space that vectors (N, v) span, strongest direction first.

    Every vector is scaled to length 1 first: late rounds are small, and as precise as early ones. d is the number of
    features that the assistor has shown so far.
    """
    x = vectors - vectors.mean(axis=0) if centred else vectors
    lengths = np.linalg.norm(x, axis=0)
    x = x[:, lengths > 0] / lengths[lengths > 0]
    if not x.shape[1]:
        return np.zeros((len(x), 0))
    left, values, _ = np.linalg.svd(x, full_matrices=False)
    return np.asarray(left[:, values > floor * values[0]])


def blind(
    columns: Array,
    space: Array,
    own: Array | None,
    names: Sequence[str],
    *,
    seed: int,
    rounds: str = "all",
    attack: str = "independent components",
) -> list[Finding]:
    """Recover columns up to order, sign, scale and offset, knowing nothing; space (N, d) is `column_space`.

    Components have no names and no sign: both are given on one half of the rows, so that the squared correlations add
    up to the most, and scored on the other. The baseline names the sponsor's own columns in the same way; 0 without.
    """
    rows = np.random.default_rng(seed).permutation(len(columns))[:ROWS]
    truth, naming = columns[rows], np.arange(len(rows)) < len(rows) // 2
    guess = _matched(truth, _components(space[rows], seed), naming)[~naming]
    without = _matched(truth, np.zeros((len(rows), 0)) if own is None else own[rows], naming)[~naming]
    return [
        resampled(
            "squared correlation",
            truth[~naming, j],
            guess[:, j],
            without[:, j],
            seed=seed,
            attack=attack,
            target=name,
            rounds=rounds,
            knows="names and signs of components",
        )
        for j, name in enumerate(names)
    ]


def _components(space: Array, seed: int) -> Array:
    """Independent components (n, d) of a space; the space itself where it is a line."""
    from sklearn.decomposition import FastICA
    from sklearn.exceptions import ConvergenceWarning

    space = space[:, :MOST_COMPONENTS]
    if space.shape[1] < 2:
        return space
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # components that did not settle are still guesses
        ica = FastICA(whiten="unit-variance", max_iter=500, tol=1e-3, random_state=seed)
        return np.asarray(ica.fit_transform(space))


def _matched(truth: Array, guesses: Array, naming: npt.NDArray[np.bool_]) -> Array:
    """For each column of truth one of guesses and its sign, by `naming` rows; zeros where there are too few."""
    from scipy.optimize import linear_sum_assignment

    out = np.zeros_like(truth)
    if guesses.shape[1]:
        a, b = truth[naming], guesses[naming]
        table = np.array([[squared_correlation(x, g) for g in b.T] for x in a.T])
        columns, chosen = linear_sum_assignment(-np.abs(table))
        out[:, columns] = guesses[:, chosen] * np.sign(table[columns, chosen])
    return out


def with_known_rows(
    columns: Array,
    space: Array,
    own: Array | None,
    names: Sequence[str],
    *,
    seed: int,
    repeats: int = REPEATS,
    rounds: str = "all",
    attack: str = "regression on known rows",
) -> list[Finding]:
    """Reconstruct columns on rows held out, where the sponsor knows the values of a tenth of the rows (`known_rows`).

    Score: ridge on own columns and the space, on either, or the mean, whichever does best on known rows. Baseline: the
    same without the space.
    """
    pairs: list[list[tuple[float, float]]] = [[] for _ in names]
    plan = draws(columns.astype(np.float64), repeats, seed)
    for draw in plan:
        guess, without = fit_values(own, space, columns, draw)
        truth = columns[draw.unknown]
        for j, column in enumerate(pairs):
            column.append((r2(truth[:, j], guess[:, j]), r2(truth[:, j], without[:, j])))
    knows = f"{len(plan[0].known)} rows" + ("" if own is None else ", own columns")
    return [
        repeated("R2", column, attack=attack, target=name, rounds=rounds, knows=knows)
        for name, column in zip(names, pairs, strict=True)
    ]
