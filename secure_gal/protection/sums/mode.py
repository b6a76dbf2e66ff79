"""`predictions = "sum"`: its steps and its ports."""

from __future__ import annotations

from secure_gal.holdings.roles import Context
from secure_gal.phases import Step, steps
from secure_gal.protection.modes import Cipher, FittedMode, MakeCalculator
from secure_gal.protection.ports import FittedPort, FittedSide, PartPort
from secure_gal.protection.sums.manifest import lines
from secure_gal.settings.study import Study
from secure_gal.state import State


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


def _port(study: Study, cipher: Cipher) -> FittedPort:
    from secure_gal.protection.sums.sponsor import SummedFits

    return SummedFits(cipher, study.protect.encrypted, leave_one_out=study.cross_fitted)


def _side(context: Context, state: State, calculator: MakeCalculator | None) -> FittedSide:
    from secure_gal.protection.sums.aggregator import SumAggregator
    from secure_gal.protection.sums.assistor import SealedFits
    from secure_gal.protection.sums.combiner import open_combiner

    study = context.study
    adds = context.identity.card.name == study.adder
    aggregator = SumAggregator(context, state, calculator or open_combiner) if adds else None
    return SealedFits(aggregator, keyed_answers=not study.protect.encrypted)


def _parts(context: Context, cipher: Cipher) -> PartPort:
    from secure_gal.protection.sums.parts import SummedParts

    return SummedParts(cipher, context.digest, context.cards[context.study.adder])


FITS = FittedMode(declares=True, steps=_steps, port=_port, side=_side, parts=_parts, lines=lines)
