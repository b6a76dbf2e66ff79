"""Who learns what where the sponsor sees sums only."""

from __future__ import annotations

from dataclasses import replace

from secure_gal.manifest import Disclosure
from secure_gal.study import Study

REPLACED = frozenset({"features", "fitted", "encrypted-fitted", "predict-reply", "encrypted-predict-reply"})
"""What is never sent in such a study."""


def summed_rounds(study: Study, rounds: tuple[Disclosure, ...]) -> tuple[Disclosure, ...]:
    """The lines of the rounds, with what assistors send one by one replaced by what the sponsor sees of their sum."""
    how, adder = "CKKS sum, the sponsor's key", study.adder
    sealed = f"{how}; sealed end to end to {adder}"
    flooded = f"{how}; re-randomised and flooded"
    least = f"{how}; re-randomised and flooded, to 20 bits at least"
    parties, assistors = len(study.parties), len(study.assistors)
    numbers = assistors * (assistors + 1) // 2 + assistors
    limits = (
        f"over rounds the sums are linear equations in the features of all {assistors} assistors, which can be solved "
        f"once rounds times outputs come near the number of those features"
    )
    lines = [
        Disclosure("declared", "assistor", "sponsor", "the number of its features", "clear", "the size of its model"),
        Disclosure(
            "declarations",
            "sponsor",
            "assistor",
            "the number of features of every assistor",
            "clear",
            "the same: by it each assistor judges what sums give away",
        ),
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
            how,
            "nothing while CKKS is secure",
        ),
        Disclosure(
            "inner-products",
            "assistor",
            "sponsor",
            f"{numbers} inner products of fits less the residual over all training rows, every round, from {adder}",
            least,
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
            flooded,
            "after decryption, that sum: a function of the new rows' features at all assistors",
            readable=True,
        ),
    ]
    if study.weights == "uniform":
        lines = [line for line in lines if line.message not in ("own-difference", "inner-products")]
    if study.protect.ids == "clear":
        lines += [
            Disclosure("known-request", "sponsor", "assistor", "ids to predict", "clear", "who is being scored"),
            Disclosure(
                "known-reply",
                "assistor",
                "sponsor",
                "which of these ids it knows",
                "clear",
                "which of them the assistor holds",
            ),
        ]
    kept = [line for line in rounds if line.message not in REPLACED]
    terms = "; to an assistor with fresh features, which says so, one by one for every round that was run"
    kept = [replace(k, content=k.content + terms) if k.message == "encrypted-finish" else k for k in kept]
    return (*kept, *lines)
