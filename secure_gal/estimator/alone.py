"""A party that learns alone, without any message: the rounds by which a study measures its sponsor."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from secure_gal.estimator.blocks import Block
from secure_gal.estimator.exchange import of_party
from secure_gal.estimator.fitted import Fitted, PartyFitted
from secure_gal.estimator.holding import Target, in_memory, settings_for
from secure_gal.estimator.key import temporary_home
from secure_gal.gal.split import split_rows
from secure_gal.holdings.check import check_data
from secure_gal.learners import storage
from secure_gal.learners.base import Learner, Model
from secure_gal.protection import sponsor_data
from secure_gal.protocol.sponsor_records import SponsorRecords
from secure_gal.settings.party import LearnerSettings
from secure_gal.settings.study import Study
from secure_gal.state import State


def learn_alone(
    study: Study,
    block: Block,
    settings: LearnerSettings,
    own: Learner | None,
    target: Target,
    warn: Callable[[str], None],
) -> Fitted:
    """GAL with M = 1; its state is a sponsor's after learning.

    Raises:
        SecureGalError: as the holding raises it.
    """
    with temporary_home() as home:
        party = settings_for(block, settings, study, home)
        memory = in_memory(block, party, study, learner=own, target=target, to_learn=True)
        model = sponsor_data(party, study, Path.cwd(), warn, memory=memory)
        for text in check_data(model.table, party, study):
            warn(text)
        state = State()
        kept, rows = SponsorRecords(state), np.arange(block.count)
        train = split_rows(block.count, study.validation, study.seed)
        kept.rows.set(rows)
        kept.train.set(train.astype(np.uint8))
        kept.encoder.set(model.prepare(rows, train))

        def keep(round_: int, made: Model) -> None:
            kept.models[round_] = storage.dump(made)

        with of_party(block.party):
            ensemble = model.learn_alone(keep)
        for key, value in ensemble.state().items():
            kept.ensemble[key] = value
        kept.own_coefficients.set(ensemble.coefficients(block.party))
        part = PartyFitted(block.party, settings, model.schema, block.inner, state.rows, {})
        return Fitted(study, (part,))
