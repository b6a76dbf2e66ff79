"""A case as folders of the product's parties: tables, settings and keys, as each would have them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from benchmarks import harness
from benchmarks.paper.case import Case
from benchmarks.paper.data.split import Array
from parties.commands import demo
from secure_gal.settings.classes import outputs_of
from secure_gal.settings.party import LearnerSettings

PATIENCE_SECONDS = 7200.0
"""Parties make their feature maps all at once."""


def names_of(parties: int) -> list[str]:
    """As an estimator calls them, the sponsor first: seeds hang on names."""
    return [f"party-{m}" for m in range(parties)]


def table_of(block: Array, stem: str) -> str:
    """The file that holds such rows."""
    return f"{stem}.parquet" if block.ndim == 2 else f"{stem}.npz"


def write_tables(folder: Path, blocks: Sequence[Array], y: Array, new: Sequence[Array]) -> None:
    """Tables and keys. A row's id is its place; new rows come after those that are learnt from.

    Args:
        blocks, new: rows to learn from and new ones by party, the sponsor's first; y: labels of the former.
    """
    names, ids = names_of(len(blocks)), [str(i) for i in range(len(y) + len(new[0]))]
    for m, (name, block, rows) in enumerate(zip(names, blocks, new, strict=True)):
        (folder / name).mkdir(parents=True)
        x, beside = (np.concatenate([block, rows]), {}) if m else (block, {"y": y})
        _write_rows(folder / name / table_of(block, "data"), x, ids[: len(x)], beside)
        if not m:
            _write_rows(folder / name / table_of(block, "new"), rows, ids[len(y) :], {})
    harness.exchange_cards(folder, names)


def _write_rows(path: Path, x: Array, ids: Sequence[str], beside: Mapping[str, Array]) -> None:
    if x.ndim > 2:
        arrays: dict[str, Any] = {"x": x, "id": np.array(ids)} | dict(beside)
        np.savez(path, **arrays)
        return
    columns = {f"c{j}": x[:, j] for j in range(x.shape[1])}
    pl.DataFrame({"id": list(ids)} | columns | dict(beside)).write_parquet(path)


def write_settings(
    folder: Path, case: Case, learners: Sequence[LearnerSettings], blocks: Sequence[Array], y: Array, seed: int
) -> None:
    """study.toml and party files; at every start, since the port may be another's by now."""
    names, port = names_of(len(blocks)), demo._free_port()
    study = _study(case, names, y, seed, port)
    for name, learner, block in zip(names, learners, blocks, strict=True):
        bind = f'bind = "tcp://127.0.0.1:{port}"\n' if name == names[0] else ""
        (folder / name / "study.toml").write_text(study)
        (folder / name / f"{name}.toml").write_text(_party(name, bind, table_of(block, "data"), learner))


def _study(case: Case, names: Sequence[str], y: Array, seed: int, port: int) -> str:
    outputs = outputs_of(len(np.unique(y))) if case.source.task == "classification" else 1
    said = {
        "name": "paper",
        "task": case.source.task,
        "loss": case.loss_name,
        "sponsor": names[0],
        "assistors": list(names[1:]),
        "address": f"tcp://127.0.0.1:{port}",
        "outputs": outputs,
        "rounds": case.rounds,
        "weights": case.weights,
        "learning_rate": case.rate,
        "validation": case.validation,
        "patience": case.patience or case.rounds,
        "patience_seconds": PATIENCE_SECONDS,
        "seed": seed,
    }
    protect = {"ids": "clear", "residuals": "ckks", "predictions": "sum" if case.mode == "sum" else "none"}
    return f"{_lines(said)}[protect]\n{_lines(protect)}"


def _party(name: str, bind: str, table: str, learner: LearnerSettings) -> str:
    label = 'label = "y"\n' if bind else ""
    report = "[report]\nown_model = false\n" if bind else ""
    said: dict[str, object] = {"kind": learner.kind, "features": learner.maps}
    own = _lines(said if learner.loss is None else said | {"loss": learner.loss})
    return (
        f'study = "study.toml"\nparty = "{name}"\nhome = "keys"\nrun_dir = "run"\n{bind}{report}'
        f'[data]\npath = "{table}"\nid = "id"\n{label}[learner]\n{own}[learner.options]\n{_lines(learner.options)}'
    )


def _lines(values: Mapping[str, object]) -> str:
    """TOML, whose numbers, texts and lists are JSON's."""
    return "".join(f"{key} = {json.dumps(value)}\n" for key, value in values.items())
