"""What a few numbers a round say about labels: weights and learning rates, an aggregator's weights, inner products.

Weights and rates play for one unknown label at a time with all else known, the adversary of differential privacy.
"""

from __future__ import annotations

import numpy as np

from benchmarks.privacy_data import Array, People, Source, people
from benchmarks.privacy_sums import record_sums
from benchmarks.privacy_transcripts import local, names, new_ensemble
from secure_gal.attacks import aggregator
from secure_gal.attacks.finding import Finding
from secure_gal.protection.sums.weights import commit_in_the_clear

TARGETS = 12
"""Single labels that are played for in a repetition."""
ROUNDS = 3
MOST_PEOPLE = 250
"""People in such a study, 160 of whom train: every value of every target is a study of its own."""


def on_numbers(source: Source, seed: int) -> dict[str, list[Finding]]:
    """Findings by mode: an assistor's learning rates times weights, and its inner products; the aggregator's
    weights."""
    dealt = people(source, seed, most=MOST_PEOPLE)
    targets = np.random.default_rng(seed).permutation(np.flatnonzero(dealt.train))[:TARGETS]
    truth = dealt.y[targets]

    def simulated(summed: bool) -> Array:
        """(S, C, J): the numbers with each target at each class."""
        every = np.arange(len(dealt.y))
        return np.stack(
            [[numbers(dealt, np.where(every == i, c, dealt.y), summed) for c in range(source.classes)] for i in targets]
        )

    clear = np.stack([numbers(dealt, dealt.y, False)] * TARGETS)
    received = _padded(record_sums(dealt, rounds=ROUNDS, listen=False).weights)
    residual, vectors = new_ensemble(dealt, dealt.training(), 1).residual(), dealt.blocks[1][dealt.train].T
    return {
        "none, small numbers only": [
            aggregator.labels_by_simulation(truth, clear, simulated(False), seed=seed),
            aggregator.labels_from_products(
                dealt.y[dealt.train], vectors, vectors @ residual / len(residual), seed=seed, knows="own columns"
            ),
        ],
        "ckks+sum, aggregator": [
            aggregator.labels_by_simulation(
                truth, np.stack([received] * TARGETS), simulated(True), seed=seed, attack="simulation of weights"
            )
        ],
    }


def numbers(dealt: People, labels: Array, summed: bool) -> Array:
    """By round, in the clear: eta^t w^t of the first assistor, or with sums the weights of all assistors."""
    ensemble = new_ensemble(dealt, dealt.training(labels), ROUNDS)
    parties = [local(dealt, m) for m in range(len(dealt.blocks))]
    while len(ensemble.history) < ROUNDS and (summed or not ensemble.finished):
        residual, round_ = ensemble.residual(), len(ensemble.history) + 1
        fits = {name: p.fit_round(round_, residual) for name, p in zip(names(dealt), parties, strict=True)}
        if summed:
            commit_in_the_clear(ensemble, fits, dealt.train, names(dealt)[1:])
        else:
            ensemble.commit(fits)
    if summed:
        return _padded(np.array([[r.weights[name] for name in names(dealt)[1:]] for r in ensemble.history]))
    return _padded(ensemble.coefficients(names(dealt)[1])[:, None])


def _padded(rows: Array) -> Array:
    """(T, q) to (ROUNDS * q,), nan where a study ended sooner."""
    out = np.full((ROUNDS, rows.shape[1]), np.nan)
    out[: len(rows)] = rows
    return out.ravel()
