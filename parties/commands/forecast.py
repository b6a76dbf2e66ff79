"""`forecast`: seconds and bytes of a study before it begins, from two seconds of this party's own work."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from crypto.ckks.sets import named
from parties.commands import setup
from parties.report.foretold import FILE
from parties.report.rounds import write_atomically
from parties.run.session import Session, open_session
from secure_gal.errors import SecureGalError, SettingsError
from secure_gal.forecast import reckoning
from secure_gal.forecast.ciphertexts import Ciphers, measure
from secure_gal.forecast.reckoning import Costs, Forecast, ways
from secure_gal.forecast.rehearsal import Rehearsal
from secure_gal.forecast.traffic import foretold
from secure_gal.protocol.agreement import reading
from secure_gal.volume import Volume
from transport import wire

RATES = (1, 10, 100)
"""Mbit/s."""
NO_NETWORKS = "seconds are not foretold for a network: how many epochs it takes, its training shows"
NO_SUMS = 'seconds are not foretold with predictions = "sum"'


@dataclasses.dataclass(frozen=True, slots=True)
class Known:
    """What can be told of the others: rows that all parties hold, and columns that an assistor makes of its own."""

    rows: int | None = None
    width: int | None = None


def forecast(file: Path, known: Known | None = None, *, budgets: bool = True) -> str:
    """Forecast with what is known, keep it beside the party's file for the report, and put it in words.

    Args:
        budgets: with what this party's data, or the sponsor's key, has left.

    Raises:
        SettingsError: more rows than this party has, or fewer than two.
        DataError: nothing could be learned from the table.
    """
    session = open_session(file)
    model = _model(session)
    known = known or Known()
    rows, padded = _assumed(session, model, known)
    timed = _timed(session, model, padded)
    fewest = rows if known.rows is not None else max(2, rows // 2)
    ends = [_told(session, model, timed, count, padded) for count in dict.fromkeys((fewest, rows))]
    write_atomically(file.with_name(file.stem + FILE), msgspec.json.encode(ends[-1]).decode() + "\n")
    lines = [in_words(session, ends), *(_budgets(session, model) if budgets else [])]
    return "\n".join(lines)


def _model(session: Session) -> Any:
    from secure_gal.forecast.rehearsal import quiet
    from secure_gal.holdings.assistor import AssistorData
    from secure_gal.holdings.check import check_data
    from secure_gal.holdings.sponsor import SponsorData

    kind = SponsorData if session.party.party == session.study.sponsor else AssistorData
    model = kind(quiet(session.party), session.study, session.file.resolve().parent, lambda text: None)
    check_data(model.table, session.party, session.study)
    return model


def _budgets(session: Session, model: Any) -> list[str]:
    lines = [] if session.party.party == session.study.sponsor else setup.budgets(session, model.table)
    return [*lines, setup.replies_ahead(session, len(model.ids))] if session.study.protect.keyed else lines


def _assumed(session: Session, model: Any, known: Known) -> tuple[int, int]:
    """(rows, P): all of this party's rows, and features as wide as its own columns, where nothing else is known."""
    mine = len(model.ids)
    rows = mine if known.rows is None else known.rows
    if not 2 <= rows <= mine:
        raise SettingsError("--rows", f"{rows:,}; accepted: 2 to {mine:,}, the rows of this party")
    if not session.study.protect.encrypted:
        return rows, 0
    from crypto.ckks.ring import padded

    width = known.width or model.table.frame.width + 1  # and the intercept's
    params = named(session.study.protect.parameter_set)
    return rows, padded(params, min(max(width, 1), params.max_features))


class Timed(NamedTuple):
    """What was measured here; `untold` says why nothing was."""

    start: float
    rehearsal: Rehearsal | None
    ciphers: Ciphers | None
    untold: str = ""


def _timed(session: Session, model: Any, padded: int) -> Timed:
    start = time.process_time()  # imports and the table: a party's own start takes as much
    study = session.study
    if why := _untold(session):
        return Timed(start, None, None, why)
    rehearsal = Rehearsal(study, len(model.ids))
    try:
        if session.party.party == study.sponsor:
            rehearsal.sponsor(model, session.party)
        else:
            rehearsal.assistor(model)
    except SecureGalError as error:  # a sample may lack what the table has
        return Timed(start, None, None, f"seconds are not foretold: {error}")
    if not study.protect.encrypted:
        return Timed(start, rehearsal, None)
    params = named(study.protect.parameter_set)
    return Timed(start, rehearsal, measure(params, padded, leave_one_out=study.cross_fitted))


def _told(session: Session, model: Any, timed: Timed, rows: int, padded: int) -> Forecast:
    """With what one round more would cost, so that a study which ends early can be held against it."""
    ids = len(msgspec.json.encode(model.ids)) * rows // len(model.ids)
    told, longer = (
        _of_rounds(session, timed, rows, padded, ids, rounds)
        for rounds in (session.study.rounds, session.study.rounds + 1)
    )
    last, first = longer.costs, told.costs
    cpu, elapsed = (
        None if after is None or before is None else after - before
        for after, before in ((last.cpu, first.cpu), (last.elapsed, first.elapsed))
    )
    return msgspec.structs.replace(told, a_round=Costs(last.bytes - first.bytes, cpu, elapsed))


def _of_rounds(session: Session, timed: Timed, rows: int, padded: int, ids: int, rounds: int) -> Forecast:
    study, me = msgspec.structs.replace(session.study, rounds=rounds), session.party.party
    flows = foretold(Volume(study, rows, ids, padded), reading(session.canonical), wire.around)
    base = Forecast(session.digest, me, rows, padded, rounds, *ways(flows, me), untold=timed.untold)
    if timed.rehearsal is None:
        return base
    pace, elapsed = timed.rehearsal.pace(rows), None
    if me == study.sponsor:
        seconds, elapsed = reckoning.of_sponsor(study, pace, timed.ciphers, rows)
    else:
        seconds = reckoning.of_assistor(study, pace, timed.ciphers, rows)
    return msgspec.structs.replace(base, seconds={"start": timed.start} | seconds, elapsed=elapsed)


def _untold(session: Session) -> str:
    from secure_gal.learners.declare import KINDS

    learner = session.party.learner
    networks = learner.kind in KINDS.names() and KINDS.find(learner.kind, "[learner] kind").torch
    if session.party.data.arrays or networks or "encoder" in learner.maps:
        return NO_NETWORKS
    return NO_SUMS if session.study.protect.summed else ""


def in_words(session: Session, ends: Sequence[Forecast]) -> str:
    """Both ends of what is not known: half of this party's rows, and all of them."""
    last, me = ends[-1], session.party.party
    lines = [_assumptions(session, last, ranged=len(ends) > 1)]
    for peer in last.sent:
        sent, received = (" to ".join(_mb(found[peer]) for found in each) for each in _columns(ends))
        lines.append(f"  {me} to {peer}: {sent}; {peer} to {me}: {received}")
    line = ", ".join(f"{last.costs.bytes / (rate * 125_000):,.0f}" for rate in RATES)
    lines.append(f"  in all at most {_mb(last.costs.bytes)}; at {', '.join(map(str, RATES))} Mbit/s at least {line} s")
    if last.untold:
        return "\n".join([*lines, f"  {last.untold}"])
    phases = ", ".join(f"{phase} {seconds:.2f}" for phase, seconds in last.seconds.items())
    lines.append(f"  CPU seconds of {me}: {_range([e.costs.cpu for e in ends])} ({phases})")
    if last.elapsed is not None:
        lines.append(
            f"  from the last greeting to the results: {_range([e.elapsed for e in ends])} s and what the line takes, "
            "if the others' machines are like this one and do nothing else"
        )
    return "\n".join(lines)


def _columns(ends: Sequence[Forecast]) -> tuple[list[dict[str, int]], list[dict[str, int]]]:
    return [end.sent for end in ends], [end.received for end in ends]


def _assumptions(session: Session, last: Forecast, *, ranged: bool) -> str:
    rows = f"{last.rows // 2:,} to {last.rows:,} rows in common" if ranged else f"{last.rows:,} rows in common"
    width = (
        f", assistors' features of up to {last.padded} columns (--width where they have others)" if last.padded else ""
    )
    more = " (--rows where you know better)" if ranged else ""
    return f"forecast: {session.study.rounds} rounds, {rows}{more}{width}"


def _range(ends: Sequence[float | None]) -> str:
    return " to ".join(f"{end:.1f}" for end in ends if end is not None)


def _mb(nbytes: int) -> str:
    return f"{nbytes / 1e6:,.2f} MB" if nbytes >= 50_000 else f"{nbytes / 1e3:,.1f} kB"
