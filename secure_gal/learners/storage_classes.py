"""The classes that a saved model may name, and objects of them: nothing of a class is called but `__setstate__`."""

from __future__ import annotations

import importlib
import sys
from typing import Any

PLACES = ("secure_gal.data.", "secure_gal.features.", "secure_gal.learners.")
"""Modules of this package whose classes a saved model may name."""


class Unreadable(Exception):
    """A node is none, or names a class that is not trusted."""


def class_named(name: object, places: tuple[str, ...]) -> type:
    """The class of a name that one of these starts with.

    Raises:
        Unreadable: it is not trusted, there is no such class, or the module has only imported it: by way of what our
            modules import, a file could name any class there is.
    """
    if not isinstance(name, str) or not name.startswith(places):
        raise Unreadable(f"it names {name!r}, whose module is not trusted")
    module, _, path = name.partition(":")
    try:
        found: object = sys.modules.get(module) or importlib.import_module(module)
        for part in path.split("."):
            found = getattr(found, part)
    except (ImportError, AttributeError) as error:
        raise Unreadable(f"it names {name!r}, which is not there: {error}") from error
    if not isinstance(found, type):
        raise Unreadable(f"it names {name!r}, which is no class")
    if (found.__module__, found.__qualname__) != (module, path):
        raise Unreadable(f"it names {name!r}, which is a name of {found.__module__}:{found.__qualname__}")
    return found


def with_state(kind: type, state: object) -> object:
    """An object of a class, never initialised, with the state that `__getstate__` gave; Unreadable."""
    made: Any = object.__new__(kind)
    if hasattr(kind, "__setstate__"):
        made.__setstate__(state)
        return made
    held, slots = state if isinstance(state, tuple) and len(state) == 2 else (state, {})
    held = held or {}
    if not isinstance(held, dict) or not isinstance(slots, dict):
        raise Unreadable(f"{kind.__name__} has no such state")
    for name, value in {**held, **slots}.items():
        object.__setattr__(made, name, value)
    return made
