"""What a study moved against what was foretold of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from parties.run.certifier import KINDS
from secure_gal.volume import Volume

HEADER_BYTES = 500
"""Header, signature and salts of a message, about."""

AT_MOST = "evaluation-keys"
"""How many there are depends on the width of the receiver's features."""


def unforeseen(volume: Volume, moved: Mapping[str, int], besides: frozenset[str] = frozenset()) -> dict[str, Any]:
    """Kinds of messages whose bytes are other than foretold, but for a header each; what says nothing of rows has
    none."""
    told: Counter[str] = Counter()
    for flow in volume.learning():
        told[flow.message] += flow.nbytes
    most = HEADER_BYTES * 2 * (len(volume.study.parties) - 1) * volume.study.rounds
    kinds = (set(told) | {kind for kind, size in moved.items() if size > most}) - besides - KINDS - {""}
    fewer = {kind: told[kind] // 2 if kind == AT_MOST else 0 for kind in kinds}
    return {
        kind: (told[kind], moved.get(kind, 0))
        for kind in kinds
        if not -fewer[kind] <= moved.get(kind, 0) - told[kind] < most
    }
