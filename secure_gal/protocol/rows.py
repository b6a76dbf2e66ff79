"""The study's rows, once every pair is matched: their order, and which train, or that there are none (PROTOCOL.md step
6)."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from secure_gal import events, messages
from secure_gal.data.align import NoRowsError, combine
from secure_gal.effects import Effect, Send
from secure_gal.protocol.alignment_sponsor import SponsorAlignment
from secure_gal.protocol.sponsor_records import Counts, SponsorRecords
from secure_gal.settings.study import Study
from secure_gal.state import Entries


def number_rows(
    study: Study,
    ids: int,
    alignment: SponsorAlignment,
    kept: SponsorRecords,
    coverage: Entries[npt.NDArray[Any]],
) -> list[Effect]:
    """Number the rows, draw the validation rows, and keep what came of it in place of the ids; or tell every assistor
    that there are none (then `kept.unmatched` says why).

    Args:
        ids: how many the sponsor has.
        coverage: by assistor, which of the study's rows it holds.
    """
    matches, order = {peer: alignment.match(peer) for peer in study.assistors}, None
    if study.protect.ids == "psi":
        from crypto.psi import shuffle

        order = shuffle(ids)
    try:
        found = combine(ids, matches, study.rows, order, study.validation, study.seed)
    except NoRowsError as error:
        return _end(study, kept, error.problem)
    kept.rows.set(found.own)
    kept.train.set(found.train.astype(np.uint8))
    for peer in study.assistors:
        kept.positions[peer] = found.positions[peer]
        coverage[peer] = found.coverage[peer]
        kept.attempt[peer] = matches[peer].attempt
    held = {study.sponsor: ids} | {peer: alignment.held(peer) for peer in study.assistors}
    kept.ids.clear()
    kept.matches.clear()
    train = int(found.train.sum())
    kept.counts.set(Counts(len(found.own), train, len(found.own) - train, held))
    warned: list[Effect] = [events.Warned(found.warning)] if found.warning else []
    return [events.Aligned(len(found.own), train, len(found.own) - train, held), *warned]


def _end(study: Study, kept: SponsorRecords, why: str) -> list[Effect]:
    kept.unmatched.set(why)
    kept.ids.clear()
    kept.matches.clear()
    return [events.Unmatched(), *(Send(peer, messages.NoRows()) for peer in study.assistors)]
