"""`predictions = "sum"`: its steps and its ports."""

from __future__ import annotations

from typing import TYPE_CHECKING

from secure_gal.holdings.roles import Context
from secure_gal.phases import Step, steps
from secure_gal.protection.ciphers import Cipher, of_sums
from secure_gal.protection.modes import FittedMode, MakeCalculator
from secure_gal.protection.ports import FittedPort, FittedSide, PartPort
from secure_gal.protection.sums.manifest import lines
from secure_gal.settings.study import Study
from secure_gal.state import State

if TYPE_CHECKING:
    from secure_gal.holdings.assistor import AssistorData, Parts


def _steps(study: Study, name: str) -> tuple[Step, ...]:
    """The aggregator has more than the others."""
    private, adds = study.protect.ids == "psi", name == study.adder
    replies = ("part-key", "sealed-part", "summed-part", *(() if private else ("known-reply",)))
    return (
        Step("sponsor", "declaring", "declared", ("declaring", "learning")),
        *steps("sponsor", "learning", ("sealed-fitted", "inner-products", "weighted-sum"), "learning", "finishing"),
        Step("assistor", "declaring", "declarations", ("declaring",)),
        Step("assistor", "declaring", "evaluation-keys", ("learning",)),
        *steps("assistor", "learning", ("relayed-fitted", "own-difference", "weights") if adds else (), "learning"),
        *steps("assistor", "serving", () if private else ("known-request",), "serving"),
        *steps("assistor", "serving", ("relayed-part",) if adds else ("part-key",), "serving"),
        *steps("prediction", "open", replies, "open"),
    )


def _port(study: Study, cipher: Cipher | None) -> FittedPort:
    from secure_gal.protection.sums.sponsor import SummedFits

    return SummedFits(of_sums(cipher), study.protect.encrypted, leave_one_out=study.cross_fitted)


def _side(context: Context, state: State, calculator: MakeCalculator | None) -> FittedSide:
    from secure_gal.protection.sums.aggregator import SumAggregator
    from secure_gal.protection.sums.assistor import SealedFits
    from secure_gal.protection.sums.combiner import open_combiner

    study = context.study
    adds = context.identity.card.name == study.adder
    aggregator = SumAggregator(context, state, calculator or open_combiner) if adds else None
    return SealedFits(aggregator, keyed_answers=not study.protect.encrypted)


def _parts(context: Context, cipher: Cipher | None) -> PartPort:
    from secure_gal.protection.sums.parts import SummedParts

    return SummedParts(of_sums(cipher), context.digest, context.cards[context.study.adder])


def _holding(data: AssistorData) -> Parts:
    """Fits for the aggregator: made on ciphertexts, by one map or by one a round, or encrypted once they are made."""
    from secure_gal.holdings.assistor import Parts
    from secure_gal.holdings.encrypted import EncryptedRidgeFits
    from secure_gal.holdings.encrypted_values import EncryptedValues
    from secure_gal.holdings.feature_maps import FreshMaps, OneMap
    from secure_gal.holdings.sums import SumRing

    study, name = data.study, data.party.party
    if not study.protect.encrypted:
        values = EncryptedValues(data)
        return Parts(values.prepare, clear=values, keyed=values)
    ring = SumRing(name == study.adder, study.cross_fitted, study.k)
    fits = EncryptedRidgeFits(data, ring, FreshMaps(data) if data.learner.fresh_features else OneMap(data))
    return Parts(fits.prepare, encrypted=fits, keyed=fits)


FITS = FittedMode(True, _steps, _port, _side, _parts, lines, _holding)
