"""From which number of sums on the sponsor reconstructs assistors' columns, with one feature map and with fresh ones.

    python -m benchmarks.sum_exposure [--repeats N] [--out FILE]

Studies of a sponsor with two columns and assistors with `widths` columns of their own, independent of everyone else's.
Every sum is a real one: fits are encrypted under the sponsor's public key, added by the aggregator's code, flooded and
decrypted. The label weighs all columns at random, the assistors alike or the first one ten times the others.

First table: the sponsor knows a tenth of the rows and reconstructs columns by regression on the sums of T rounds. The
figure is the *best column's* gain, the largest R2 over all columns above what the sponsor's own columns give. (Solving
for the assistors' spaces first, `secure_gal.attacks.sums`, finds no more about columns: they lie in the sums' space.)

Second table: what one sum does hide, the single fit. R2 of the assistors' fits of the last round by solving for their
spaces, against the squared correlation with the sum itself, for random maps of 7 features that are one for all rounds
or fresh. Intervals are Student's 95% over repetitions, each with new data, labels, maps and known rows.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table
from threadpoolctl import threadpool_limits

from benchmarks.harness import machine
from benchmarks.sum_transcripts import COLUMNS, FOURIER, FRESH, Ring, record
from secure_gal.attacks.finding import interval

WIDTHS = ((1, 1), (1, 1, 1), (2, 2), (3, 3), (5, 5))
WIDER = ((10, 10), (3, 17))
"""On columns as they are only."""
MAPS = {"columns": COLUMNS, "fourier": FOURIER, "fourier, fresh": FRESH}
FEW_ROWS, FEATURES = 80, 7
"""Single fits are solved for in studies so small that `ridge = "auto"` leaves 7 features of each map: beyond about 12
an assistor solving takes minutes."""
FIT_WIDTHS = ((1, 1), (3, 3))
FIT_ROUNDS = (7, 14, 20)
SUCCESS = 0.5
"""A column counts as reconstructed where its gain is larger."""
REPEATS = 3


def rounds_of(widths: Sequence[int]) -> list[int]:
    """The numbers of rounds after which is attacked."""
    return sorted({1, 2, 3, *(max(1, round(share * sum(widths))) for share in (0.2, 0.3, 0.5, 0.75, 1.0, 1.5))})


def measure(ring: Ring, widths: Sequence[int], dominant: bool, name: str, repeats: int) -> list[dict[str, Any]]:
    """One row for each number of rounds."""
    points = rounds_of(widths)
    gains: dict[int, list[list[float]]] = defaultdict(list)
    for seed in range(repeats):
        transcript = record(ring, widths, dominant, MAPS[name], points[-1], seed)
        for rounds in points:
            gains[rounds].append(transcript.attack(rounds, seed))
    rows = []
    for rounds, found in gains.items():
        best, mean = (interval(np.array([reduce(g) for g in found])) for reduce in (max, np.mean))
        rows.append(
            {
                "widths": list(widths),
                "dominant": dominant,
                "map": name,
                "rounds": rounds,
                "ratio": rounds / sum(widths),
                "own_ratio": rounds / min(widths),
                "best": best.value,
                "best_low": best.low,
                "best_high": best.high,
                "mean": mean.value,
                "succeeds": best.value > SUCCESS,
            }
        )
    return rows


def measure_fits(ring: Ring, widths: Sequence[int], name: str, repeats: int) -> list[dict[str, Any]]:
    """One row for each number of rounds."""
    found: dict[int, list[tuple[float, float]]] = defaultdict(list)
    for seed in range(repeats):
        transcript = record(ring, widths, False, MAPS[name], FIT_ROUNDS[-1], seed, FEW_ROWS)
        for rounds in FIT_ROUNDS:
            found[rounds].append(transcript.single_fits(rounds, FEATURES, seed))
    rows = []
    for rounds, pairs in found.items():
        solved, alone = (interval(np.array(values)) for values in zip(*pairs, strict=True))
        rows.append(
            {
                "widths": list(widths),
                "map": name,
                "rounds": rounds,
                "ratio": rounds / (FEATURES * len(widths)),
                "solved": solved.value,
                "solved_low": solved.low,
                "solved_high": solved.high,
                "sum_alone": alone.value,
            }
        )
    return rows


def show(rows: list[dict[str, Any]], fits: list[dict[str, Any]]) -> None:
    """A line for each study."""
    table = Table(title="gain of the best column (95% over repetitions), by T K / sum p_m")
    for heading in ("widths", "label", "map", "ratio: best column, all columns' mean"):
        table.add_column(heading)
    groups: dict[tuple[str, str, str], list[str]] = defaultdict(list)
    for r in rows:
        key = (", ".join(map(str, r["widths"])), "one dominates" if r["dominant"] else "alike", r["map"])
        best = f"{r['best']:.2f} [{r['best_low']:.2f}, {r['best_high']:.2f}]"
        groups[key].append(f"{r['ratio']:.2f}: {best} {r['mean']:.2f}")
    for key, cells in groups.items():
        table.add_row(*key, "; ".join(cells))
    single = Table(title="R2 of single fits, and of the sum alone, by T K / sum of the maps' features")
    for heading in ("widths", "map", "ratio: solved, sum alone"):
        single.add_column(heading)
    lines: dict[tuple[str, str], list[str]] = defaultdict(list)
    for r in fits:
        solved = f"{r['solved']:.2f} [{r['solved_low']:.2f}, {r['solved_high']:.2f}]"
        lines[(", ".join(map(str, r["widths"])), r["map"])].append(f"{r['ratio']:.2f}: {solved} {r['sum_alone']:.2f}")
    for line, cells in lines.items():
        single.add_row(*line, "; ".join(cells))
    for shown in (table, single):
        Console(file=sys.stderr, width=150).print(shown)


def main() -> None:
    """Parse arguments, run, print a table to stderr and one JSON object to stdout or --out."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=REPEATS, help="repetitions, at least 2")
    parser.add_argument("--out", type=Path)
    chosen = parser.parse_args()
    repeats = max(2, chosen.repeats)
    rows: list[dict[str, Any]] = []
    fits: list[dict[str, Any]] = []
    with threadpool_limits(1):  # these fits are so small that threads only wait for each other
        ring = Ring()
        for widths in WIDTHS + WIDER:
            for dominant in (False, True):
                for name in MAPS if widths in WIDTHS else ("columns",):
                    rows += measure(ring, widths, dominant, name, repeats)
        for widths in FIT_WIDTHS:
            for name in ("fourier", "fourier, fresh"):
                fits += measure_fits(ring, widths, name, repeats)
    show(rows, fits)
    text = json.dumps(
        {"machine": machine(), "repetitions": repeats, "success": SUCCESS, "columns": rows, "single_fits": fits},
        indent=1,
    )
    if chosen.out:
        chosen.out.write_text(text + "\n")
    else:
        print(text)


if __name__ == "__main__":
    main()
