"""Algorithm 1 of the paper in one readable function: what roles, ports and holdings are held against.

It shares the arithmetic of a party (`LocalParty`) and of the sponsor's bookkeeping (`Ensemble`), and nothing else: no
message, no state, no row that moves. It rounds where messages do, so a run gives the same F bit for bit.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from secure_gal.data.log_codec import fit_codec
from secure_gal.gal.ensemble import Ensemble
from secure_gal.gal.losses import get_loss
from secure_gal.gal.split import split_rows
from secure_gal.holdings.local import LocalParty
from secure_gal.learners.base import Learner, Model
from secure_gal.learners.cross_fit import folds_for
from secure_gal.settings.study import Study


@dataclass
class Learnt:
    """The ensemble of a finished run, and each party's models by round."""

    ensemble: Ensemble
    models: dict[str, list[Model]] = field(default_factory=dict)


def learn(study: Study, blocks: Mapping[str, np.ndarray], labels: list[Any], learners: Mapping[str, Learner]) -> Learnt:
    """GAL over blocks (N, p_m) as learners see them, the sponsor's first, with each party's own learner."""
    train = split_rows(len(labels), study.validation, study.seed)
    codec = fit_codec(study.task, study.loss_name, labels, train)
    ensemble = Ensemble(
        get_loss(study.loss_name, codec.outputs, study.quantile_level),
        codec.encode(labels),
        train,
        study.task,
        tuple(blocks),
        study.weights,
        study.learning_rate,
        study.patience,
        study.rounds,
        study.local_loss,
        study.cross_fitted,
        doubted=[name for name in blocks if name != study.sponsor],
        partly_withheld=study.partly_withheld,
    )
    parties = {
        name: LocalParty(
            name,
            x,
            train,
            learners[name],
            study.seed,
            folds_for(learners[name], None, int(train.sum())) if study.cross_fitted else None,
            study.fixed_share,
        )
        for name, x in blocks.items()
    }
    learnt = Learnt(ensemble, {name: [] for name in blocks})
    while not ensemble.finished:
        residual, fitted = ensemble.residual(), {}
        for name, party in parties.items():
            model, fitted[name] = party.fit_round(len(ensemble.history) + 1, residual, ensemble.withheld(name))
            learnt.models[name].append(model)
        ensemble.commit(fitted)
    return learnt
