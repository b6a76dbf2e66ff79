"""`predictions = "noise"`: fits and parts leave an assistor clipped, with Gaussian noise of a declared deviation.

They travel as `noised-fitted` and `noised-predict-reply`, so that whoever agreed on noise refuses values without.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from crypto.gaussian_noise import clipped_with_noise
from secure_gal import events
from secure_gal.effects import Effect, Send
from secure_gal.errors import setting
from secure_gal.holdings.roles import Fit
from secure_gal.messages import Batch, Message, NoisedFitted, NoisedPredictReply
from secure_gal.protection.assistor_stage import AssistorStage
from secure_gal.protection.clear.assistor import SeenFitsSide, coefficients
from secure_gal.protection.clear.mode import fits_of, fitted_lines
from secure_gal.protection.disclosure import Disclosure
from secure_gal.protection.ports import Known
from secure_gal.settings.study import Protect, Study


class NoisedFitsSide(SeenFitsSide):
    """At an assistor: noise is drawn when a value leaves, once."""

    def leave(self, stage: AssistorStage, round_: int, fit: Fit, residual: npt.NDArray[Any]) -> list[Effect]:
        """To the sponsor, clipped and with noise."""
        return [Send(stage.sponsor, NoisedFitted(with_noise(stage.study.protect, fit, np.ones(1)), round_))]

    def leave_part(
        self, stage: AssistorStage, number: int, ids: tuple[str, ...], known: Known, part: Fit
    ) -> list[Effect]:
        """To the sponsor, with the noise of a sum of noised fits; 0 where the id is unknown."""
        noised = with_noise(stage.study.protect, part, coefficients(stage).get())
        noised[known == 0] = 0.0
        return [
            events.Predicted(len(known), int(known.sum())),
            Send(stage.sponsor, NoisedPredictReply(Batch(number), known, noised)),
        ]

    def no_part(self, stage: AssistorStage, batch: Batch) -> Message:
        """A reply without rows."""
        return NoisedPredictReply(batch, np.zeros(0, dtype=np.uint8), np.zeros((0, stage.outputs), dtype=np.float32))


def with_noise(
    protect: Protect, values: npt.NDArray[np.float32], kept: npt.NDArray[np.float64]
) -> npt.NDArray[np.float32]:
    """What sum_t c_t (clipped f_t with noise of its own) looks like, for coefficients c_t (T,)."""
    if protect.noise is None or not np.any(kept):
        return values
    clip, scale = protect.clip * np.abs(kept).sum(), protect.noise * np.linalg.norm(kept)
    with setting(clip="[protect] clip", noise="[protect] noise"):
        return clipped_with_noise(values, float(clip), float(scale))


def _lines(study: Study) -> tuple[Disclosure, ...]:
    """What fits with noise tell."""
    protect = study.protect
    how = f"clipped to {protect.clip:g}, Gaussian noise of deviation {protect.noise or 0:g}; no epsilon"
    blurred = ", blurred by the noise, which averages out over rounds"
    return fitted_lines(NoisedFitted.KIND, NoisedPredictReply.KIND, how, blurred)


FITS = fits_of(NoisedFitted, NoisedPredictReply, NoisedFitsSide, _lines)
