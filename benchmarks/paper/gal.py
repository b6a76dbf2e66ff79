"""The one place where these experiments use the estimator `GAL`."""

from __future__ import annotations

from typing import Any

from benchmarks.paper.case import Case
from benchmarks.paper.data.split import Array
from benchmarks.paper.outcome import Outcome, accuracy, area, deviation
from benchmarks.paper.rounds import initial_loss
from secure_gal import GAL


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
        verbose=1 if case.mode == "ckks" else 0,  # a round may take minutes
    )
    gal.fit(blocks, y)
    trail = _trail(case, gal, *test)
    names = list(gal.history_[0].weights) if gal.history_ else []
    return Outcome(
        trail,
        [initial_loss(case, y[gal.train_mask_]), *(record.train_loss for record in gal.history_)],
        [record.eta for record in gal.history_],
        [[record.weights[name] for name in names] for record in gal.history_],
        gal.n_rounds_,
    )


def _trail(case: Case, gal: GAL, blocks: list[Array], y: Array) -> list[float]:
    """Scores and ciphertexts give the last stage alone: an encrypted party holds one head of all kept rounds."""
    if case.source.metric == "auc":
        return [area(gal.decision_function(blocks), y)]
    score = deviation if case.source.metric == "mad" else accuracy
    stages = [gal.predict(blocks)] if case.mode == "ckks" else gal.staged_predict(blocks)
    return [score(predicted, y) for predicted in stages]
