"""`predictions = "noise"`: fits and parts leave an assistor clipped, with Gaussian noise of a declared deviation.

They travel as `noised-fitted` and `noised-predict-reply`, so that whoever agreed on noise refuses values without.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from crypto.gaussian_noise import clipped_with_noise
from secure_gal.errors import setting
from secure_gal.messages import NoisedFitted, NoisedPredictReply
from secure_gal.protection.clear.mode import fits_of, fitted_lines
from secure_gal.protection.disclosure import Disclosure
from secure_gal.settings.study import Protect, Study


def with_noise(
    protect: Protect, values: npt.NDArray[np.float32], kept: npt.NDArray[np.float64]
) -> npt.NDArray[np.float32]:
    """What sum_t c_t (clipped f_t with noise of its own) looks like, for coefficients c_t (T,).

    Noise is drawn when a value leaves, once.
    """
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


FITS = fits_of(NoisedFitted, NoisedPredictReply, _lines, with_noise)
