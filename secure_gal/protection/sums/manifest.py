"""Who learns what where the sponsor sees sums only."""

from __future__ import annotations

from secure_gal.protection.disclosure import Disclosure
from secure_gal.settings.study import Study

HOW = "CKKS sum, the sponsor's key"


def lines(study: Study) -> tuple[Disclosure, ...]:
    """What assistors send one by one elsewhere, and what the sponsor sees of their sum here."""
    return (*_declared(), *_fits(study), *_parts(study), *(_known() if study.protect.ids == "clear" else ()))


def _declared() -> tuple[Disclosure, ...]:
    """Before the first round."""
    return (
        Disclosure(
            "declared",
            "assistor",
            "sponsor",
            "the number of its features; the digest of keys that it still has",
            "clear",
            "the size of its model, and whether an earlier run of this study left keys there",
        ),
        Disclosure(
            "declarations",
            "sponsor",
            "assistor",
            "the number of features of every assistor",
            "clear",
            "the same: by it each assistor judges what sums give away",
        ),
    )


def _fits(study: Study) -> tuple[Disclosure, ...]:
    """Of every round."""
    adder, parties, assistors = study.adder, len(study.parties), len(study.assistors)
    sealed, flooded = _sealed(adder), f"{HOW}; re-randomised and flooded"
    numbers = assistors * (assistors + 1) // 2 + assistors
    limits = (
        f"over rounds the sums are linear equations in the features of all {assistors} assistors, which can be solved "
        "once rounds times outputs come near the number of those features"
    )
    lines = (
        Disclosure(
            "sealed-fitted",
            "assistor",
            "sponsor",
            "fitted values of all rows, every round",
            sealed,
            "nothing while the sealing is secure; who has fitted",
        ),
        Disclosure(
            "relayed-fitted",
            "sponsor",
            "assistor",
            f"the same, relayed to {adder}",
            sealed,
            "nothing while CKKS is secure: the aggregator has no key",
        ),
        Disclosure(
            "own-difference",
            "sponsor",
            "assistor",
            f"the sponsor's own fit less the residual, to {adder}",
            HOW,
            "nothing while CKKS is secure",
        ),
        Disclosure(
            "inner-products",
            "assistor",
            "sponsor",
            f"{numbers} inner products of fits less the residual over all training rows, every round, from {adder}",
            f"{flooded}, to 20 bits at least",
            f"after decryption, these {numbers} numbers: how "
            f"alike any two of the {parties} parties' fits are, and how long each is",
            readable=True,
        ),
        Disclosure(
            "weights",
            "sponsor",
            "assistor",
            f"each assistor's weight, every round, to {adder} alone",
            "clear",
            "how much each assistor helped: functions of the labels and of everyone's features",
        ),
        Disclosure(
            "weighted-sum",
            "assistor",
            "sponsor",
            f"the weighted sum of all assistors' fitted values, from {adder}",
            flooded,
            f"after decryption, that sum and no single assistor's; {limits}",
            readable=True,
        ),
    )
    solved = ("own-difference", "inner-products")
    return tuple(line for line in lines if study.weights != "uniform" or line.message not in solved)


def _parts(study: Study) -> tuple[Disclosure, ...]:
    """Of a prediction batch."""
    adder = study.adder
    sealed = _sealed(adder)
    leverage = "; of rows that trained, how unusual each is, as their mean" if study.cross_fitted else ""
    return (
        Disclosure(
            "sealed-part",
            "assistor",
            "sponsor",
            "its part of each prediction",
            sealed,
            "nothing while the sealing is secure",
        ),
        Disclosure(
            "relayed-part",
            "sponsor",
            "assistor",
            f"the same, relayed to {adder}",
            sealed,
            "nothing while CKKS is secure: the aggregator has no key",
        ),
        Disclosure(
            "summed-part",
            "assistor",
            "sponsor",
            f"the sum of all assistors' parts, from {adder}",
            f"{HOW}; re-randomised and flooded",
            f"after decryption, that sum: a function of the new rows' features at all assistors{leverage}",
            readable=True,
        ),
    )


def _known() -> tuple[Disclosure, ...]:
    """Of a prediction batch whose ids are clear."""
    return (
        Disclosure("known-request", "sponsor", "assistor", "ids to predict", "clear", "who is being scored"),
        Disclosure(
            "known-reply",
            "assistor",
            "sponsor",
            "which of these ids it knows",
            "clear",
            "which of them the assistor holds",
        ),
    )


def _sealed(adder: str) -> str:
    return f"{HOW}; sealed end to end to {adder}"
