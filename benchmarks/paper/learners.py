"""Local models of the experiments, by name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sklearn.ensemble import GradientBoostingRegressor
from sklearn.tree import DecisionTreeRegressor

from benchmarks.paper.case import Case
from benchmarks.paper.data.split import Array
from benchmarks.paper.disturbed import NoisedResidual, Noisy
from benchmarks.paper.local_sgd import PaperLinear
from secure_gal.gal.split import derive_seed
from secure_gal.learners import make_learner
from secure_gal.settings.party import LearnerSettings

LEARNERS = (
    "linear",
    "auto",
    "sgd",
    "gb",
    "svm",
    "gb-svm",
    "sklearn-gb",
    "tree",
    "network",
    "dms",
    "heads",
)
"""`sgd` is the paper's linear model, `sklearn-gb` its boosted trees; `gb-svm`: the first half of the parties trees, the
others support vectors; `network`: what the rows' shape asks for; `dms` shares its extractor; `heads`: label-free
encoders and ridge heads, the kind that ciphertexts can fit."""


TREE = {"max_depth": 3, "min_samples_leaf": 10}
"""Leaves so large that no two splits tie: which of them is taken would be drawn at random."""


def learners_of(case: Case, blocks: list[Array], seed: int) -> list[Any]:
    """One a block, the sponsor's first, as `GAL` takes them."""
    made = [_one(case, block, m, len(blocks)) for m, block in enumerate(blocks)]
    if case.residual_noise:
        made = [NoisedResidual(_object(case, one, m, seed), case.residual_noise) for m, one in enumerate(made)]
    if case.noise:
        noisy = range(len(made) // 2, len(made))
        made = [Noisy(_object(case, one, m, seed), case.noise) if m in noisy else one for m, one in enumerate(made)]
    return made


def objects_of(case: Case, blocks: list[Array], seed: int) -> list[Any]:
    """The same as objects with `fit`, for loops of our own."""
    return [_object(case, one, m, seed) for m, one in enumerate(learners_of(case, blocks, seed))]


def _object(case: Case, chosen: Any, m: int, seed: int) -> Any:
    if isinstance(chosen, LearnerSettings):
        return make_learner(chosen, Path.cwd(), case.default_loss, derive_seed("features", seed, f"party-{m}"))
    return chosen


def _one(case: Case, block: Array, m: int, parties: int) -> Any:
    options = dict(case.options)
    match case.learner:
        case "linear" | "gb":
            return LearnerSettings(kind=case.learner, loss=case.local_loss, options=options)
        case "svm":
            return LearnerSettings(kind="svm", options=options)
        case "gb-svm":
            return _trees_or_vectors(case, m < parties // 2)
        case "auto":
            return LearnerSettings(features="auto", loss=case.local_loss, options=options)
        case "sgd":
            return PaperLinear(case.local_loss or case.default_loss)
        case "sklearn-gb":
            return GradientBoostingRegressor(**options)
        case "tree":
            return DecisionTreeRegressor(**TREE, random_state=0)
        case "network" | "dms" | "heads":
            return of_shape(case, block)
        case _:
            raise ValueError(f"unknown learner {case.learner!r}; accepted: {', '.join(LEARNERS)}")


def _trees_or_vectors(case: Case, trees: bool) -> LearnerSettings:
    return LearnerSettings(kind="gb", loss=case.local_loss) if trees else LearnerSettings(kind="svm")


def of_shape(case: Case, block: Array) -> LearnerSettings:
    """A network or a head for rows of this shape: series of three dimensions, images, or a table.

    `case.options` are those of images or series; those that begin with `encoder` are for encoders alone.
    """
    table, loss = block.ndim == 2, "l2" if case.learner in ("dms", "heads") else case.local_loss
    if case.learner == "heads":
        options = {k: v for k, v in case.options.items() if not table or k == "ridge"}
        return LearnerSettings(loss=loss, features="auto" if table else "encoder", options=options)
    if table:
        return LearnerSettings(kind="mlp", loss=loss)
    options = dict(case.options) | ({"share_extractor": True} if case.learner == "dms" else {})
    return LearnerSettings(kind="lstm" if block.ndim == 3 else "cnn", loss=loss, options=options)
