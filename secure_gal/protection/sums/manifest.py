"""Who learns what where the sponsor sees sums only."""

from __future__ import annotations

from secure_gal.protection.disclosure import Disclosure
from secure_gal.settings.study import Study

HOW = "CKKS sum, the sponsor's key"
FLOODED = f"{HOW}; re-randomised and flooded"


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
    products = _products(study) if study.weights != "uniform" else ()
    return (*_sealed_fits(study.adder), *products, *_sum(study))


def _sealed_fits(adder: str) -> tuple[Disclosure, ...]:
    """From an assistor to the aggregator, by way of the sponsor."""
    sealed = _sealed(adder)
    return (
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
    )


def _products(study: Study) -> tuple[Disclosure, ...]:
    """What the weights are made from, where they are not all alike."""
    adder, parties, assistors = study.adder, len(study.parties), len(study.assistors)
    numbers = assistors * (assistors + 1) // 2 + assistors
    return (
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
            f"{FLOODED}, to 20 bits at least",
            f"after decryption, these {numbers} numbers: how "
            f"alike any two of the {parties} parties' fits are, and how long each is",
            readable=True,
        ),
    )


def _sum(study: Study) -> tuple[Disclosure, ...]:
    """What the sponsor learns of a round's fits."""
    limits = (
        f"over rounds the sums are linear equations in the features of all {len(study.assistors)} assistors, which can "
        "be solved once rounds times outputs come near the number of those features"
    )
    return (
        Disclosure(
            "weights",
            "sponsor",
            "assistor",
            f"each assistor's weight, every round, to {study.adder} alone",
            "clear",
            "how much each assistor helped: functions of the labels and of everyone's features",
        ),
        Disclosure(
            "weighted-sum",
            "assistor",
            "sponsor",
            f"the weighted sum of all assistors' fitted values, from {study.adder}",
            FLOODED,
            f"after decryption, that sum and no single assistor's; {limits}",
            readable=True,
        ),
    )


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
            FLOODED,
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
