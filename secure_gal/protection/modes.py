"""What a mode of protection is made of."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from secure_gal.holdings.roles import Context
from secure_gal.phases import Step
from secure_gal.protection.ciphers import Cipher
from secure_gal.protection.disclosure import Lines
from secure_gal.protection.ports import FittedPort, FittedSide, PartPort, ResidualPort, ResidualSide
from secure_gal.settings.party import PartySettings
from secure_gal.settings.study import Study
from secure_gal.state import State

if TYPE_CHECKING:
    from secure_gal.holdings.assistor import MakeParts
    from secure_gal.holdings.labels import Labels
    from secure_gal.protection.sums.combiner import Combiner

MakeCalculator = Callable[[bytes, str], "Combiner"]
"""The aggregator's calculator from its evaluation keys and who sent them."""

MakeLabels = Callable[[PartySettings, Study, int], "Labels"]
"""What the sponsor learns from; the number is of one person's labels that may ever be released."""


@dataclass(frozen=True, slots=True)
class ResidualMode:
    """One of `[protect] residuals`.

    Attributes:
        steps: that are legal because of it.
        port: at the sponsor, from its key where the study has one; side: at an assistor.
        lines: who learns what of residuals and of how learning ends.
        labels: what the sponsor learns from, where these are not the true ones.
        admit: refuses an assistor whose learner cannot be fitted like this, before its data are read; SettingsError.
    """

    steps: tuple[Step, ...]
    port: Callable[[Cipher | None], ResidualPort]
    side: Callable[[Study], ResidualSide]
    lines: Lines
    labels: MakeLabels | None = None
    admit: Callable[[PartySettings, Study], None] | None = None


@dataclass(frozen=True, slots=True)
class FittedMode:
    """One of `[protect] predictions`.

    Attributes:
        declares: whether the phase `declaring` lies between alignment and the first round.
        steps: that are legal because of it, by the name of the party.
        port: at the sponsor, from its key.
        side: at an assistor, whose calculator may be another than the real one.
        parts: at the sponsor in a prediction, from its key.
        lines: who learns what of fits and parts.
        holding: what an assistor's holding computes with, where that is not local models alone.
    """

    declares: bool
    steps: Callable[[Study, str], tuple[Step, ...]]
    port: Callable[[Study, Cipher | None], FittedPort]
    side: Callable[[Context, State, MakeCalculator | None], FittedSide]
    parts: Callable[[Context, Cipher | None], PartPort]
    lines: Lines
    holding: MakeParts | None = None
