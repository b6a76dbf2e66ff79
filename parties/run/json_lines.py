"""Events as `--json` writes them: one object a line, with UTC time (docs/EVENTS.md)."""

from __future__ import annotations

import json
import math
from datetime import UTC, datetime

import msgspec

from secure_gal.errors import printable
from secure_gal.events import Event


def utc_now() -> datetime:
    """The machine's clock."""
    return datetime.now(UTC)


def json_line(event: Event, time: datetime) -> str:
    """An event as one JSON object in ASCII: `time` (RFC 3339, UTC, milliseconds), `event`, and the event's fields."""
    at = time.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    fields = {name: _plain(value) for name, value in msgspec.to_builtins(event).items()}
    return json.dumps({"time": at, **fields}, allow_nan=False)


def _plain(value: object) -> object:
    """What JSON has no word for (NaN, infinities) is null; half of a surrogate pair, as in odd file names, is escaped;
    nothing in a text steers a terminal that prints it decoded."""
    match value:
        case dict():
            return {key: _plain(item) for key, item in value.items()}
        case float():
            return value if math.isfinite(value) else None
        case str():
            return printable(value, keep="\n")
        case _:
            return value
