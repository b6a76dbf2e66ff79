"""`residuals = "ckks"`: its steps, its ports and who learns what of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from crypto.ckks.sets import named
from secure_gal.gal.doubt import FEW_ROWS
from secure_gal.messages import (
    EncryptedFinish,
    EncryptedFitted,
    EncryptedPredictReply,
    EncryptedResidual,
    EvaluationKeys,
    PaddedWidth,
)
from secure_gal.phases import JOB, Step
from secure_gal.protection.ciphers import given
from secure_gal.protection.ckks.assistor import EncryptedFitsSide, EncryptedResidualSide
from secure_gal.protection.ckks.parts import DecryptedParts
from secure_gal.protection.ckks.sponsor import DecryptedFits, EncryptedResiduals
from secure_gal.protection.clear.mode import FITTED, PART
from secure_gal.protection.disclosure import Disclosure
from secure_gal.protection.modes import FittedMode, ResidualMode
from secure_gal.settings.party import PartySettings
from secure_gal.settings.study import Study

if TYPE_CHECKING:
    from secure_gal.holdings.assistor import AssistorData, Parts


def _how(study: Study) -> str:
    return f"CKKS {study.protect.parameters}, the sponsor's key"


def _residual_lines(study: Study) -> tuple[Disclosure, ...]:
    """What encrypted residuals tell: nothing."""
    fresh = "; to an assistor with fresh features, which says so, one by one for every round that was run"
    held = f"; of {FEW_ROWS} rows or more 0 in a twentieth, by which fits are checked" if study.keeps_back else ""
    return (
        Disclosure(
            EncryptedResidual.KIND,
            "sponsor",
            "assistor",
            f"pseudo-residual of the training rows, every round{held}",
            _how(study),
            "nothing about a label while CKKS is secure: every agreed round is run, kept or not",
        ),
        Disclosure(
            EncryptedFinish.KIND,
            "sponsor",
            "assistor",
            f"R_m = sum of eta * w * residual over the kept rounds{fresh if study.protect.summed else ''}",
            _how(study),
            "nothing: no weight, no learning rate, not how many rounds were kept",
        ),
    )


def _fitted_lines(study: Study) -> tuple[Disclosure, ...]:
    """What fits and parts tell, once the sponsor has decrypted them."""
    flooded, left_out = f"{_how(study)}; re-randomised and flooded", study.cross_fitted
    values = (
        "leave-one-out values of training rows and fitted values of others" if left_out else "fitted values of all rows"
    )
    leverage = "; of rows that it trained on, how unusual each is among its own" if left_out else ""
    return (
        Disclosure(
            PaddedWidth.KIND,
            "assistor",
            "sponsor",
            "the width of its feature map, rounded up to a power of two; the digest of keys that it still has",
            "clear",
            "the size class of the assistor's model, and whether an earlier run of this study left keys there",
        ),
        Disclosure(
            EncryptedFitted.KIND,
            "assistor",
            "sponsor",
            f"{values}, every round",
            flooded,
            f"after decryption, {FITTED}; nothing more of its data from the ciphertexts",
            readable=True,
        ),
        Disclosure(
            EncryptedPredictReply.KIND,
            "assistor",
            "sponsor",
            "its part of each prediction",
            flooded,
            f"after decryption, {PART}{leverage}",
            readable=True,
        ),
    )


def _holding(data: AssistorData) -> Parts:
    """One encrypted head, and replies that the sponsor decrypts."""
    from secure_gal.holdings.assistor import Parts
    from secure_gal.holdings.encrypted import EncryptedRidgeFits
    from secure_gal.holdings.feature_maps import OneMap
    from secure_gal.holdings.rings import ReplyRing

    study = data.study
    ring = ReplyRing(named(study.protect.parameter_set), study.cross_fitted, study.k)
    fits = EncryptedRidgeFits(data, ring, OneMap(data))
    return Parts(fits.prepare, encrypted=fits, keyed=fits)


def _admit(party: PartySettings, study: Study) -> None:
    from secure_gal.holdings.encrypted import refuse_unencryptable

    refuse_unencryptable(party, study)


RESIDUALS = ResidualMode(
    steps=(
        Step("assistor", "learning", EncryptedResidual.KIND, ("learning",)),
        Step("assistor", "learning", EncryptedFinish.KIND, ("concluding",)),
        Step("assistor", "concluding", JOB, ("serving",)),
    ),
    port=lambda cipher: EncryptedResiduals(given(cipher)),
    side=lambda study: EncryptedResidualSide(named(study.protect.parameter_set)),
    lines=_residual_lines,
    admit=_admit,
)
FITS = FittedMode(
    declares=True,
    steps=lambda study, name: (
        Step("sponsor", "declaring", PaddedWidth.KIND, ("declaring", "learning")),
        Step("sponsor", "learning", EncryptedFitted.KIND, ("learning", "finishing")),
        Step("assistor", "declaring", EvaluationKeys.KIND, ("learning",)),
        Step("prediction", "open", EncryptedPredictReply.KIND, ("open",)),
    ),
    port=lambda study, cipher: DecryptedFits(
        given(cipher), named(study.protect.parameter_set), leave_one_out=study.cross_fitted
    ),
    side=lambda context, state, calculator: EncryptedFitsSide(named(context.study.protect.parameter_set)),
    parts=lambda context, cipher: DecryptedParts(given(cipher), named(context.study.protect.parameter_set)),
    lines=_fitted_lines,
    holding=_holding,
)
