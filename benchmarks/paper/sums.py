"""GAL through encrypted residuals and sum-only predictions."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.paper.case import Case
from benchmarks.paper.data.split import Array
from benchmarks.paper.outcome import Outcome, score
from benchmarks.real_sums import SumParties
from secure_gal.data.log_codec import fit_codec
from secure_gal.gal.ensemble import Ensemble
from secure_gal.gal.losses import get_loss
from secure_gal.gal.split import derive_seed
from secure_gal.holdings.local import LocalParty, collapse
from secure_gal.learners import make_learner
from secure_gal.learners.cross_fit import folds_for


def play(
    case: Case, learners: list[Any], train: tuple[list[Array], Array], test: tuple[list[Array], Array], seed: int
) -> Outcome:
    """One study over (blocks, y), judged on (blocks, y) of new rows; parts of new rows are summed encrypted too."""
    (blocks, y), (new, new_y) = train, test
    names, everyone = tuple(f"party-{m}" for m in range(len(blocks))), np.ones(len(y), dtype=np.bool_)
    codec = fit_codec(case.source.task, case.loss_name, list(y), everyone)
    ensemble = Ensemble(
        get_loss(case.loss_name, codec.outputs),
        codec.encode(list(y)),
        everyone,
        case.source.task,
        names,
        case.weights,
        case.rate,
        case.rounds,
        case.rounds,
        "l2",
        cross_fitted=True,
    )
    own = _sponsor(learners[0], blocks[0], seed)
    parties = SumParties(names, blocks, everyone, seed, learners, leave_one_out=True, outputs=codec.outputs)
    models, residuals = [], []
    try:
        while len(ensemble.history) < case.rounds:  # all of them, as under encryption
            residuals.append(ensemble.residual())
            model, mine = own.fit_round(len(residuals), residuals[-1])
            models.append(model)
            played = parties.round(residuals[-1], mine.astype(np.float64), case.weights == "uniform")
            ensemble.advance(played.weights, {"sum": played.total + played.weights[0] * mine})
        f = np.tile(ensemble.F0, (len(new_y), 1))
        if kept := ensemble.kept:
            f += collapse(models[:kept], ensemble.coefficients(names[0]), new[0])
            past = np.stack(residuals[:kept]).astype(np.float64)
            f += parties.parts([np.tensordot(ensemble.coefficients(p), past, 1) for p in names[1:]], new[1:])
    finally:
        parties.close()
    return Outcome(
        [score(case.source.metric, codec, f, new_y)],
        [ensemble.initial_losses[0], *(record.train_loss for record in ensemble.history)],
        [record.eta for record in ensemble.history],
        [list(record.weights.values()) for record in ensemble.history],
        ensemble.kept,
    )


def _sponsor(settings: Any, x: Array, seed: int) -> LocalParty:
    learner = make_learner(settings, Path.cwd(), "l2", derive_seed("features", seed, "party-0"))
    folds = folds_for(learner, settings.folds, len(x))
    return LocalParty("party-0", x, np.ones(len(x), dtype=np.bool_), learner, seed, folds, fixed_share=True)
