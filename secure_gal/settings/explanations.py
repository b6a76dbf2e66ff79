"""What a person needs to mend a settings file: the field, its value, what is accepted, and the name that was meant."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping

import msgspec.inspect

RETIRED: dict[tuple[str, object], str] = {
    ("protect.parameters", "fast"): (
        'it hid data and key behind too little and is gone; write "standard", the default, which takes about as long, '
        'or "strict"'
    )
}
"""By place and value: what a setting of an earlier release is to be replaced by."""


def explain(text: str, raw: Mapping[str, object], kind: type) -> str:
    """msgspec's message with what it leaves out: the value of a field, the fields and values that are accepted.

    Args:
        text: of a `msgspec.ValidationError`; raw: what was converted; kind: to which struct.
    """
    problem, _, where = text.replace("Object ", "").partition(" - at `$")
    place = where.strip("`.")
    value: object = raw
    literal = msgspec.inspect.type_info(kind)
    for part in place.split(".") if place else ():
        fields = {field.encode_name: field.type for field in getattr(literal, "fields", ())}
        if part not in fields or not isinstance(value, dict):  # inside a list or a table of options
            return f"{problem} - at `{place}`"
        literal, value = fields[part], value[part]
    if unknown := re.fullmatch("contains unknown field `(.*)`", problem):
        names = [field.encode_name for field in getattr(literal, "fields", ())]
        close = difflib.get_close_matches(unknown[1], names, 1)
        meant = f"; did you mean `{close[0]}`?" if close else ""
        return f"{problem}{f' in [{place}]' if place else ''}{meant}; accepted: {', '.join(names)}"
    if problem.startswith("Invalid enum value"):
        return f"`{place}` is {value!r}; {RETIRED.get((place, value), f'accepted: {_accepted(literal)}')}"
    return f"{problem} - at `{place}`: {value!r}" if place else problem


def _accepted(literal: msgspec.inspect.Type) -> str:
    kinds = literal.types if isinstance(literal, msgspec.inspect.UnionType) else (literal,)
    named = [repr(value) for kind in kinds if isinstance(kind, msgspec.inspect.LiteralType) for value in kind.values]
    numbers = any(isinstance(kind, msgspec.inspect.FloatType | msgspec.inspect.IntType) for kind in kinds)
    return ", ".join([*named, *(["a number"] if numbers else [])])
