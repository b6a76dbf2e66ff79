"""What a study digest covers, version 3 (decision 0012): every party computes it offline and consents to it once.

Version 1 covered every field there was, so that each new one changed every digest and every consent given. Since
version 2 the fields that it began with are always covered, and a later one only where it is not at its default. Version
3 covers the same fields; it says that values of training rows are those of cross-fitted rounds (decision 0019), which
parties of version 2 would answer otherwise under the same words.
"""

from __future__ import annotations

import functools

import msgspec

VERSION = 3
"""Of the digest, and so of everything that parties of one study must do alike; it stands in what the digest covers."""
FIRST_RELEASE = "0.1"
"""The release of version 1, which keeps no record of its release and tells it nobody."""
LABEL = b"secure-gal/3 study digest\0"
STUDY_FIELDS = frozenset(
    {
        "name",
        "task",
        "sponsor",
        "assistors",
        "loss",
        "outputs",
        "rounds",
        "weights",
        "learning_rate",
        "validation",
        "patience",
        "patience_seconds",
        "seed",
        "rows",
        "id_form",
        "max_ids",
        "max_queries",
        "aggregator",
        "leakage_threshold",
        "protect",
    }
)
"""Fields of a study that versions 2 and 3 began with, but for the address. Nothing is ever added or taken away here."""
PROTECT_FIELDS = frozenset(
    {
        "ids",
        "residuals",
        "predictions",
        "parameters",
        "epsilon",
        "classes",
        "label_range",
        "noise",
        "clip",
    }
)
"""The same of `[protect]`."""


def covered(settings: msgspec.Struct, fields: frozenset[str]) -> dict[str, object]:
    """One table of settings as the digest covers it, in builtin types.

    Args:
        fields: those that are always covered.
    """
    found = {}
    for field in _fields(type(settings)):
        value = getattr(settings, field.name)
        if field.name in fields or value != _default(field):
            found[field.name] = msgspec.to_builtins(value)
    return found


@functools.cache
def _fields(kind: type[msgspec.Struct]) -> tuple[msgspec.structs.FieldInfo, ...]:
    """Once a kind: msgspec evaluates every annotation anew."""
    return msgspec.structs.fields(kind)


def _default(field: msgspec.structs.FieldInfo) -> object:
    return field.default if field.default_factory is msgspec.NODEFAULT else field.default_factory()
