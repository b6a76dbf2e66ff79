"""What a fit will take, before it: the same reckoning as `secure-gal forecast`, with all parties in this process."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TypedDict

import msgspec

from secure_gal.estimator.blocks import Block
from secure_gal.estimator.holding import Target, ids_of, in_memory, settings_for
from secure_gal.estimator.house import Cast, Chosen
from secure_gal.estimator.key import temporary_home
from secure_gal.forecast import reckoning, rehearsal, sums
from secure_gal.forecast.calibration import Measured
from secure_gal.forecast.ciphertexts import measure
from secure_gal.forecast.traffic import foretold
from secure_gal.forecast.widths import padded_width, widest
from secure_gal.gal.split import split_rows
from secure_gal.holdings.assistor import AssistorData
from secure_gal.holdings.sponsor import SponsorData
from secure_gal.protocol.agreement import reading
from secure_gal.settings.study import Study
from secure_gal.volume import Volume


class Foretold(TypedDict):
    """Bytes by (sender, receiver), CPU seconds by (party, work), and what is taken of each budget, and of how much."""

    bytes: dict[tuple[str, str], int]
    seconds: dict[tuple[str, str], float]
    budgets: dict[str, tuple[int, int]]


def foretell(study: Study, blocks: Sequence[Block], chosen: Mapping[str, Chosen], target: Target) -> Foretold:
    """Bytes, seconds and budgets of a study in which all rows take part and every round is run.

    Returns:
        bytes: by (sender, receiver), without what goes around messages on a line, as in `cost_`.
        seconds: of CPU, by (party, work).
        budgets: what is taken, and of how much, by what it is.
    """
    rows, padded = blocks[0].count, _padded(study, blocks, chosen)
    volume = Volume(study, rows, len(msgspec.json.encode(ids_of(rows))), padded)
    fingerprints = Cast.of(study, {}).fingerprints
    sent: dict[tuple[str, str], int] = {}
    for flow in foretold(volume, reading(study.canonical(fingerprints)), lambda *_: 0, certified=False):
        sent[flow.sender, flow.receiver] = sent.get((flow.sender, flow.receiver), 0) + flow.nbytes
    seconds = _seconds(study, blocks, chosen, target, padded)
    return {"bytes": sent, "seconds": seconds, "budgets": _budgets(study, rows)}


def _padded(study: Study, blocks: Sequence[Block], chosen: Mapping[str, Chosen]) -> int:
    """P of the widest assistor; 0 where nothing is encrypted."""
    columns = {block.party: block.inner[0] if block.inner else 0 for block in blocks[1:]}
    widths = (widest(study, chosen[name].settings, count, blocks[0].count) for name, count in columns.items())
    return padded_width(study, max(widths))


def _seconds(
    study: Study, blocks: Sequence[Block], chosen: Mapping[str, Chosen], target: Target, padded: int
) -> dict[tuple[str, str], float]:
    own = chosen[study.sponsor].settings.kind != "none"
    shared = Measured()
    if study.protect.summed:
        shared = Measured(sums=sums.measure(study, padded, own=own))
    elif study.protect.encrypted:
        from crypto.ckks.sets import named

        params = named(study.protect.parameter_set)
        shared = Measured(ciphers=measure(params, padded, leave_one_out=study.cross_fitted))
    seconds: dict[tuple[str, str], float] = {}
    for block in blocks:
        phases = _of_party(study, block, chosen[block.party], target, shared)
        seconds |= {(block.party, phase): round(value, 6) for phase, value in phases.items()}
    return seconds


def _of_party(study: Study, block: Block, chosen: Chosen, target: Target, shared: Measured) -> dict[str, float]:
    """A learner that was given as an object is rehearsed as a copy."""
    sponsor, rows = block.party == study.sponsor, block.count
    with temporary_home() as folder:
        asked = settings_for(block, chosen.settings, study, folder)
        party = rehearsal.quiet(asked, Path.cwd())
        learner = copy.deepcopy(chosen.own)
        memory = in_memory(block, party, study, learner=learner, target=target if sponsor else None, to_learn=True)
        if sponsor:
            own = SponsorData(party, study, Path.cwd(), lambda text: None, memory=memory)
            pace = rehearsal.sponsor(own, study, asked).pace(rows)
            return reckoning.of_sponsor(study, pace, shared.ciphers, shared.sums, rows)[0]
        model = AssistorData(party, study, Path.cwd(), lambda text: None, memory=memory)
        pace = rehearsal.assistor(model, study, asked.learner).pace(rows)
        adds = block.party == study.adder
        return reckoning.of_assistor(study, pace, shared.ciphers, shared.sums, rows, aggregates=adds)


def _budgets(study: Study, rows: int) -> dict[str, tuple[int, int]]:
    found = {"ids asked about": (rows, study.max_queries)}
    if study.protect.keyed:
        from crypto.ckks.sets import named
        from secure_gal.protection.reply_counts import learning_replies

        train = int(split_rows(rows, study.validation, study.seed).sum())
        found["reply ciphertexts"] = (
            learning_replies(study, train, rows - train),
            named(study.protect.parameter_set).tau,
        )
    return found
