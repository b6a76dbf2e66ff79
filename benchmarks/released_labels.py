"""What learning from labels that were privatised once costs, with and without correction for the known changes.

    python -m benchmarks.released_labels --data DIR [--quick] [--repeats N] [--out FILE]

Sponsor and assistor learn by GAL from released labels (validation included) on 80% of the rows; metrics are taken
against the true labels of the other 20%. Classes: randomised response, then `none` (plain cross-entropy), `inverted`
(the same model, probabilities inverted afterwards) or `corrected` (CorrectedCrossEntropy). Regression, l2:
the bins' values (`none`) or unbiased targets (`corrected`), and interval privacy. Every method sees the same splits and
releases, so differences are paired. Seeds make the figures repeatable; a study draws from the operating system.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from rich.console import Console
from rich.table import Table
from scipy.special import expit

from benchmarks.harness import machine
from benchmarks.paper.data.split import eighty_twenty
from benchmarks.paper.data.tables import vertical
from crypto.interval_privacy import IntervalMechanism
from secure_gal.data.encode_table import TableEncoder
from secure_gal.gal.ensemble import Ensemble
from secure_gal.gal.losses import get_loss, metric
from secure_gal.gal.split import split_rows
from secure_gal.holdings.local import LocalParty, collapse
from secure_gal.labels.schemes import ClassResponse, RangeInterval, RangeResponse, Training
from secure_gal.learners import make_learner
from secure_gal.settings.party import LearnerSettings
from secure_gal.settings.study import Task

EPSILONS = (0.5, 1.0, 2.0, 4.0)
ROUNDS, PATIENCE, VALIDATION = 10, 3, 0.2
CLASSES = {"breast": "standardized", "default_credit": "auto"}
RANGES = {"student": (0.0, 20.0), "motor": (-3.0, 3.0)}
"""Public ranges: marks by the school's scale, and motor speed in standard deviations of the test bench."""
LABELS = {"student": "y", "motor": "motor_speed"}
REPEATS = {"breast": 40, "default_credit": 5, "student": 40, "motor": 40}
LEAST_PROBABILITY = 1e-3
"""Predicted probabilities are kept this far from 0 and 1 in the log-loss."""


def learn(
    blocks: Sequence[np.ndarray], training: Training, task: Task, train: np.ndarray, features: str
) -> Callable[[Sequence[np.ndarray]], np.ndarray]:
    """GAL over these blocks (N, p_m); returns the decision function. The loop is algorithm 1 of the paper."""
    names = [f"p{m}" for m in range(len(blocks))]
    ensemble = Ensemble(
        training.loss, training.y, train, task, tuple(names), "fitted", "search", PATIENCE, ROUNDS, "l2"
    )
    settings = LearnerSettings(features=features)
    parties = {
        name: LocalParty(name, x, train, make_learner(settings, Path(), "l2", m), 0)
        for m, (name, x) in enumerate(zip(names, blocks, strict=True))
    }
    models: dict[str, list[Any]] = {name: [] for name in names}
    while not ensemble.finished:
        residual, fitted = ensemble.residual(), {}
        for name, party in parties.items():
            model, fitted[name] = party.fit_round(len(ensemble.history) + 1, residual)
            models[name].append(model)
        ensemble.commit(fitted)

    def outputs(new: Sequence[np.ndarray]) -> np.ndarray:
        total = np.tile(ensemble.F0, (len(new[0]), 1))
        for name, x in zip(names, new, strict=True):
            if ensemble.kept:
                total = total + collapse(models[name][: ensemble.kept], ensemble.coefficients(name), x)
        return total

    return outputs


def classes_once(
    blocks: Sequence[np.ndarray], y: np.ndarray, features: str, epsilon: float | None, seed: int
) -> dict[str, dict[str, float]]:
    """Metrics by method of one split and release; epsilon None learns from the true labels."""
    test, rows = eighty_twenty(len(y), seed)
    train = split_rows(len(rows), VALIDATION, seed)
    fit, new = [x[rows] for x in blocks], [x[test] for x in blocks]
    plain = get_loss("cross_entropy", 1)
    scheme = ClassResponse(epsilon or EPSILONS[0], (0, 1))
    if epsilon is None:
        f = learn(fit, Training(scheme.codec, y[rows], plain), "classification", train, features)(new)
        return {"true labels": _classified(y[test], f, expit(f[:, 0]))}
    words = np.random.default_rng((seed, 1)).integers(0, 2**64, size=len(rows), dtype=np.uint64)
    released = scheme.mechanism.respond(y[rows], words)
    flip, retention = scheme.mechanism.flip, scheme.mechanism.retention
    f = learn(fit, Training(scheme.codec, released, plain), "classification", train, features)(new)
    p = expit(f[:, 0])
    found = {"none": _classified(y[test], f, p), "inverted": _classified(y[test], f, (p - flip) / retention)}
    corrected = scheme.training(released.astype(np.float64), train, "cross_entropy")
    f = learn(fit, corrected, "classification", train, features)(new)
    return found | {"corrected": _classified(y[test], f, expit(f[:, 0]))}


def _classified(y: np.ndarray, f: np.ndarray, p: np.ndarray) -> dict[str, float]:
    p = np.clip(p, LEAST_PROBABILITY, 1 - LEAST_PROBABILITY)
    log_loss = -np.log(np.where(y == 1, p, 1 - p)).mean()
    return {
        "auc": metric("classification", y, f),
        "accuracy": float(((p > 0.5) == y).mean()),
        "log_loss": float(log_loss),
    }


def regression_once(
    blocks: Sequence[np.ndarray], y: np.ndarray, bounds: tuple[float, float], epsilon: float | None, seed: int
) -> dict[str, dict[str, float]]:
    """Root mean squared error by method of one split and release; epsilon None: the true labels, and intervals."""
    test, rows = eighty_twenty(len(y), seed)
    train = split_rows(len(rows), VALIDATION, seed)
    fit, new = [x[rows] for x in blocks], [x[test] for x in blocks]

    def error(training: Training) -> dict[str, float]:
        f = learn(fit, training, "regression", train, "standardized")(new)
        values = np.clip(f[:, 0] * training.codec.scale + training.codec.mean, *bounds)
        return {"rmse": float(np.sqrt(np.mean((y[test] - values) ** 2)))}

    words = np.random.default_rng((seed, 1)).integers(0, 2**64, size=len(rows), dtype=np.uint64)
    interval = RangeInterval(*bounds)  # its `training` takes any values as they are
    if epsilon is None:
        reported = IntervalMechanism(*bounds).respond(y[rows], words).estimates
        return {
            "true labels": error(interval.training(y[rows], train, "l2")),
            "interval privacy": error(interval.training(reported, train, "l2")),
        }
    scheme = RangeResponse(epsilon, *bounds)
    released = scheme.mechanism.respond(scheme.bins.codes(y[rows]), words)
    return {
        "none": error(interval.training(scheme.bins.values[released], train, "l2")),
        "corrected": error(scheme.training(released.astype(np.float64), train, "l2")),
    }


def regression_set(name: str, folder: Path) -> tuple[list[np.ndarray], np.ndarray]:
    """The sponsor's and the assistor's columns (N, p) and the label (N,)."""
    guest, host = (pl.read_csv(folder / f"fate/{name}_hetero_{party}.csv") for party in ("guest", "host"))
    key, label = guest.columns[0], LABELS[name]
    if not guest[key].equals(host[host.columns[0]]):
        raise ValueError(f"{name}: guest and host list different ids")
    frames = [guest.drop(key, label), host.drop(host.columns[0])]
    return [TableEncoder.fit(frame).transform(frame)[0] for frame in frames], guest[label].to_numpy().astype(float)


def measure(name: str, folder: Path, repeats: int) -> dict[str, Any]:
    """Per epsilon and method: every metric's mean, standard error, and paired gain of `corrected` over the others."""
    if name in CLASSES:
        frames, y = vertical(name, folder)
        blocks = [TableEncoder.fit(frame).transform(frame)[0] for frame in frames]
    else:
        blocks, y = regression_set(name, folder)
    found = {}
    for epsilon in (None, *EPSILONS):
        runs = [
            classes_once(blocks, y, CLASSES[name], epsilon, seed)
            if name in CLASSES
            else regression_once(blocks, y, RANGES[name], epsilon, seed)
            for seed in range(repeats)
        ]
        found["none" if epsilon is None else str(epsilon)] = {
            method: {m: _mean([run[method][m] for run in runs]) | _gain(runs, method, m) for m in runs[0][method]}
            for method in runs[0]
        }
    return found


def _mean(values: list[float]) -> dict[str, float]:
    error = float(np.std(values, ddof=1) / np.sqrt(len(values))) if len(values) > 1 else float("nan")
    return {"mean": float(np.mean(values)), "standard_error": error}


def _gain(runs: list[dict[str, dict[str, float]]], method: str, name: str) -> dict[str, float]:
    if method == "corrected" or "corrected" not in runs[0]:
        return {}
    gain = _mean([run["corrected"][name] - run[method][name] for run in runs])
    return {"corrected_minus_this": gain["mean"], "its_standard_error": gain["standard_error"]}


def show(name: str, found: dict[str, Any]) -> Table:
    """One data set as a table: a row for each epsilon and method."""
    metrics = list(next(iter(next(iter(found.values())).values())))
    table = Table("epsilon", "labels", *metrics, *(f"corrected - this: {m}" for m in metrics), title=name)
    for epsilon, methods in found.items():
        for method, values in methods.items():
            cells = [f"{v['mean']:.4f} ± {v['standard_error']:.4f}" for v in values.values()]
            cells += [
                f"{v['corrected_minus_this']:+.4f} ± {v['its_standard_error']:.4f}"
                for v in values.values()
                if "corrected_minus_this" in v
            ]
            table.add_row("" if epsilon == "none" else epsilon, method, *cells)
    return table


def main() -> None:
    """Measure, print tables and write JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder with fate/*.csv")
    parser.add_argument("--quick", action="store_true", help="three repeats")
    parser.add_argument("--repeats", type=int, help="splits and releases a data set")
    parser.add_argument("--out", type=Path, help="write the figures as JSON")
    args = parser.parse_args()
    report: dict[str, Any] = {"machine": machine(), "sets": {}, "seconds": {}}
    for name in (*CLASSES, *RANGES):
        began = time.monotonic()
        repeats = 3 if args.quick else args.repeats or REPEATS[name]
        report["sets"][name] = {"repeats": repeats, "epsilons": measure(name, args.data, repeats)}
        report["seconds"][name] = round(time.monotonic() - began, 1)
        Console(width=160).print(show(f"{name}, {repeats} repeats", report["sets"][name]["epsilons"]))
    if args.out:
        args.out.write_text(json.dumps(report, indent=1) + "\n")


if __name__ == "__main__":
    main()
