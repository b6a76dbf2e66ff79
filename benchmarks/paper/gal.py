"""The one place where these experiments use the estimator `GAL`."""

from __future__ import annotations

from typing import Any

import numpy as np

from benchmarks.paper.case import Case
from benchmarks.paper.data.split import Array
from benchmarks.paper.outcome import Outcome, accuracy, area, deviation
from secure_gal.reference import GAL

PARAMETERS = "strict"


def play(
    case: Case, learners: list[Any], train: tuple[list[Array], Array], test: tuple[list[Array], Array], seed: int
) -> Outcome:
    """One study over (blocks, y), judged on (blocks, y) of new rows."""
    blocks, y = train
    gal = GAL(
        task=case.source.task,
        loss=case.loss_name,
        rounds=case.rounds,
        learners=learners,
        weights="paper" if case.mode == "paper" else case.weights,
        learning_rate=case.rate,
        validation=case.validation,
        patience=case.patience or case.rounds,
        seed=seed,
        residuals="ckks" if case.mode == "ckks" else "none",
        parameters=PARAMETERS,
    )
    gal.fit(blocks, y)
    try:
        trail = _trail(case, gal, *test)
    finally:
        gal.close()
    names = list(gal.history_[0].weights) if gal.history_ else []
    return Outcome(
        trail,
        [gal.ensemble_.initial_losses[0], *(record.train_loss for record in gal.history_)],
        [record.eta for record in gal.history_],
        [[record.weights[name] for name in names] for record in gal.history_],
        gal.ensemble_.kept,
    )


def _trail(case: Case, gal: GAL, blocks: list[Array], y: Array) -> list[float]:
    """Scores and ciphertexts give the last stage alone: an encrypted party holds one head of all kept rounds."""
    if case.source.metric == "auc":
        return [area(np.asarray(gal.decision_function(blocks))[:, 0], y)]
    score = deviation if case.source.metric == "mad" else accuracy
    stages = [gal.predict(blocks)] if case.mode == "ckks" else gal.staged_predict(blocks)
    return [score(predicted, y) for predicted in stages]
