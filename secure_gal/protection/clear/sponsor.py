"""`residuals = "none"`, `predictions = "none"`: the sponsor's residuals and the assistors' fits are seen as they are.

`privatised` and `noised` are these ports with other message types: what differs is made before a residual leaves
(released labels) or as a fit leaves (noise).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from secure_gal.effects import Effect, Send
from secure_gal.errors import PeerViolation, StateError
from secure_gal.messages import Ending, Finish, Fitted, Message, Residual
from secure_gal.protection.stages import SponsorStage

Shown = npt.NDArray[np.float32]
MAX_FITTED = 1e6
"""Largest |fitted value| accepted, in units of the residual (at most about 1): beyond it a fit has diverged."""


class ClearResiduals:
    """At the sponsor: r^t as float32, coefficients eta^t w_m^t at the end.

    Args:
        kind: of message in which a residual travels.
        shown: what of a residual float32 (N_train, K) is sent.
    """

    hides_rounds = False

    def __init__(self, kind: type[Residual] = Residual, shown: Callable[[Shown], Shown] = lambda r: r) -> None:
        self._kind, self._shown = kind, shown

    def send(self, stage: SponsorStage) -> list[Effect]:
        """The residual that was sent is kept: `secure-gal leakage` scores it."""
        residual, round_ = self._shown(stage.ensemble.residual()), stage.round
        stage.residuals[round_] = residual
        made = stage.ensemble
        return [Send(p, self._kind(residual[stage.held(p)], round_, made.withheld(p))) for p in stage.assistors]

    def resume(self, stage: SponsorStage) -> list[Effect]:
        """A residual leaves in the step that begins its round."""
        return []

    def conclude(self, stage: SponsorStage, *, one_unit: bool, by_round: frozenset[str]) -> list[Effect]:
        """Coefficients; in one unit for all, so that no assistor's part of a prediction is far above 1.

        A part is sum_t c_t f_t, and a fit is of the size of its residual; the unit stays at the sponsor.
        """
        if by_round:
            raise StateError("terms by round are for encrypted residuals")
        coefficients, unit = {p: stage.ensemble.coefficients(p) for p in stage.assistors}, 1.0
        if one_unit:
            sizes = np.array([stage.units[t] for t in range(1, stage.ensemble.kept + 1)])
            unit = len(coefficients) * max(float(np.abs(c) @ sizes) for c in coefficients.values()) or 1.0
            for peer in coefficients:
                stage.scales[peer] = unit
        return [Send(p, Finish(c / unit if one_unit else c, Ending("finished"))) for p, c in coefficients.items()]

    def concluding(self, stage: SponsorStage) -> bool:
        """Coefficients leave in the step that ends learning."""
        return False


class SeenFits:
    """At the sponsor: every assistor's fit as float32, of the agreed `kind`, weighted with all others."""

    declares, one_unit = False, False

    def __init__(self, kind: type[Fitted] = Fitted) -> None:
        self._kind = kind

    def by_round(self, stage: SponsorStage) -> frozenset[str]:
        """Nobody."""
        return frozenset()

    def set_up(self, stage: SponsorStage) -> list[Effect]:
        """Nothing lies between alignment and the first round."""
        return stage.begin()

    def waiting_for(self, stage: SponsorStage) -> list[str]:
        """Whose fit has not come."""
        return [p for p in stage.assistors if p not in stage.fits]

    def receive(self, stage: SponsorStage, peer: str, message: Message) -> list[Effect]:
        """Take a fit."""
        if type(message) is not self._kind or not isinstance(message, Fitted):
            raise PeerViolation(peer, f"{message.KIND} where the study agreed on {self._kind.KIND}")
        stage.check_round(peer, message)
        expected = (len(stage.coverage[peer]), stage.ensemble.F.shape[1])
        if message.values.shape != expected:
            raise PeerViolation(peer, f"fitted values must have shape {expected}")
        if not np.isfinite(message.values).all() or np.abs(message.values).max() > MAX_FITTED:
            raise PeerViolation(peer, f"fitted values must be finite and at most {MAX_FITTED:g} in size")
        return stage.take_fit(peer, stage.over_all_rows(peer, message.values))

    def ready(self, stage: SponsorStage) -> list[Effect]:
        """Commit the round once every fit is there."""
        return stage.commit_if_complete()

    def resume(self, stage: SponsorStage) -> list[Effect]:
        """There are no jobs."""
        return []
