"""`forecast`: seconds and bytes of a study before it begins, from two seconds of this party's own work.

What was measured is kept (`parties.run.calibrated`), and stands for the same work on this machine from then on.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from parties.commands import setup
from parties.commands.at_hand import AtHand, at_hand
from parties.report.foretold import FILE
from parties.report.rounds import write_atomically
from parties.run import calibrated
from parties.run.session import Session
from secure_gal.errors import EnvironmentFailure, SecureGalError, SettingsError
from secure_gal.forecast import reckoning
from secure_gal.forecast.calibration import Measured, work_of
from secure_gal.forecast.reckoning import Costs, Forecast, ways
from secure_gal.forecast.traffic import foretold
from secure_gal.forecast.widths import padded_width, widest
from secure_gal.protocol.agreement import reading
from secure_gal.settings.address import one_machine
from secure_gal.volume import Volume
from transport import wire

if TYPE_CHECKING:
    from secure_gal.holdings.party import PartyHolding

RATES = (1, 10, 100)
"""Mbit/s."""


@dataclasses.dataclass(frozen=True, slots=True)
class Known:
    """What can be told of the others: rows that all parties hold, and columns that an assistor makes of its own."""

    rows: int | None = None
    width: int | None = None


def forecast(file: Path, known: Known | None = None, *, measure: bool = False) -> str:
    """`told`, with what this party's data, or the sponsor's key, has left.

    Raises:
        SettingsError: as `told`.
        DataError: nothing could be learned from the table.
    """
    from secure_gal.holdings.check import check_data

    party = at_hand(file)
    session, model = party.session, party.model
    check_data(model.table, session.party, session.study)
    return "\n".join([told(party, known, measure=measure), *_budgets(session, model)])


def told(party: AtHand, known: Known | None = None, *, measure: bool = False) -> str:
    """Forecast with what is known, keep it beside the party's file for the report, and put it in words.

    Args:
        measure: this machine, although it was measured before.

    Raises:
        SettingsError: more rows than this party has, or fewer than two.
    """
    session, model, known = party.session, party.model, known or Known()
    rows, padded = _assumed(session, model, known)
    measured, whence = _measured(session, model, padded, anew=measure)
    fewest = rows if known.rows is not None else max(2, rows // 2)
    ends = [_told(party, measured, count, padded) for count in dict.fromkeys((fewest, rows))]
    return f"{in_words(session, ends)}\n  {whence}{_kept(session, ends[-1])}"


def _kept(session: Session, found: Forecast) -> str:
    """Keep it for the report; returns why that failed: what `check` and `forecast` tell does not hang on it."""
    try:
        write_atomically(session.file.with_name(session.file.stem + FILE), _as_json(found))
    except EnvironmentFailure as error:
        return f"; the report will not show this forecast: {error}"
    return ""


def _as_json(found: Forecast) -> str:
    return msgspec.json.encode(found).decode() + "\n"


def _budgets(session: Session, model: PartyHolding) -> list[str]:
    lines = [] if session.party.party == session.study.sponsor else setup.budgets(session, model.table)
    return [*lines, setup.replies_ahead(session, len(model.ids))] if session.study.protect.keyed else lines


def _assumed(session: Session, model: PartyHolding, known: Known) -> tuple[int, int]:
    """(rows, P): all of this party's rows, and features as wide as its own, where nothing else is known."""
    mine = len(model.ids)
    rows = mine if known.rows is None else known.rows
    if not 2 <= rows <= mine:
        raise SettingsError("--rows", f"{rows:,}; accepted: 2 to {mine:,}, the rows of this party")
    study, learner = session.study, session.party.learner
    return rows, padded_width(study, known.width or widest(study, learner, model.table.frame.width, rows))


def _measured(session: Session, model: PartyHolding, padded: int, *, anew: bool) -> tuple[Measured, str]:
    """What steps take on this machine, and in words since when that is known."""
    study, party = session.study, session.party
    work = work_of(study, party, _columns_of(model), len(model.ids), padded)
    kept, unusable = calibrated.read(party.home, calibrated.this_machine())
    entry = kept.find(work)
    if entry is not None and not anew and _fits(entry.measured, session, padded):
        return entry.measured, f"measured on this machine {entry.when}; `secure-gal forecast --measure` does it anew"
    try:
        measured = _measure(session, padded)
    except SecureGalError as error:  # a sample may lack what the table has; the next forecast tries again
        return Measured(untold=f"seconds are not foretold: {error}"), "nothing was measured"
    failed = calibrated.keep(party.home, kept, work, measured)
    said = f"; {unusable}" if unusable else ""
    return measured, f"measured on this machine now{said}; " + (failed or f"kept in {party.home / calibrated.FILE}")


def _columns_of(model: PartyHolding) -> tuple[str, ...]:
    from secure_gal.data.arrays import ArrayRows

    frame = model.table.frame
    return (str(frame.shape[1:]),) if isinstance(frame, ArrayRows) else tuple(map(str, frame.dtypes))


def _fits(measured: Measured, session: Session, padded: int) -> bool:
    """Whether a kept measurement has what this study asks for; a file that was written by hand may not."""
    if measured.untold:
        return True
    protect = session.study.protect
    ciphers = measured.ciphers if measured.sums is None else measured.sums.fits
    found = None if ciphers is None else (ciphers.parameters, ciphers.padded)
    due = ("sum-training" if protect.summed else protect.parameters, padded) if protect.encrypted else None
    return measured.timings is not None and found == due and protect.summed == (measured.sums is not None)


def _measure(session: Session, padded: int) -> Measured:
    """Two seconds of this party's own work, on a table that is read anew so that nothing of it is kept."""
    from secure_gal.forecast import rehearsal, sums
    from secure_gal.holdings.assistor import AssistorData
    from secure_gal.holdings.sponsor import SponsorData

    study, party, folder = session.study, session.party, session.folder
    quiet, silent = rehearsal.quiet(party, folder), lambda text: None
    if party.party == study.sponsor:
        timings = rehearsal.sponsor(SponsorData(quiet, study, folder, silent), study, party)
    else:
        timings = rehearsal.assistor(AssistorData(quiet, study, folder, silent), study, party.learner)
    if study.protect.summed:
        own = party.learner.kind != "none" or party.party != study.sponsor
        return Measured(timings, sums=sums.measure(study, padded, own=own))
    if not study.protect.encrypted:
        return Measured(timings)
    from crypto.ckks.sets import named
    from secure_gal.forecast.ciphertexts import measure

    params = named(study.protect.parameter_set)
    return Measured(timings, measure(params, padded, leave_one_out=study.cross_fitted))


def _told(party: AtHand, measured: Measured, rows: int, padded: int) -> Forecast:
    """With what one round more would cost, so that a study which ends early can be held against it."""
    ids, last_round = party.model.ids, party.session.study.rounds
    volume = Volume(party.session.study, rows, len(msgspec.json.encode(ids)) * rows // len(ids), padded)
    told, longer = (_of_rounds(party, measured, volume, rounds) for rounds in (last_round, last_round + 1))
    last, first = longer.costs, told.costs
    cpu, elapsed = (
        None if after is None or before is None else after - before
        for after, before in ((last.cpu, first.cpu), (last.elapsed, first.elapsed))
    )
    return msgspec.structs.replace(told, a_round=Costs(last.bytes - first.bytes, cpu, elapsed))


def _of_rounds(party: AtHand, measured: Measured, volume: Volume, rounds: int) -> Forecast:
    session, rows, me = party.session, volume.rows, party.session.party.party
    study = msgspec.structs.replace(session.study, rounds=rounds)
    flows = foretold(dataclasses.replace(volume, study=study), reading(session.canonical), wire.around)
    base = Forecast(session.digest, me, rows, volume.width, rounds, *ways(flows, me), untold=measured.untold)
    if measured.timings is None:
        return base
    pace, elapsed = measured.timings.pace(rows), None
    if me == study.sponsor:
        made, moved = (study, pace, measured.ciphers, measured.sums, rows), base.costs.bytes
        seconds, elapsed = reckoning.of_sponsor(*made, moved)
        if one_machine(study.address):
            each = sum(reckoning.of_assistor(*made, aggregates=False).values())
            cores = calibrated.this_machine().cores
            elapsed = reckoning.on_one_machine(elapsed, seconds, each, len(study.assistors), cores)
    else:
        adds = me == study.adder
        seconds = reckoning.of_assistor(study, pace, measured.ciphers, measured.sums, rows, aggregates=adds)
    told = {"start": party.start} | seconds
    return msgspec.structs.replace(base, seconds=told, elapsed=elapsed, epochs=measured.timings.epochs)


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
    if last.epochs:
        lines.append(f"  every fit of the network takes its {last.epochs} epochs here; one that stops early takes less")
    if last.elapsed is not None:
        one = one_machine(session.study.address)
        machines = "all parties share this one's cores" if one else "the others' machines are like this one"
        lines.append(
            f"  from the last greeting to the results: {_range([e.elapsed for e in ends])} s and what the line takes, "
            f"if {machines} and do nothing else"
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
    at_most = "" if last.padded else "at most "  # an encrypted study runs as many as were agreed
    return f"forecast: {at_most}{session.study.rounds} rounds, {rows}{more}{width}"


def _range(ends: Sequence[float | None]) -> str:
    return " to ".join(f"{end:.1f}" for end in ends if end is not None)


def _mb(nbytes: int) -> str:
    return f"{nbytes / 1e6:,.2f} MB" if nbytes >= 50_000 else f"{nbytes / 1e3:,.1f} kB"
