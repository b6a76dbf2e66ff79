"""How many reply ciphertexts the rounds of a study take of the budget tau that its parameter set hides data for."""

from __future__ import annotations

import math
from typing import assert_never

from crypto.ckks.sets import named
from secure_gal.settings.study import Study


def learning_replies(study: Study, train: int, others: int) -> int:
    """Reply ciphertexts (sums, where the sponsor sees sums only) that an assistor's rows take over all rounds.

    Args:
        train, others: training and validation rows.
    """
    if study.protect.summed:
        from crypto.ckks.fits import Layout

        return study.rounds * Layout(train, others, study.k).ciphertexts
    return study.rounds * math.ceil((train + others) / named(study.protect.parameter_set).n) * study.k


def learning_decryptions(study: Study, train: int, others: int) -> int:
    """Ciphertexts that the sponsor decrypts over all rounds, the inner products of sums among them."""
    replies = learning_replies(study, train, others)
    if not study.protect.summed:
        return replies * len(study.assistors)
    match study.weights:
        case "uniform":
            return replies
        case "fitted" | "paper":
            from crypto.ckks.products import pairs

            return replies + study.rounds * len(pairs(len(study.assistors), True))
        case _:
            assert_never(study.weights)


def budget_problem(study: Study, train: int, others: int) -> str:
    """Why so many rows cannot take part, or empty."""
    needed, params = learning_replies(study, train, others), named(study.protect.parameter_set)
    if needed <= params.tau:
        return ""
    return (
        f"{study.rounds} rounds over {train + others} rows and {study.k} outputs are {needed} reply ciphertexts; the "
        f"parameter set {params.name!r} hides an assistor's data for at most {params.tau}: use fewer rounds or rows"
    )
