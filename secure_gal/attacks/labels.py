"""Label inference by an assistor, from residuals or from anything else that it received with a row a person.

The cross-entropy residual onehot(y) - softmax(F) (GAL, section 3) is positive in the label's entry and negative in all
others, in every round: its sign is the label. What is left of that after protection is what these attacks measure.
Class labels are int codes (N,) from 0, with residuals (T, N, 1) for two classes and (T, N, K) for K; float labels (N,)
are regression targets.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from secure_gal.attacks.finding import Array, Finding, balanced_accuracy, r2, repeated, resampled
from secure_gal.attacks.known_rows import draws, fit_classes, fit_values

Labels = npt.NDArray[Any]
CLUSTER_ROWS = 20_000
"""Rows that clustering looks at; more would only cost time."""
REPEATS = 10
"""Draws of which rows the attacker knows."""


def commonest(labels: Labels) -> int:
    """The class to say of everyone without messages; its balanced accuracy is 1 over the classes that occur."""
    return int(np.bincount(labels).argmax())


def is_classes(labels: Labels) -> bool:
    """Whether labels are class codes; float labels are regression targets."""
    return bool(np.issubdtype(labels.dtype, np.integer))


def label_attacks(
    labels: Labels, residuals: npt.NDArray[Any], own: Array | None, *, seed: int, repeats: int = REPEATS
) -> list[Finding]:
    """Every attack on residuals: their sign or value in each round and over all, clusters, and a calibrated model.

    Args:
        labels: the truth of the rows that train, (N,).
        residuals: as received, (T, N, K).
        own: the attacker's own columns (N, p), or None.
    """
    received = np.concatenate(list(residuals), axis=1).astype(np.float64)
    findings = direct(labels, residuals, seed=seed)
    if is_classes(labels):
        findings.append(clustering(labels, residuals[0].astype(np.float64), own, rounds="1", seed=seed))
        findings.append(clustering(labels, received, own, rounds="all", seed=seed))
    findings.append(with_known_labels(labels, received, own, seed=seed, repeats=repeats))
    return findings


def direct(labels: Labels, residuals: npt.NDArray[Any], *, seed: int) -> list[Finding]:
    """Read the label off the residual: its sign, its largest entry, or its value; each round, and their mean.

    Without messages the best that one can say of every row is the same thing.
    """
    classes = is_classes(labels)
    attack = "sign of the residual" if classes else "value of the residual"
    measure = "balanced accuracy" if classes else "squared correlation"
    constant = np.full(len(labels), commonest(labels) if classes else 0.0, dtype=labels.dtype)
    findings = []
    for number, residual in [*enumerate(residuals, start=1), ("all", residuals.mean(axis=0))]:
        guess = _read(residual, classes)
        findings.append(
            resampled(
                measure,
                labels,
                guess,
                constant,
                seed=seed,
                attack=attack,
                target="labels",
                rounds=str(number),
                knows="nothing",
            )
        )
    return findings


def _read(residual: npt.NDArray[Any], classes: bool) -> npt.NDArray[Any]:
    if not classes:
        return residual[:, 0].astype(np.float64)
    return (residual[:, 0] > 0).astype(np.int64) if residual.shape[1] == 1 else residual.argmax(axis=1)


def clustering(labels: Labels, received: Array, own: Array | None, *, rounds: str, seed: int) -> Finding:
    """Group people by what was received, (N, d), and by own columns alone; k-means with one cluster a class.

    Clusters have no names: each gets the class that fits best on one half of the rows, and is scored on the other.
    Without own columns the baseline says the same of everyone.
    """
    rows = np.random.default_rng(seed).permutation(len(labels))[:CLUSTER_ROWS]
    truth, count = labels[rows], int(labels.max()) + 1
    naming = np.arange(len(rows)) < len(rows) // 2
    guess = _named(truth, _clusters(received[rows], count, seed), count, naming)
    same = np.zeros(len(rows), dtype=np.int64)
    without = _named(truth, same if own is None else _clusters(own[rows], count, seed), count, naming)
    return resampled(
        "balanced accuracy",
        truth[~naming],
        guess[~naming],
        without[~naming],
        seed=seed,
        attack="clusters of what was received",
        target="labels",
        rounds=rounds,
        knows="names of clusters",
    )


def _clusters(x: Array, count: int, seed: int) -> npt.NDArray[Any]:
    from sklearn.cluster import KMeans

    spread = x.std(axis=0)
    scaled = (x - x.mean(axis=0)) / np.where(spread > 0, spread, 1.0)
    if len(np.unique(scaled, axis=0)) < count:
        return np.zeros(len(x), dtype=np.int64)
    return np.asarray(KMeans(count, n_init=10, random_state=seed).fit_predict(scaled))


def _named(truth: Labels, clusters: npt.NDArray[Any], count: int, naming: npt.NDArray[np.bool_]) -> npt.NDArray[Any]:
    """Clusters as classes: the assignment with the best balanced accuracy on `naming` rows (Hungarian method)."""
    from scipy.optimize import linear_sum_assignment

    table = np.zeros((count, count))
    np.add.at(table, (clusters[naming], truth[naming]), 1.0)
    recall = table / np.maximum(table.sum(axis=0), 1.0)
    _, names = linear_sum_assignment(-recall)
    return np.asarray(names[clusters])


def with_known_labels(
    labels: Labels,
    received: Array,
    own: Array | None,
    *,
    seed: int,
    rounds: str = "all",
    repeats: int = REPEATS,
    attack: str = "model on known labels",
) -> Finding:
    """A model for the other labels from own columns and everything received, where some people's labels are known.

    The attacker knows a tenth of the labels (`known_rows`). It picks its model, and whether to use the messages at
    all, by cross-validation on these; the baseline picks among models on own columns. Scored on unknown rows.
    """
    fit = fit_classes if is_classes(labels) else fit_values
    score = balanced_accuracy if is_classes(labels) else r2
    plan, pairs = draws(labels, repeats, seed), []
    for draw in plan:
        truth = labels[draw.unknown]
        guess, without = fit(own, received, labels, draw)
        pairs.append((score(truth, guess), score(truth, without)))
    return repeated(
        "balanced accuracy" if is_classes(labels) else "R2",
        pairs,
        attack=attack,
        target="labels",
        rounds=rounds,
        knows=f"{len(plan[0].known)} labels" + ("" if own is None else ", own columns"),
    )
