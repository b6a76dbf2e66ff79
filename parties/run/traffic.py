"""Bytes by direction, peer and message kind, kept over restarts."""

from __future__ import annotations

import msgspec

from parties.run.store import RunStore

Counts = dict[str, dict[str, dict[str, int]]]


class Traffic:
    """Counts message bytes; a resend of stored bytes is not counted again."""

    def __init__(self, store: RunStore) -> None:
        self.counts = counts_of(store)
        store.with_every_step("traffic", lambda: msgspec.json.encode(self.counts).decode())

    def count(self, direction: str, peer: str, kind: str, size: int) -> None:
        """Add one message."""
        kinds = self.counts[direction].setdefault(peer, {})
        kinds[kind] = kinds.get(kind, 0) + size

    def total(self, direction: str) -> int:
        """Bytes in one direction, all peers and kinds."""
        return sum(sum(kinds.values()) for kinds in self.counts[direction].values())


def counts_of(store: RunStore) -> Counts:
    """What the run directory says, as of the last step."""
    saved = store.meta("traffic")
    return msgspec.json.decode(saved, type=Counts) if saved else {"sent": {}, "received": {}}
