"""What `forecast` said before a study began, against what it took: for summary.json and the report."""

from __future__ import annotations

import msgspec

from parties.report.summary import Foretold, Number, Summary, What
from parties.run.session import Session
from secure_gal.forecast.reckoning import Forecast

FILE = ".forecast.json"
"""Beside the party's file, after its name."""


def kept(session: Session) -> Forecast | None:
    """The forecast of this very study; None where none was made, or none that can be read."""
    file = session.file
    try:
        found = msgspec.json.decode(file.with_name(file.stem + FILE).read_bytes(), type=Forecast)
    except (OSError, msgspec.MsgspecError):
        return None
    return found if (found.digest, found.party) == (session.digest, session.party.party) else None


def against(session: Session, summary: Summary) -> Foretold | None:
    """Foretold and actual rows, rounds, bytes, CPU seconds of the sponsor, and seconds from the last greeting.

    What rounds cost is foretold for as many as were run.

    Returns:
        `name: {foretold, actual}`, either None where it is not known; None where no forecast was made.
    """
    told = kept(session)
    if told is None:
        return None
    moved = sum(sum(kinds.values()) for way in summary["bytes"].values() for kinds in way.values())
    seconds, costs = summary["seconds"], told.after(summary["rounds"])
    pairs: dict[What, tuple[Number | None, Number | None]] = {
        "rows": (told.rows, summary["rows"]["aligned"]),
        "rounds": (told.rounds, summary["rounds"]),
        "bytes": (costs.bytes, moved),
        "cpu": (_short(costs.cpu), seconds["cpu"]),
        "from_ready": (_short(costs.elapsed), seconds["from_ready"]),
    }
    return {name: {"foretold": before, "actual": after} for name, (before, after) in pairs.items()}


WORDS: dict[What, str] = {
    "rows": "rows in common",
    "rounds": "rounds",
    "bytes": "bytes sent and received",
    "cpu": "CPU seconds of the sponsor",
    "from_ready": "seconds from the last party's greeting",
}


def shown(found: Foretold | None) -> list[tuple[str, str, str, str]]:
    """(what, foretold, actual, how far off) as a page shows them; nothing where no forecast was made."""
    rows = []
    for name, pair in (found or {}).items():
        told, actual = pair["foretold"], pair["actual"]
        off = f"{(told - actual) / actual:+.0%}" if told is not None and actual else ""
        rows.append((WORDS[name], _number(told), _number(actual), off))
    return rows


def _number(value: Number | None) -> str:
    return "not known" if value is None else f"{value:,.2f}" if isinstance(value, float) else f"{value:,}"


def _short(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 3)
