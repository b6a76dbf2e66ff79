"""What a party's encoder takes to train: some epochs on a few of its own rows, timed.

A rehearsal's encoders train for one epoch, which is a part of the first fit's time; the other epochs are reckoned.
"""

from __future__ import annotations

from pathlib import Path

import msgspec

from secure_gal.features.encoder_options import TRAINED, kind_for
from secure_gal.forecast.networks import ENOUGH, Clock, Rounds
from secure_gal.learners.declare import KINDS
from secure_gal.settings.party import LearnerSettings

MOST_EPOCHS = 16
"""That one epoch is told apart with from everything else in a fit."""


def trains(learner: LearnerSettings, dimensions: int, folder: Path) -> bool:
    """Whether this learner trains a network as its encoder of rows of so many dimensions: not where it reads one.

    Raises:
        SettingsError: an encoder that does not take such rows.
    """
    if not _takes(learner) or _file(learner, folder):
        return False
    return kind_for(str(learner.options.get("encoder", "auto")), dimensions) in TRAINED


def brief(learner: LearnerSettings, folder: Path, epochs: int = 1) -> LearnerSettings:
    """The same learner, whose encoder trains for so few epochs and is not kept for a study to come.

    Args:
        folder: the party file's.
    """
    if not _takes(learner) or _file(learner, folder):
        return learner
    options = {name: given for name, given in learner.options.items() if name != "encoder_file"}
    return msgspec.structs.replace(learner, options=options | {"encoder_epochs": epochs})


def epoch(rounds: Rounds, clock: Clock) -> float:
    """CPU seconds of an epoch, in a process that has trained before; every call of `rounds` trains an encoder anew."""
    one = clock(lambda: rounds(1)(1))
    more = min(MOST_EPOCHS, max(1, round(ENOUGH / max(one, 1e-4))))
    return max(0.0, clock(lambda: rounds(1 + more)(1)) - one) / more


def _takes(learner: LearnerSettings) -> bool:
    if "encoder" not in learner.maps or learner.kind not in KINDS.names():
        return False
    return KINDS.find(learner.kind, "[learner] kind").maps


def _file(learner: LearnerSettings, folder: Path) -> bool:
    """Whether the encoder was trained before."""
    name = learner.options.get("encoder_file")
    return name is not None and (folder / str(name)).exists()
