"""Whose seconds are not foretold."""

from __future__ import annotations

from secure_gal.settings.party import LearnerSettings

NO_ENCODERS = "seconds are not foretold for an encoder: how long it trains, its training shows"


def untold(learner: LearnerSettings) -> str:
    """Why a party's seconds cannot be told before it learns; empty where they can."""
    from secure_gal.learners.declare import KINDS

    takes = learner.kind in KINDS.names() and KINDS.find(learner.kind, "[learner] kind").maps
    return NO_ENCODERS if takes and "encoder" in learner.maps else ""
