"""What a study moved against what was foretold of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from parties.run.certifier import KINDS
from secure_gal.volume import HEADER_BYTES, Volume


def unforeseen(volume: Volume, moved: Mapping[str, int], besides: frozenset[str] = frozenset()) -> dict[str, Any]:
    """Kinds of messages whose bytes are other than foretold, but for a header each; what says nothing of rows has
    none."""
    told: Counter[str] = Counter()
    for flow in volume.learning():
        told[flow.message] += flow.nbytes
    most = HEADER_BYTES * 2 * (len(volume.study.parties) - 1) * volume.study.rounds
    kinds = (set(told) | {kind for kind, size in moved.items() if size > most}) - besides - KINDS - {""}
    return {kind: (told[kind], moved.get(kind, 0)) for kind in kinds if not 0 <= moved.get(kind, 0) - told[kind] < most}
