"""What `check` says of the bytes that a study will move, so that nobody finds out on a slow line."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import msgspec

from parties.run.session import Session
from secure_gal.forecast.traffic import foretold
from secure_gal.protocol.agreement import reading
from secure_gal.volume import Flow, Volume
from transport import wire

if TYPE_CHECKING:
    from secure_gal.holdings.party import PartyHolding

ASKED = 1000
"""Ids of the prediction that is reckoned with."""
RATES = (1, 10, 100)
"""Mbit/s."""


def bytes_ahead(session: Session, model: PartyHolding) -> str:
    """Bytes between this party and each peer, by purpose; what a line needs for them; and those of a prediction."""
    study, me, rows = session.study, session.party.party, len(model.ids)
    volume = Volume(study, rows, len(msgspec.json.encode(model.ids)))
    learning = foretold(volume, reading(session.canonical), wire.around)
    predicting = volume.predicting(ASKED)
    about = "about; keys as for the widest features" if study.protect.keyed else "about"
    lines = [f"bytes on the way, if every party holds these {rows:,} rows and all rounds are run ({about})"]
    peers = study.assistors if me == study.sponsor else (study.sponsor,)
    for peer in peers:
        lines += [f"  {way} {peer}: {_sums(found)}" for way, found in _ways(learning, me, peer)]
    total = sum(flow.nbytes for peer in peers for _, found in _ways(learning, me, peer) for flow in found)
    seconds = ", ".join(f"{total / (rate * 125_000):.0f}" for rate in RATES)
    lines.append(
        f"  in all {_mb(total)}; at {', '.join(map(str, RATES))} Mbit/s at least {seconds} s, besides computing"
    )
    for peer in peers:
        found = " and ".join(
            f"{_mb(sum(f.nbytes for f in flows))} {way} {peer}" for way, flows in _ways(predicting, me, peer)
        )
        lines.append(f"  a prediction of {ASKED:,} ids: {found}")
    return "\n".join(lines)


def _ways(flows: Iterable[Flow], me: str, peer: str) -> list[tuple[str, list[Flow]]]:
    listed = list(flows)
    return [
        ("to", [f for f in listed if (f.sender, f.receiver) == (me, peer)]),
        ("from", [f for f in listed if (f.sender, f.receiver) == (peer, me)]),
    ]


def _sums(flows: Iterable[Flow]) -> str:
    sums: dict[str, int] = {}
    for flow in flows:
        sums[flow.what] = sums.get(flow.what, 0) + flow.nbytes
    return ", ".join(f"{what} {_mb(nbytes)}" for what, nbytes in sums.items())


def _mb(nbytes: int) -> str:
    return f"{nbytes / 1e6:,.1f} MB" if nbytes >= 50_000 else f"{nbytes / 1e3:,.1f} kB"
