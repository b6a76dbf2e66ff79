"""What each protection leaves to be inferred, against what could be inferred without the messages, and what it costs.

    python -m benchmarks.privacy --data DIR [--quick] [--repeats N] [--out FILE]

A study has a sponsor and two assistors that hold the other columns, dealt out at random. Every mode is run and attacked
(`secure_gal.attacks`): labels by an assistor or the aggregator, columns by the sponsor. Classification sets go through
all modes, regression sets through those that protect labels. `dp` and `ip` learn as a study does, from labels released
once and with the loss that corrects for it; ciphertexts, sums and inner products are real ones. Modes named "paper's"
are the GAL paper's heuristics, in no study to be had: they spoil each round's residuals and guarantee nothing.

Each repetition deals, splits, encrypts and draws known rows anew; intervals are Student's 95% over repetitions. Seeds
fix splits, releases and heuristics; noise on fitted values and ciphertexts come from the operating system. Of
default_credit each repetition takes 10,000 people. DIR holds fate/; the other sets come with scikit-learn.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from rich.console import Console
from threadpoolctl import threadpool_limits

from benchmarks import privacy_attacks as attacks
from benchmarks.harness import machine
from benchmarks.paper_noise import quantile_clipped_laplace, quantile_intervals
from benchmarks.privacy_data import CLASSES, RANGES, REGRESSION, Array, People, Source, load, people
from benchmarks.privacy_numbers import on_numbers
from benchmarks.privacy_report import Report, as_json
from benchmarks.privacy_sums import record_sums
from benchmarks.privacy_transcripts import PARAMETERS, ROUNDS, Spoil, record_clear, record_encrypted
from secure_gal.attacks import columns
from secure_gal.attacks.finding import Finding
from secure_gal.labels.schemes import ClassResponse, RangeInterval, RangeResponse, Training

EPSILONS = (4.0, 2.0, 1.0, 0.5)
NOISES = (0.03, 0.1, 0.3, 1.0)
"""`[protect] noise`, in the unit of the residual, at most about 1 in size."""
ALPHAS = (4.0, 1.0)
REPEATS = 3
QUICK = ("breast", "diabetes")
SUM_ROUNDS = {"digits": 5}
"""Rounds of sums where ten would take minutes a repetition; ten outputs a round reach all features in five."""
FEW_SUMS = 5
"""Sums of assistors with one column each: rounds times outputs, at least."""
Outcome = tuple[list[Finding], dict[str, float]]
"""Findings, and metrics on the true labels of held-out rows."""


@dataclass(frozen=True)
class Mode:
    """One protection.

    Attributes:
        name: as tables call it.
        run: one repetition.
        curve: ("epsilon" or "noise", its value) if the mode is a point of that curve.
    """

    name: str
    run: Callable[[People], Outcome]
    curve: tuple[str, float] | None = None


def clipped_laplace(alpha: float) -> Spoil:
    """The paper's Laplace noise at this alpha."""
    return lambda residual, rng: quantile_clipped_laplace(residual, alpha, rng)


def label_modes(source: Source) -> list[Mode]:
    """What protects labels: against an assistor that reads residuals."""
    spoilers: list[tuple[str, Spoil]] = [
        (f"paper's quantile-clipped Laplace, alpha {alpha:g}", clipped_laplace(alpha)) for alpha in ALPHAS
    ]
    spoilers.append(("paper's quantile intervals", quantile_intervals))
    return [
        *(Mode(f"dp, epsilon {e:g}", partial(released, epsilon=e), ("epsilon", e)) for e in EPSILONS),
        *([] if source.classes else [Mode("ip", partial(released, epsilon=None))]),
        *(Mode(name, partial(spoilt, spoil=spoil)) for name, spoil in spoilers),
        *([Mode("ip on class codes, refused by the product", on_codes)] if source.classes else []),
    ]


def column_modes() -> list[Mode]:
    """What protects columns, or nothing: against the sponsor, and for ciphertexts against assistor and aggregator."""
    return [
        *(Mode(f"noise, scale {scale:g}", partial(noised, scale=scale), ("noise", scale)) for scale in NOISES),
        Mode(f"ckks ({PARAMETERS})", encrypted),
        Mode("ckks+sum", summed),
    ]


def unprotected(dealt: People) -> Outcome:
    """Clear residuals and fitted values."""
    seen = record_clear(dealt)
    return [*attacks.on_residuals(seen), *(attacks.on_fitted(seen) if dealt.source.classes else [])], seen.held_out


def released(dealt: People, epsilon: float | None) -> Outcome:
    """Labels released once, by randomised response or (None) as intervals."""
    seen = record_clear(dealt, release(dealt, epsilon))
    return attacks.on_residuals(seen), seen.held_out


def release(dealt: People, epsilon: float | None) -> Training:
    """What the sponsor of a study with `residuals = "dp"` or `"ip"` learns from; seeded words."""
    words = np.random.default_rng([dealt.seed, 3]).integers(0, 1 << 64, len(dealt.y), dtype=np.uint64)
    source, y = dealt.source, dealt.y
    scheme: ClassResponse | RangeResponse | RangeInterval
    values: Array
    if source.classes and epsilon is not None:
        scheme = ClassResponse(epsilon, tuple(range(source.classes)))
        values = scheme.mechanism.respond(y, words)
    elif epsilon is not None:
        scheme = RangeResponse(epsilon, *RANGES[source.name])
        values = scheme.mechanism.respond(scheme.bins.codes(y), words)
    else:
        scheme = RangeInterval(*RANGES[source.name])
        values = scheme.mechanism.respond(y, words).estimates
    return scheme.training(values.astype(np.float64), dealt.train, source.loss)


def spoilt(dealt: People, spoil: Spoil) -> Outcome:
    """True labels; each round's residuals are spoilt on their way."""
    seen = record_clear(dealt, spoil=spoil)
    return attacks.on_residuals(seen), seen.held_out


def on_codes(dealt: People) -> Outcome:
    """Reports of interval privacy on class codes; no study is made of them."""
    return attacks.on_code_reports(dealt), {}


def noised(dealt: People, scale: float) -> Outcome:
    """`predictions = "noise"`."""
    seen = record_clear(dealt, noise=scale)
    return attacks.on_fitted(seen, floors=(columns.FLOOR,), noise=scale), seen.held_out


def encrypted(dealt: People) -> Outcome:
    """`residuals = "ckks"`."""
    seen = record_encrypted(dealt)
    found = attacks.on_ciphertexts(dealt, seen.received)
    return [*found, *attacks.on_fitted(seen, floors=(attacks.CIPHER_FLOOR,))], seen.held_out


def summed(dealt: People) -> Outcome:
    """`residuals = "ckks"` with `predictions = "sum"`: the sponsor and the aggregator."""
    seen = record_sums(dealt, rounds=SUM_ROUNDS.get(dealt.source.name, ROUNDS))
    found = [*attacks.on_sums(seen), *attacks.on_ciphertexts(dealt, seen.aggregator, who=", aggregator")]
    return [*found, *attacks.on_other_columns(seen)], seen.held_out


def special(source: Source, seed: int) -> Iterator[tuple[str, list[Finding]]]:
    """(mode, findings) of questions that need a study of their own."""
    single = people(source, seed, columns=1)
    yield "none, one column each, one round", attacks.on_fitted(record_clear(single, rounds=1))
    outputs = source.classes if source.classes > 2 else 1
    yield (
        "ckks+sum, one column each",
        attacks.on_sums(record_sums(single, rounds=-(-FEW_SUMS // outputs), listen=False)),
    )
    yield from on_numbers(source, seed).items()


def measure(source: Source, repeats: int) -> Report:
    """All modes and attacks on one data set."""
    modes = [Mode("none", unprotected), *label_modes(source), *(column_modes() if source.classes else [])]
    report = Report(source.name, {mode.name: mode.curve for mode in modes if mode.curve})
    for seed in range(repeats):
        dealt = people(source, seed)
        for mode in modes:
            findings, metrics = mode.run(dealt)
            report.add(mode.name, findings, metrics)
        for name, findings in special(source, seed) if source.classes else ():
            report.add(name, findings, {})
        print(f"{source.name}: repetition {seed + 1} of {repeats}", file=sys.stderr, flush=True)
    return report


def run(names: Iterable[str], folder: Path, repeats: int) -> dict[str, object]:
    """Measure, print tables to stderr, return what JSON holds."""
    result: dict[str, object] = {}
    for name in names:
        began = time.process_time()
        with threadpool_limits(1):  # these fits are so small that threads only wait for each other
            source = load(name, folder)
            report = measure(source, repeats)
        for table in report.tables():
            Console(file=sys.stderr, width=190).print(table)
        seconds = round(time.process_time() - began, 1)
        result[name] = {"repetitions": repeats, "cpu_seconds": seconds} | report.content()
    return result


def main() -> None:
    """Parse arguments, run, print tables to stderr and one JSON object to stdout or --out."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder of data sets (fate/)")
    parser.add_argument("--quick", action="store_true", help=f"{' and '.join(QUICK)} only")
    parser.add_argument("--repeats", type=int, default=REPEATS, help="repetitions, at least 2")
    parser.add_argument("--out", type=Path)
    chosen = parser.parse_args()
    found = run(QUICK if chosen.quick else (*CLASSES, *REGRESSION), chosen.data, max(2, chosen.repeats))
    text = as_json({"machine": machine(), "data": found})
    if chosen.out:
        chosen.out.write_text(text)
    else:
        print(text, end="")


if __name__ == "__main__":
    main()
