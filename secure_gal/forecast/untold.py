"""Whose seconds are not foretold."""

from __future__ import annotations

from secure_gal.settings.party import LearnerSettings

NO_NETWORKS = "seconds are not foretold for a network: how many epochs it takes, its training shows"


def untold(learner: LearnerSettings, *, arrays: bool) -> str:
    """Why a party's seconds cannot be told before it learns; empty where they can."""
    from secure_gal.learners.declare import KINDS

    network = learner.kind in KINDS.names() and KINDS.find(learner.kind, "[learner] kind").torch
    return NO_NETWORKS if arrays or network or "encoder" in learner.maps else ""
