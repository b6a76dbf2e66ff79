"""The sponsor against all assistors from weighted sums: what "sum only" leaves after many rounds.

With fixed features assistor m's fit is one symmetric matrix, f_m^t = H_m r^t, H_m = U_m U_m' of rank p_m. The sponsor
chose r^t and w^t and sees s^t = sum_m w_m^t H_m r^t. All sums lie in the space of all columns, of dimension
P = sum_m p_m, and span it once T*K >= P. With B a basis of it, H_m = B Q_m B', and each round is linear in the unknown
(P, P) matrices:

    B's^t = sum_m w_m^t Q_m (B'r^t).

That is T*K*P equations in at most M*P*(P+1)/2 unknowns, fewer because Q_m = C_m C_m' has rank p_m. Below T*K = P the
space is known only in part, and so is what is found. (Linear measurements of a low-rank matrix: Burer and Monteiro
2003, Mathematical Programming 95, for the factorised form.)
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from secure_gal.attacks.columns import FLOOR, blind, column_space, stacked, with_known_rows
from secure_gal.attacks.finding import Array, Finding
from secure_gal.attacks.labels import REPEATS

MOST_COLUMNS = 24
"""Largest dimension of the joint space that is solved for: at 24 two parties have 600 unknowns. Beyond it, only what
regression on known rows finds in the sums is reported."""
STARTS = 4
"""Starts of the factorised fit: the linear solution, then random ones."""


def exposure(rounds: int, outputs: int, widths: Sequence[int]) -> float:
    """T*K / sum p_m: near 1 and above, sums give the assistors' column spaces away."""
    return rounds * outputs / sum(widths)


def sum_attacks(
    columns: Sequence[Array],
    sums: npt.NDArray[Any],
    residuals: npt.NDArray[Any],
    weights: Array,
    widths: Sequence[int],
    own: Array | None,
    names: Sequence[Sequence[str]],
    *,
    seed: int,
    repeats: int = REPEATS,
    floor: float = FLOOR,
) -> list[Finding]:
    """Every assistor's columns from sums: blindly, inside its own recovered space, and by regression on known rows.

    Args:
        columns: by assistor the truth, (N, q_m), with names.
        sums: s^t without the sponsor's own part, (T, N, K).
        residuals: r^t, (T, N, K), 0 in rows that do not train.
        weights: w_m^t, (T, M).
        widths: p_m, features of each assistor's map.
        own: the sponsor's own columns (N, q), or None.
        floor: what counts as rounding in sums, see `columns.FLOOR`.
    """
    joint = column_space(stacked(sums), floor=floor)
    spaces = (
        recover_spaces(sums, residuals, weights, widths, seed=seed, floor=floor)
        if sum(widths) <= MOST_COLUMNS
        else None
    )
    findings = []
    for m, (truth, labels) in enumerate(zip(columns, names, strict=True)):
        if spaces is not None:
            space = column_space(spaces[m])
            findings += blind(truth, space, own, labels, seed=seed, attack="spaces from sums, independent components")
        findings += with_known_rows(
            truth, joint, own, labels, seed=seed, repeats=repeats, attack="regression on sums, known rows"
        )
    return findings


def recover_spaces(
    sums: npt.NDArray[Any],
    residuals: npt.NDArray[Any],
    weights: Array,
    widths: Sequence[int],
    *,
    seed: int,
    floor: float = FLOOR,
) -> list[Array]:
    """U_m up to rotation, (N, min(p_m, d)) an assistor, from T rounds; arguments as for `sum_attacks`."""
    outputs = sums.shape[2]
    vectors = stacked(sums)
    basis = column_space(vectors, centred=False, floor=floor)[:, : sum(widths)]
    scale = np.linalg.norm(vectors, axis=0)
    scale[scale == 0] = 1.0
    seen = basis.T @ vectors / scale
    asked = basis.T @ stacked(residuals) / scale
    shares = np.repeat(weights.astype(np.float64), outputs, axis=0)
    ranks = [min(p, basis.shape[1]) for p in widths]
    start = _linear(seen, asked, shares)
    factors = _factorised(seen, asked, shares, ranks, start, np.random.default_rng(seed))
    return [basis @ c for c in factors]


def _linear(seen: Array, asked: Array, shares: Array) -> list[Array]:
    """Symmetric Q_m (d, d) of least norm that meet seen = sum_m w_m Q_m asked; columns are rounds and outputs."""
    d, m = len(seen), shares.shape[1]
    i, j = np.triu_indices(d)
    # Column (m, i <= j) of the system: w_m (e_i asked_j + e_j asked_i), once where i = j.
    design = np.zeros((seen.shape[1], d, m, len(i)))
    k = np.arange(len(i))
    for party in range(m):
        weighted = asked * shares[:, party]
        design[:, i, party, k] += weighted[j].T
        off = i != j
        design[:, j[off], party, k[off]] += weighted[i[off]].T
    solution = np.linalg.lstsq(design.reshape(-1, m * len(i)), seen.T.ravel(), rcond=1e-10)[0].reshape(m, -1)
    out = []
    for party in range(m):
        q = np.zeros((d, d))
        q[i, j] = q[j, i] = solution[party]
        out.append(q)
    return out


def _factorised(
    seen: Array, asked: Array, shares: Array, ranks: Sequence[int], start: Sequence[Array], rng: np.random.Generator
) -> list[Array]:
    """C_m (d, p_m) with the least sum of squares of seen - sum_m w_m C_m C_m' asked, from several starts."""
    from scipy.optimize import least_squares

    d = len(seen)
    cuts = np.cumsum([d * p for p in ranks])[:-1]

    def split(flat: Array) -> list[Array]:
        return [part.reshape(d, -1) for part in np.split(flat, cuts)]

    def left(flat: Array) -> Array:
        total = sum(c @ (c.T @ asked) * shares[:, m] for m, c in enumerate(split(flat)))
        return np.asarray((total - seen).ravel())

    def slope(flat: Array) -> Array:
        blocks = []
        for m, c in enumerate(split(flat)):
            inner, weighted = c.T @ asked, asked * shares[:, m]
            block = np.einsum("ai,jt->atij", np.eye(d), inner * shares[:, m]) + np.einsum("aj,it->atij", c, weighted)
            blocks.append(block.reshape(d * seen.shape[1], -1))
        return np.hstack(blocks)

    starts = [np.concatenate([_root(q, p).ravel() for q, p in zip(start, ranks, strict=True)])]
    starts += [0.5 * rng.standard_normal(sum(d * p for p in ranks)) / np.sqrt(d) for _ in range(STARTS - 1)]
    fits = [least_squares(left, s, jac=slope, x_scale=1.0, max_nfev=100, ftol=1e-12, xtol=1e-12) for s in starts]
    return split(min(fits, key=lambda fit: float(fit.cost)).x)


def _root(q: Array, rank: int) -> Array:
    """C (d, rank) with C C' the nearest matrix of this rank to q that has no negative eigenvalue."""
    values, vectors = np.linalg.eigh(q)
    top = np.argsort(values)[::-1][:rank]
    return np.asarray(vectors[:, top] * np.sqrt(np.maximum(values[top], 1e-6)))
