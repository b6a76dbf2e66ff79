"""What a study is worth on rows that it never saw: the paper's rule, cross-fitted rounds, the sponsor alone, and F^0.

`python -m benchmarks.generalise --data DIR [--sets ...] [--mixes ...] [--splits N] [--random N] [--minutes M] [--out
FILE]`: every set is dealt in columns to two parties and split 80/20, paired: all rules see the same rows. A mix is who
fits what. Reported are test metric and loss, the paired differences of test loss of cross-fitted rounds against each
other rule, and their two-sided t-tests, corrected by Holm over all of them. `--random N` draws synthetic studies
instead of choosing them and looks for collapse: test AUC below 0.52 where the sponsor alone or any one party reaches
0.6; none is begun after M minutes of CPU. What stands in FILE is not run again: one FILE holds either kind.
"""

from __future__ import annotations

import argparse
import json
import platform
import sys
import time
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table
from scipy.stats import ttest_rel
from sklearn.ensemble import RandomForestRegressor
from sklearn.metrics import roc_auc_score
from sklearn.neighbors import KNeighborsRegressor

from benchmarks import generalise_data as data
from benchmarks import output
from secure_gal import GAL
from secure_gal.estimator.predicting import encoder_and_codec
from secure_gal.gal.losses import get_loss, metric
from secure_gal.settings.party import LearnerSettings
from secure_gal.settings.study import Task

ROUNDS = 10
RULES: dict[str, dict[str, Any]] = {
    "cross": {},
    "paper": {"weights": "paper", "validation": 0.2},
}
COLLAPSED, LEARNABLE = 0.52, 0.6
"""Test AUC below which a study has learnt nothing, where something else reached so much."""
COSTLY = 20_000
"""Rows times outputs times parties above which a random study takes learners that are fitted in no time."""
Learner = Any
KINDS: dict[str, Callable[[], Learner]] = {
    "linear": lambda: "linear",
    "gb": lambda: "gb",
    "svm": lambda: "svm",
    "mlp": lambda: LearnerSettings(kind="mlp", device="cpu", options={"epochs": 10}),
    "forest": lambda: RandomForestRegressor(60),
    "1-NN": lambda: KNeighborsRegressor(1),
}
MIXES: dict[str, tuple[str, ...]] = {name: (name,) for name in KINDS} | {"mixed": ("linear", "forest", "1-NN", "gb")}
Blocks = list[np.ndarray]


def learners(mix: Sequence[str], parties: int) -> list[Learner]:
    """One a party, the sponsor's first; a mix is dealt round and round."""
    return [KINDS[mix[m % len(mix)]]() for m in range(parties)]


def outcome(gal: GAL, blocks: Blocks, y: np.ndarray, task: Task) -> dict[str, float]:
    """Loss, metric and (classification) AUC of new rows, with the loss of F^0 and what the study itself reported."""
    f, k, fitted = gal._outputs(blocks), gal.F_.shape[1], gal.fitted_
    loss, coded = get_loss(fitted.study.loss_name, k), encoder_and_codec(fitted)[1].encode(list(y))
    flat = np.tile(fitted.sponsor.state["ensemble/F0"], (len(f), 1))
    found = {
        "loss": loss.value(coded, f),
        "metric": metric(task, coded, f),
        "initial_loss": loss.value(coded, flat),
        "reported_loss": gal.history_[gal.n_rounds_ - 1].train_loss if gal.n_rounds_ else np.nan,
        "kept": gal.n_rounds_,
    }
    return found | ({"auc": area(coded, f)} if task == "classification" else {})


def area(y: np.ndarray, f: np.ndarray) -> float:
    """AUC; of more classes the mean over those that have rows, each against the rest."""
    if f.shape[1] == 1:
        return float(roc_auc_score(y, f[:, 0])) if 0 < y.mean() < 1 else float("nan")
    seen = [c for c in range(f.shape[1]) if 0 < (y == c).mean() < 1]
    margin = f - f.mean(axis=1, keepdims=True)
    return float(np.mean([roc_auc_score(y == c, margin[:, c]) for c in seen])) if seen else float("nan")


def measured(
    task: Task, mix: Sequence[str], x: Blocks, y: np.ndarray, new: Blocks, truth: np.ndarray, seed: int
) -> Any:
    """By rule what new rows are worth; `alone` is the sponsor with the same learner and cross-fitted rounds."""
    found: dict[str, dict[str, float]] = {}
    for rule, settings in RULES.items():
        began = time.perf_counter()
        gal = GAL(task, rounds=ROUNDS, learners=learners(mix, len(x)), seed=seed, **settings).fit(x, y)
        found[rule] = outcome(gal, new, truth, task) | {"seconds": time.perf_counter() - began}
    alone = GAL(task, rounds=ROUNDS, learners=learners(mix, 1), seed=seed).fit(x[:1], y)
    return found | {"alone": outcome(alone, new[:1], truth, task)}


def one_split(name: str, folder: Path, mix: Sequence[str], seed: int) -> dict[str, dict[str, float]]:
    """One set, one mix, one split."""
    table = data.load(name, folder, seed)
    count = round(data.TEST_SHARE * len(table.y))
    order = np.random.default_rng(seed).permutation(len(table.y))
    test, train = order[:count], order[count:]
    blocks = data.encoded(table, train, data.PARTIES, seed)
    x, new = [b[train] for b in blocks], [b[test] for b in blocks]
    found: dict[str, dict[str, float]] = measured(table.task, mix, x, table.y[train], new, table.y[test], seed)
    return found


def compared(runs: list[dict[str, dict[str, float]]]) -> dict[str, dict[str, float]]:
    """Mean test-loss differences of cross-fitted rounds against each other rule (below 0: better), with t-tests."""
    ours = np.array([run["cross"]["loss"] for run in runs])
    others = {rule: np.array([run[rule]["loss"] for run in runs]) for rule in ("paper", "alone")}
    others["F0"] = np.array([run["cross"]["initial_loss"] for run in runs])
    return {
        rule: {"difference": float((ours - theirs).mean()), "p": paired(ours, theirs)}
        for rule, theirs in others.items()
    }


def paired(ours: np.ndarray, theirs: np.ndarray) -> float:
    """Two-sided p of a paired t-test; 1 where nothing differs or there is one split."""
    if len(ours) < 2 or np.allclose(ours, theirs):
        return 1.0
    return float(ttest_rel(ours, theirs).pvalue)


def holm(values: dict[Any, float]) -> dict[Any, float]:
    """Holm's step-down correction: p of each comparison, as large as that of any smaller one."""
    corrected, largest = {}, 0.0
    for place, key in enumerate(sorted(values, key=lambda k: values[k])):
        largest = max(largest, min(1.0, values[key] * (len(values) - place)))
        corrected[key] = largest
    return corrected


def of_sets(folder: Path, names: Sequence[str], mixes: Sequence[str], splits: int, out: Path | None) -> dict[str, Any]:
    """All sets and mixes: runs, comparisons, and how many are significantly worse after correction.

    Args:
        out: splits that stand there are not run again, and every new one is written at once.
    """
    known = json.loads(out.read_text()).get("sets", {}) if out is not None and out.exists() else {}
    runs = {(row["set"], row["mix"]): row["runs"] for row in known.get("comparisons", [])}
    wanted = [(n, m) for n in names for m in mixes]
    for place, (name, mix) in enumerate(wanted):
        done = runs.setdefault((name, mix), [])
        for seed in range(len(done), splits):
            done.append(one_split(name, folder, MIXES[mix], seed))
            if out is not None:
                output.write({"sets": judged({key: found for key, found in runs.items() if found})}, out)
        print(f"{place + 1} of {len(wanted)}: {name}, {mix}", file=sys.stderr)
    return judged({key: runs[key][:splits] for key in wanted})


def judged(runs: dict[tuple[str, str], list[dict[str, dict[str, float]]]]) -> dict[str, Any]:
    """What these runs say, by set and mix."""
    comparisons = {key: compared(found) for key, found in runs.items()}
    p = {(key, rule): c["p"] for key, found in comparisons.items() for rule, c in found.items()}
    for (key, rule), value in holm(p).items():
        comparisons[key][rule]["p_holm"] = value
    worse = [
        f"{n}, {m}, against {rule}"
        for (n, m), found in comparisons.items()
        for rule, c in found.items()
        if c["difference"] > 0 and c["p_holm"] < 0.05
    ]
    listed = [{"set": n, "mix": m, "against": comparisons[n, m], "runs": found} for (n, m), found in runs.items()]
    return {"comparisons": listed, "significantly_worse": worse}


def random_study(seed: int) -> dict[str, Any]:
    """One synthetic study of random size, with what each rule and each party alone is worth on 1,000 new rows."""
    rng = np.random.default_rng([20261128, seed])
    shape = data.draw_shape(rng)
    x, y, truth = data.synthetic(rng, shape)
    blocks = np.array_split(rng.permutation(shape.columns), shape.parties)
    cheap = shape.rows * shape.outputs * shape.parties > COSTLY
    kinds = ["linear", "1-NN"] if cheap else [k for k in KINDS if k != "mlp" or seed % 5 == 0]
    mix = [str(kind) for kind in rng.choice(kinds, shape.parties)]
    parts = [x[:, block] for block in blocks]
    train, new = [p[: shape.rows] for p in parts], [p[shape.rows :] for p in parts]
    labels = y[: shape.rows]
    found = measured("classification", mix, train, labels, new, truth, seed)
    singles = [
        outcome(GAL(rounds=1, learners=learners([kind], 1), seed=seed).fit([t], labels), [n], truth, "classification")[
            "auc"
        ]
        for kind, t, n in zip(mix, train, new, strict=True)
    ]
    best = float(np.nanmax([*singles, found["alone"]["auc"]]))
    collapsed = {rule: bool(found[rule]["auc"] < COLLAPSED and best >= LEARNABLE) for rule in RULES}
    return {
        "seed": seed,
        "mix": mix,
        **shape._asdict(),
        "rules": found,
        "best_single_auc": best,
        "collapsed": collapsed,
    }


def of_random(count: int, out: Path | None, minutes: float) -> dict[str, Any]:
    """So many random studies, and which collapsed by which rule.

    Args:
        out: its studies, if there are any, are not run again, and every new one is written at once.
        minutes: of CPU, after which no further study is begun.
    """
    known = json.loads(out.read_text())["random"]["studies"] if out is not None and out.exists() else []
    done = {study["seed"]: study for study in known}
    found = collapses(list(done.values()))
    for seed in range(count):
        if seed in done or time.process_time() > 60 * minutes:
            continue
        done[seed] = random_study(seed)
        found = collapses([done[seed] for seed in sorted(done)])
        if out is not None:
            output.write({"random": found}, out)
    return found


def collapses(studies: list[dict[str, Any]]) -> dict[str, Any]:
    """The studies, and which of them collapsed by which rule."""
    return {
        "studies": studies,
        "collapsed": {rule: [s["seed"] for s in studies if s["collapsed"][rule]] for rule in RULES},
        "learnable": sum(s["best_single_auc"] >= LEARNABLE for s in studies),
    }


def show(result: dict[str, Any]) -> None:
    """Tables to standard error."""
    console = Console(file=sys.stderr, width=150)
    if "sets" in result:
        table = Table(title="Test metric, and test loss of cross-fitted rounds less that of another rule (Holm's p)")
        for column in ("set", "mix", "paper", "cross", "alone", "against paper", "against alone", "against F^0"):
            table.add_column(column)
        for row in result["sets"]["comparisons"]:
            mean = {rule: np.mean([run[rule]["metric"] for run in row["runs"]]) for rule in ("paper", "cross", "alone")}
            versus = [f"{c['difference']:+.4f} ({c['p_holm']:.2g})" for c in row["against"].values()]
            table.add_row(row["set"], row["mix"], *(f"{mean[r]:.3f}" for r in mean), *versus)
        console.print(table)
        console.print(f"significantly worse: {result['sets']['significantly_worse'] or 'none'}")
    if "random" in result:
        found = result["random"]
        counts = ", ".join(f"{rule} {len(seeds)}" for rule, seeds in found["collapsed"].items())
        console.print(f"{len(found['studies'])} random studies, {found['learnable']} learnable; collapsed: {counts}")


def main() -> None:
    """Parse arguments, run, print tables to stderr and one JSON object to stdout or --out."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="folder of data sets (tabular/, uci/)")
    parser.add_argument("--sets", nargs="+", choices=data.SETS, help="default: all that are there")
    parser.add_argument("--mixes", nargs="+", choices=tuple(MIXES), default=list(MIXES))
    parser.add_argument("--splits", type=int, default=5)
    parser.add_argument("--random", type=int, default=0, help="so many random studies")
    parser.add_argument("--minutes", type=float, default=float("inf"), help="of CPU, for random studies")
    parser.add_argument("--out", type=Path)
    chosen = parser.parse_args()

    warnings.filterwarnings("ignore")
    result: dict[str, Any] = {"machine": f"{platform.machine()}, Python {platform.python_version()}", "rounds": ROUNDS}
    if chosen.data is not None:
        names = chosen.sets or [name for name in data.SETS if data.there(name, chosen.data)]
        result["sets"] = of_sets(chosen.data, names, chosen.mixes, chosen.splits, chosen.out)
    if chosen.random:
        result["random"] = of_random(chosen.random, chosen.out, chosen.minutes)
    output.write(result, chosen.out)
    show(result)


if __name__ == "__main__":
    main()
