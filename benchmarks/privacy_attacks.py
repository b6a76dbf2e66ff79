"""Which attacks a transcript is put through, and by whom."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from benchmarks.privacy_data import Array, People
from benchmarks.privacy_sums import SumTranscript
from benchmarks.privacy_transcripts import Transcript
from crypto.interval_privacy import IntervalMechanism
from secure_gal.attacks import columns, labels, sums
from secure_gal.attacks.finding import Finding, resampled

KNOWN_DRAWS = 1
"""Draws of known rows in each repetition, which itself deals and splits anew."""
MESSAGES_ONLY = "model on known labels, messages only"
"""With own columns a good attacker leaves ciphertexts aside; without any it must look at them."""
SPAN = "share of the columns inside the recovered space"
CIPHER_FLOOR = 1e-2
"""Directions of decrypted fitted values weaker than this are noise (`standard`: below 1e-3 of the largest residual)."""
CLEAR_FLOORS = (columns.FLOOR, 0.03, 0.1)
"""In the clear weak directions are exact, but may mislead an attacker who knows few rows: on digits some pixels are 0
in all of these."""


def on_residuals(seen: Transcript) -> list[Finding]:
    """The first assistor against the labels, from residuals that it can read, whole or spoilt."""
    truth, own, seed = _truth(seen.people), _own(seen.people), seen.people.seed
    return [
        *labels.label_attacks(truth, seen.received, own, seed=seed, repeats=KNOWN_DRAWS),
        labels.with_known_labels(
            truth, seen.received[0].astype(np.float64), own, seed=seed, rounds="1", repeats=KNOWN_DRAWS
        ),
    ]


def on_ciphertexts(people: People, received: Array, who: str = "") -> list[Finding]:
    """The first assistor against the labels, from numbers (T, N_train, d) of ciphertexts; `who` ends attacks' names."""
    truth, own, seed, repeats = _truth(people), _own(people), people.seed, KNOWN_DRAWS
    every = columns.stacked(received)

    def model(known: Array, own: Array | None, attack: str, rounds: str) -> Finding:
        return labels.with_known_labels(
            truth, known, own, seed=seed, rounds=rounds, repeats=repeats, attack=attack + who
        )

    return [
        labels.clustering(truth, every, own, rounds="all", seed=seed),
        model(received[0], own, "model on known labels", "1"),
        model(every, own, "model on known labels", "all"),
        model(every, None, MESSAGES_ONLY, "all"),
    ]


def on_other_columns(seen: SumTranscript) -> list[Finding]:
    """The aggregator against the other assistor's columns, from the ciphertexts of its fits and of everything else."""
    people, train = seen.people, seen.people.train
    return columns.with_known_rows(
        people.blocks[2][train],
        columns.stacked(seen.aggregator),
        people.blocks[1][train],
        people.names[1],
        seed=people.seed,
        repeats=KNOWN_DRAWS,
        attack="regression on known rows, aggregator",
    )


def on_fitted(seen: Transcript, *, floors: Sequence[float] = CLEAR_FLOORS, noise: float | None = None) -> list[Finding]:
    """The sponsor against every assistor's columns, from fitted values as it reads them.

    Every space below is tried, and the one that does best on columns is reported, with the truth in hand, which favours
    the attacker.

    Args:
        floors: one space each, without weaker directions.
        noise: standard deviation of the noise on fitted values, for a space of what is stronger than it.
    """
    people, found = seen.people, list[Finding]()
    for block, fitted, names in zip(people.blocks[1:], seen.fitted, people.names, strict=True):
        vectors = columns.stacked(fitted)
        spaces = [columns.column_space(vectors, floor=floor) for floor in floors]
        if noise is not None:
            spaces.append(above_noise(vectors, noise))
        tried = [
            columns.with_known_rows(block, space, people.blocks[0], names, seed=people.seed, repeats=KNOWN_DRAWS)
            for space in spaces
        ]
        best = int(np.argmax([np.mean([f.score.value for f in findings]) for findings in tried]))
        found += [
            *tried[best],
            *columns.blind(block, spaces[best], people.blocks[0], names, seed=people.seed),
            *in_space(block, spaces[best], people.blocks[0], names, people.seed),
        ]
    return found


def above_noise(vectors: Array, noise: float) -> Array:
    """Directions of vectors (N, v) that are stronger than noise of this deviation alone could be, at least one.

    The largest singular value of (N, v) independent noise is near noise * (sqrt(N) + sqrt(v)).
    """
    x = vectors - vectors.mean(axis=0)
    left, values, _ = np.linalg.svd(x, full_matrices=False)
    edge = noise * (np.sqrt(x.shape[0]) + np.sqrt(x.shape[1]))
    return left[:, : max(1, int(np.sum(values > edge)))]


def on_sums(seen: SumTranscript) -> list[Finding]:
    """The sponsor against all assistors' columns, from the weighted sums of all rounds."""
    people = seen.people
    asked = np.zeros_like(seen.sums)
    asked[:, people.train] = seen.residuals
    joint = columns.column_space(columns.stacked(seen.sums), floor=CIPHER_FLOOR)
    found = sums.sum_attacks(
        people.blocks[1:],
        seen.sums,
        asked,
        seen.weights,
        seen.widths,
        people.blocks[0],
        people.names,
        seed=people.seed,
        repeats=KNOWN_DRAWS,
        floor=CIPHER_FLOOR,
    )
    for block, names in zip(people.blocks[1:], people.names, strict=True):
        found += in_space(block, joint, people.blocks[0], names, people.seed)
    return found


def in_space(block: Array, space: Array, own: Array, names: Sequence[str], seed: int) -> list[Finding]:
    """How much of each column (N, p) lies in a space (N, d) and the sponsor's own columns, against these alone.

    Coefficients come from one half of the rows with the truth in hand, so this is what a perfect attack inside the
    space would get; scored on the other half.
    """
    half = np.random.default_rng(seed).permutation(len(block)) < len(block) // 2

    def inside(x: Array) -> Array:
        design = np.column_stack([np.ones(len(x)), x])
        guess: Array = design[~half] @ np.linalg.lstsq(design[half], block[half], rcond=1e-9)[0]
        return guess

    truth, guess, without = block[~half], inside(np.hstack([own, space])), inside(own)
    return [
        resampled(
            "R2",
            truth[:, j],
            guess[:, j],
            without[:, j],
            seed=seed,
            attack=SPAN,
            target=name,
            rounds="all",
            knows="half of the rows",
        )
        for j, name in enumerate(names)
    ]


def on_code_reports(people: People) -> list[Finding]:
    """What one report of interval privacy on class codes 0..K-1 says: the code nearest the middle of what is possible.

    The product refuses this. With two classes every report has one possible code.
    """
    truth, rng = _truth(people), np.random.default_rng([people.seed, 2])
    top = int(people.y.max())
    words = rng.integers(0, 1 << 64, len(truth), dtype=np.uint64)
    low, high = IntervalMechanism(0.0, float(top)).respond(truth.astype(np.float64), words).bounds
    guess = np.rint((np.ceil(low) + np.floor(high)) / 2).astype(np.int64)
    without = np.full_like(truth, labels.commonest(truth))
    return [
        resampled(
            "balanced accuracy",
            truth,
            guess,
            without,
            seed=people.seed,
            attack="codes that a report leaves",
            target="labels",
            rounds="1",
            knows="nothing",
        )
    ]


def _truth(people: People) -> Array:
    return people.y[people.train]


def _own(people: People) -> Array:
    return people.blocks[1][people.train]
