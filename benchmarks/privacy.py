"""What each protection leaves to be inferred, against what could be inferred without the messages.

    python -m benchmarks.privacy --data DIR [--quick] [--repeats N] [--out FILE]

A study has a sponsor and two assistors that hold the other columns, dealt out at random. Every mode of `MODES` is run
and attacked (`secure_gal.attacks`): labels by an assistor from what it received, columns by the sponsor from fitted
values or from their weighted sums. Then three questions of their own: an assistor with a single column, weights and
learning rates, and inner products. Each repetition deals, splits, encrypts and draws known rows anew; intervals are
Student's 95% over repetitions. DIR holds fate/; wine and digits come with scikit-learn.

Sums are computed from the decrypted fitted values of the same study, with no assistor's weight below `LEAST_WEIGHT`.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table
from threadpoolctl import threadpool_limits

from benchmarks.harness import machine
from benchmarks.privacy_transcripts import PARAMETERS, Release, Transcript, load, record
from crypto.label_privacy import RandomizedResponse
from secure_gal.attacks import aggregator, columns, labels, sums
from secure_gal.attacks.finding import Finding, repeated
from secure_gal.reference import GAL

DATA = ("breast", "wine", "digits", "default_credit")
QUICK = ("breast", "wine")
REPEATS, QUICK_REPEATS = 5, 3
KNOWN_DRAWS = 2
"""Draws of known rows in each repetition; their mean counts once."""
MESSAGES_ONLY = "model on known labels, messages only"
"""With own columns a good attacker leaves ciphertexts aside; without any it must look at them."""
LEAST_WEIGHT = 0.1
"""w_min of a sum: at least two assistors take part in each."""
CIPHER_FLOOR = 1e-2
"""Directions of decrypted fitted values weaker than this are noise (`fast`: below 1e-3 of the largest residual)."""
TARGETS = 20
"""Single labels that simulation plays for."""
SIMULATED_ROUNDS = 3
SIMULATED_ROWS = 200


@dataclass(frozen=True)
class Mode:
    """One protection.

    Attributes:
        name: how tables call it.
        encrypted: residuals as ciphertexts.
        release: what the sponsor learns from instead of its labels, if anything.
        sums: the sponsor decrypts sums only; assistors receive what they receive without.
    """

    name: str
    encrypted: bool = False
    release: Release | None = None
    sums: bool = False


def respond(codes: np.ndarray, classes: int, rng: np.random.Generator, *, epsilon: float) -> np.ndarray:
    """Randomised response with seeded words, so that figures can be repeated."""
    words = rng.integers(0, 1 << 64, len(codes), dtype=np.uint64)
    return RandomizedResponse(classes, epsilon).respond(codes, words)


MODES = (
    Mode("none"),
    *(Mode(f"dp, epsilon {epsilon:g}", release=partial(respond, epsilon=epsilon)) for epsilon in (4.0, 2.0, 1.0, 0.5)),
    Mode(f"ckks ({PARAMETERS})", encrypted=True),
    Mode(f"ckks+sum ({PARAMETERS})", encrypted=True, sums=True),
)
Key = tuple[str, ...]
Scores = dict[Key, list[tuple[float, float]]]
"""(mode, attack, target, rounds, measure) to one (score, baseline) a repetition."""


def deal(x: np.ndarray, own: int, seed: int) -> list[np.ndarray]:
    """The sponsor's columns, and two assistors' halves of the others."""
    others = own + np.random.default_rng(seed).permutation(x.shape[1] - own)
    return [x[:, :own], *(x[:, half] for half in np.array_split(others, 2))]


def attack(mode: Mode, seen: Transcript, seed: int) -> list[Finding]:
    """All attacks of a mode; neither side again where the mode changes nothing for it."""
    floor = CIPHER_FLOOR if mode.encrypted else columns.FLOOR
    if mode.sums:
        return sum_attack(seen, floor, seed)
    found = label_attack(mode, seen, seed)
    return found if mode.release else [*found, *column_attack(seen, floor, seed)]


def label_attack(mode: Mode, seen: Transcript, seed: int) -> list[Finding]:
    """The first assistor against the labels of the rows that train."""
    truth, own = seen.labels[seen.train], seen.blocks[1][seen.train]
    if not mode.encrypted:
        found = labels.label_attacks(truth, seen.received, own, seed=seed, repeats=KNOWN_DRAWS)
        return [f for f in found if f.rounds in ("1", "all")]
    received = columns.stacked(seen.received)
    return [
        labels.clustering(truth, received, own, rounds="all", seed=seed),
        labels.with_known_labels(truth, received, own, seed=seed, repeats=KNOWN_DRAWS),
        labels.with_known_labels(truth, received, None, seed=seed, repeats=KNOWN_DRAWS, attack=MESSAGES_ONLY),
    ]


def column_attack(seen: Transcript, floor: float, seed: int) -> list[Finding]:
    """The sponsor against the first assistor's columns."""
    block = seen.blocks[1]
    names = [str(j) for j in range(block.shape[1])]
    return columns.column_attacks(
        block, seen.fitted[0], seen.blocks[0], names, seed=seed, repeats=KNOWN_DRAWS, floor=floor
    )


def sum_attack(seen: Transcript, floor: float, seed: int) -> list[Finding]:
    """The sponsor against all assistors' columns, from weighted sums."""
    weights = np.maximum(seen.weights, LEAST_WEIGHT)
    total = sum(share[:, None, None] * fit for share, fit in zip(weights.T, seen.fitted, strict=True))
    asked = np.zeros_like(total)
    asked[:, seen.train] = seen.residuals
    blocks = seen.blocks[1:]
    names = [[f"{m}.{j}" for j in range(block.shape[1])] for m, block in enumerate(blocks)]
    widths = [block.shape[1] + 1 for block in blocks]  # and an intercept
    return sums.sum_attacks(
        blocks, np.asarray(total), asked, weights, widths, seen.blocks[0], names, seed=seed, repeats=KNOWN_DRAWS,
        floor=floor,
    )  # fmt: skip


def one_column(x: np.ndarray, own: int, y: np.ndarray, seed: int) -> list[Finding]:
    """The sponsor against an assistor with one column, after one round in the clear."""
    column = own + int(np.random.default_rng(seed).integers(x.shape[1] - own))
    seen = record([x[:, :own], x[:, column : column + 1]], y, seed, encrypted=False, release=None, rounds=1)
    return column_attack(seen, columns.FLOOR, seed)


def small_numbers(x: np.ndarray, own: int, y: np.ndarray, seed: int) -> list[Finding]:
    """Single labels from weights times rates, and all labels from an assistor's inner products with one residual."""
    rng = np.random.default_rng(seed)
    rows = np.sort(rng.permutation(len(y))[:SIMULATED_ROWS])
    blocks, y = [block[rows] for block in deal(x, own, seed)], y[rows]
    classes = int(y.max()) + 1

    def numbers(codes: np.ndarray) -> np.ndarray:
        gal = GAL(rounds=SIMULATED_ROUNDS, validation=0.0).fit(blocks, codes)
        found = gal.ensemble_.coefficients("party-1")
        return np.append(found, np.full(SIMULATED_ROUNDS - len(found), np.nan))

    targets = rng.permutation(len(y))[:TARGETS]
    simulated = np.stack([
        [numbers(np.where(np.arange(len(y)) == i, c, y)) for c in range(classes)] for i in targets
    ])  # fmt: skip
    observed = np.stack([numbers(y)] * len(targets))
    gal = GAL(validation=0.0, rounds=1).fit(blocks, y)
    residual = gal.ensemble_.loss.residual(y, np.tile(gal.ensemble_.F0, (len(y), 1)))
    vectors = blocks[1].T
    return [
        aggregator.labels_by_simulation(y[targets], observed, simulated, seed=seed),
        aggregator.labels_from_products(y, vectors, vectors @ residual / len(y), seed=seed, knows="own columns"),
    ]


def collect(scores: Scores, mode: str, found: Iterable[Finding]) -> None:
    """Add one repetition: labels as they are; columns as their mean, and the one with the largest gain.

    The largest of many gains is above 0 even where every one is 0 on average: only the mean tells a leak from chance.
    """
    groups: dict[Key, list[Finding]] = defaultdict(list)
    for f in found:
        groups[(f.attack, f.rounds, f.measure)].append(f)
    for (name, rounds, scale), members in groups.items():
        if members[0].target in ("labels", "one label"):
            targets = {f.target: [f] for f in members}
        else:
            targets = {"mean column": members, "worst column": [max(members, key=lambda f: f.gain.value)]}
        for target, chosen in targets.items():
            pair = (float(np.mean([f.score.value for f in chosen])), float(np.mean([f.baseline.value for f in chosen])))
            scores[(mode, name, target, rounds, scale)].append(pair)


def measure(name: str, folder: Path, repeats: int) -> tuple[list[tuple[str, Finding]], dict[str, list[float]]]:
    """((mode, finding) of all modes and attacks, held-out accuracy by mode) of one data set."""
    x, own, y = load(name, folder)
    scores: Scores = defaultdict(list)
    accuracy: dict[str, list[float]] = defaultdict(list)
    for seed in range(repeats):
        blocks = deal(x, own, seed)
        transcripts: dict[tuple[bool, Release | None], Transcript] = {}
        for mode in MODES:
            study = (mode.encrypted, mode.release)
            if study not in transcripts:
                transcripts[study] = record(blocks, y, seed, encrypted=mode.encrypted, release=mode.release)
            seen = transcripts[study]
            accuracy[mode.name].append(seen.accuracy)
            collect(scores, mode.name, attack(mode, seen, seed))
        collect(scores, "none, one column", one_column(x, own, y, seed))
        collect(scores, "weights and products only", small_numbers(x, own, y, seed))
    findings = [
        (mode, repeated(scale, pairs, attack=attacker, target=target, rounds=rounds, knows="see the attack"))
        for (mode, attacker, target, rounds, scale), pairs in scores.items()
    ]
    return findings, dict(accuracy)


def show(name: str, findings: list[tuple[str, Finding]], accuracy: dict[str, list[float]]) -> None:
    """One row a mode and attack."""
    table = Table(title=f"{name}: score, baseline without the messages, gain (95% over repetitions)")
    for heading in ("mode", "accuracy", "attack", "target", "rounds", "score", "baseline", "gain"):
        table.add_column(heading)
    for mode, f in findings:
        held_out = f"{np.mean(accuracy[mode]):.3f}" if mode in accuracy else ""
        table.add_row(mode, held_out, f.attack, f.target, f.rounds, *map(str, (f.score, f.baseline, f.gain)))
    Console(file=sys.stderr, width=180).print(table)


def main() -> None:
    """Parse arguments, run, print tables to stderr and one JSON object to stdout or --out."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder of data sets (fate/)")
    parser.add_argument("--quick", action="store_true", help=f"{' and '.join(QUICK)} only, {QUICK_REPEATS} repetitions")
    parser.add_argument("--repeats", type=int, default=REPEATS, help="repetitions, at least 2")
    parser.add_argument("--out", type=Path)
    chosen = parser.parse_args()
    repeats = QUICK_REPEATS if chosen.quick else max(2, chosen.repeats)
    result: dict[str, object] = {"machine": machine(), "repetitions": repeats}
    for name in QUICK if chosen.quick else DATA:
        began = time.perf_counter()
        with threadpool_limits(1):  # these fits are so small that threads only wait for each other
            findings, accuracy = measure(name, chosen.data, repeats)
        show(name, findings, accuracy)
        result[name] = {
            "seconds": round(time.perf_counter() - began, 1),
            "accuracy": {mode: float(np.mean(values)) for mode, values in accuracy.items()},
            "findings": [{"mode": mode} | finding.row() for mode, finding in findings],
        }
    text = json.dumps(result, indent=2)
    if chosen.out:
        chosen.out.write_text(text + "\n")
    else:
        print(text)


if __name__ == "__main__":
    main()
