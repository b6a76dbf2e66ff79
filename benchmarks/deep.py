"""Deep local models and label-free encoders under GAL: images, 3-D objects and clinical series.

    python -m benchmarks.deep mnist|cifar10|physionet|stay|modelnet --data DIR [--quick] [--methods heads,gal,...]
                              [--rows N] [--rounds T] [--epochs N] [--batch N] [--width N] [--precision NAME]
                              [--ciphertexts] [--out FILE]

Methods: `alone` (the sponsor's network and GAL's rounds), `joint` (one party that has everything), `gal` (every party
its network, in the clear), `dms` (the same with one extractor for all rounds), `heads` (label-free encoders and ridge
heads, the kind that is fitted on ciphertexts: computed in the clear, same mathematics, or with --ciphertexts through
CKKS), `alone_heads` and `joint_heads`. CIFAR-10 needs pillow.
"""

from __future__ import annotations

import argparse
import json
import platform
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sklearn.metrics import roc_auc_score

from benchmarks import deep_data as data
from secure_gal import GAL
from secure_gal.estimator.predicting import encoder_and_codec, staged
from secure_gal.settings.party import LearnerSettings

METHODS = ("alone", "joint", "gal", "dms", "alone_heads", "joint_heads", "heads")


@dataclass(frozen=True, slots=True)
class Case:
    """One study: data, the parties' networks and heads, and what to compare with.

    Attributes:
        load: folder, training rows, test rows, seed -> Split.
        network: kind of the parties' networks.
        options, quick_options: theirs.
        heads: `[learner.options]` of the label-free heads.
        paper: figures of the paper, by method.
    """

    load: Callable[[Path, int, int, int], data.Split]
    network: str
    options: dict[str, Any]
    quick_options: dict[str, Any]
    heads: dict[str, Any]
    metric: str = "accuracy"
    loss: str = "auto"
    rounds: int = 10
    heads_rounds: int = 20
    quick_rows: int = 1500
    paper: dict[str, float] = field(default_factory=dict)


CASES = {
    "mnist": Case(
        data.mnist,
        "cnn",
        {},
        {"width": 8, "epochs": 2, "batch": 128},
        {"ridge": 0.3, "encoder_width": 1023},
        paper={"alone": 24.2, "joint": 99.4, "gal": 96.3, "dms": 96.3},
    ),
    "cifar10": Case(
        data.cifar10,
        "cnn",
        {},
        {"width": 8, "epochs": 2, "batch": 128},
        {"ridge": 1.0, "encoder_width": 1023},
        paper={"alone": 46.3, "joint": 80.1, "gal": 74.3, "dms": 67.0},
    ),
    "physionet": Case(
        partial(data.physionet, target="In-hospital_death"),
        "lstm",
        {"epochs": 10, "dropout": 0.2},
        {"hidden": 16, "epochs": 2},
        {"ridge": 1.0, "encoder_epochs": 10},
        "auroc",
        paper={"alone": 0.78, "joint": 0.82, "gal": 0.88, "dms": 0.81},
    ),
    "stay": Case(
        partial(data.physionet, target="Length_of_stay"),
        "lstm",
        {"epochs": 10, "dropout": 0.2},
        {"hidden": 16, "epochs": 2},
        {"ridge": 1.0, "encoder_epochs": 10},
        "mad",
        "l1",
    ),
    "modelnet": Case(
        data.modelnet10,
        "cnn",
        {"epochs": 10, "batch": 128, "width": 32},
        {"width": 8, "epochs": 2, "batch": 128},
        {"ridge": 0.3},
        quick_rows=600,
    ),
}
"""The paper's figures beside `physionet` are those of MIMIC-III: other patients, other features. Its ModelNet40 is
another set, so no figure stands beside `modelnet`. Head strengths were chosen on a part of the training rows."""


def run(case: Case, method: str, chosen: argparse.Namespace, split: data.Split) -> dict[str, Any]:
    """Fit and test one method."""
    heads, joint = method.endswith("heads"), method.startswith("joint")
    blocks, tests = split.blocks, split.test_blocks
    if joint:
        blocks, tests = [split.joint], [split.test_joint]
    elif method.startswith("alone"):
        blocks, tests = blocks[:1], tests[:1]
    rounds = chosen.rounds or (3 if chosen.quick else case.heads_rounds if heads else case.rounds)
    learners = [_learner(case, chosen, method, block) for block in blocks]
    cipher = {"residuals": "ckks"} if heads and chosen.ciphertexts and len(blocks) > 1 else {}
    task = "regression" if case.metric == "mad" else "classification"
    # Images: the training loss alone, as the paper does; a clinical series is noisy, and rounds stop by validation.
    noisy = {"validation": 0.2, "patience": 3} if case.metric != "accuracy" else {"validation": 0.0, "patience": rounds}
    began = time.perf_counter()
    gal = GAL(
        task=task,
        weights="paper",
        loss=case.loss,
        rounds=rounds,
        learners=learners,
        seed=chosen.seed,
        **noisy,
        **cipher,
    )
    gal.fit(blocks, split.y)
    seconds = time.perf_counter() - began
    # An encrypted party holds one head of all kept rounds: only the last value can be had.
    stages = [gal._outputs(tests)] if cipher else list(staged(gal.fitted_, gal._new(tests), print))
    trail = [_score(case.metric, f, gal, split.test_y) for f in stages]
    states = [part.state for part in gal.fitted_.parties]
    saved = [sum(len(value) for key, value in state.items() if key.startswith("model/")) for state in states]
    result = {
        "method": method,
        case.metric: trail[-1],
        "rounds": gal.n_rounds_,
        "seconds_fit": round(seconds, 1),
        "after_round": trail,
        "saved_mb": round(sum(saved) / 1e6, 2),
        "parties": len(blocks),
        "residuals": "ckks" if cipher else "clear",
    }
    if not heads:
        result["options"] = learners[0].options
    if method in case.paper:
        result["paper"] = case.paper[method]
    return result


def _learner(case: Case, chosen: argparse.Namespace, method: str, block: np.ndarray) -> LearnerSettings:
    table = block.ndim == 2
    if method.endswith("heads"):
        options: dict[str, Any] = {k: v for k, v in case.heads.items() if not table or k == "ridge"}
        if chosen.quick and not table:
            options |= {"encoder_width": 255} | ({"encoder_epochs": 2} if block.ndim == 3 else {})
        return LearnerSettings(loss="l2", features="auto" if table else "encoder", options=options)
    if table:
        return LearnerSettings(kind="mlp", loss="l2" if method == "dms" else None, device=chosen.device)
    asked = {
        "epochs": chosen.epochs,
        "batch": chosen.batch,
        "width" if case.network == "cnn" else "hidden": chosen.width,
        "precision": chosen.precision,
    }
    options = dict(case.quick_options if chosen.quick else case.options) | {k: v for k, v in asked.items() if v}
    if method == "dms":
        options["share_extractor"] = True
    loss = "l2" if method == "dms" else None
    return LearnerSettings(kind=case.network, loss=loss, device=chosen.device, options=options)  # type: ignore[arg-type]


def _score(metric: str, f: np.ndarray, gal: GAL, y: np.ndarray) -> float:
    """Accuracy in percent, area under the ROC curve, or mean absolute deviation in the label's unit."""
    codec = encoder_and_codec(gal.fitted_)[1]
    if metric == "auroc":
        return round(float(roc_auc_score(y, f[:, 0])), 4)
    if metric == "mad":
        return round(float(np.abs(codec.values(f) - y).mean()), 3)
    return round(100 * float(np.mean(np.array(codec.decode(f)) == y)), 2)


def machine(device: str, precision: str) -> dict[str, Any]:
    """What computed, in words."""
    from secure_gal.learners.devices import choose_device, placement, uses_bfloat16

    chosen = choose_device(device)
    return {
        "machine": f"{platform.machine()}, {torch.get_num_threads()} threads, Python {platform.python_version()}, "
        f"torch {torch.__version__}, numpy {np.__version__}",
        "gpu": torch.cuda.is_available(),
        "networks": str(placement(chosen, uses_bfloat16(precision or "auto", chosen))),
    }


def add(result: dict[str, Any], run_: dict[str, Any], out: Path | None) -> None:
    """Put a run with the others, tell it on stderr, and write the file at once: what is stopped later keeps it."""
    result["runs"].append(run_)
    print(json.dumps(run_), file=sys.stderr, flush=True)
    if out:
        out.write_text(json.dumps(result, indent=2) + "\n")


def main() -> None:
    """Parse arguments, run, print one line a method to stderr and one JSON object to stdout or --out."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("case", choices=CASES)
    parser.add_argument("--data", type=Path, required=True, help="folder of data sets (mnist/, cifar10/, ...)")
    parser.add_argument(
        "--quick", action="store_true", help="few rows and rounds, small networks: minutes on two cores"
    )
    parser.add_argument("--methods", default=",".join(METHODS), help=f"some of {', '.join(METHODS)}")
    parser.add_argument("--rows", type=int, default=0, help="training rows (default: all)")
    parser.add_argument("--rounds", type=int, default=0)
    parser.add_argument("--epochs", type=int, default=0, help="local epochs of networks")
    parser.add_argument("--batch", type=int, default=0, help="rows a step of networks")
    parser.add_argument(
        "--width", type=int, default=0, help="channels of a network's first block, or units of its state"
    )
    parser.add_argument("--device", default="auto")
    parser.add_argument(
        "--precision", default="", choices=("float32", "bfloat16"), help="of networks (default: as on that device)"
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--ciphertexts", action="store_true", help="heads through real CKKS ciphertexts")
    parser.add_argument("--out", type=Path)
    chosen = parser.parse_args()
    methods = chosen.methods.split(",")
    if unknown := set(methods) - set(METHODS):
        parser.error(f"--methods: {', '.join(sorted(unknown))}; accepted: {', '.join(METHODS)}")
    case = CASES[chosen.case]
    rows = chosen.rows or (case.quick_rows if chosen.quick else sys.maxsize)
    split = case.load(chosen.data, rows, 1000 if chosen.quick else sys.maxsize, chosen.seed)
    command = " ".join(sys.argv[1:]).replace(str(chosen.data), "DIR")
    result: dict[str, Any] = {
        "case": chosen.case,
        "date": time.strftime("%Y-%m-%d"),
        "command": command,
        **machine(chosen.device, chosen.precision),
        "rows": len(split.y),
        "test_rows": len(split.test_y),
        "quick": chosen.quick,
        "runs": [],
    }
    for method in methods:
        add(result, run(case, method, chosen, split), chosen.out)
    if not chosen.out:
        print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
