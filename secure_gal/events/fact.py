"""What all events are."""

from __future__ import annotations

import msgspec


class Fact(msgspec.Struct, frozen=True, tag_field="event"):
    """What all events are; only those of the union `Event` exist."""
