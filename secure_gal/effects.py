"""What a protocol object asks its surroundings to do; it opens nothing, sleeps never and reads no clock."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from secure_gal.events import Event
from secure_gal.messages import Message

Value = npt.NDArray[Any] | bytes


@dataclass(frozen=True, slots=True)
class Send:
    """Deliver this message to this party, once, in order, across crashes."""

    peer: str
    message: Message


@dataclass(frozen=True, slots=True)
class Compute:
    """Run a job that may take long, then hand its result to `computed(tag, result)`."""

    tag: str
    job: Callable[[], object] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Done:
    """This role has nothing left to do in this stage."""


Effect = Send | Compute | Event | Done
ERASABLE = "secret/"
"""State entries under this prefix are bytes that leave no trace in the run directory once they were dropped."""


class State:
    """A protocol's durable state: named arrays and byte strings, with the changes since the last commit.

    The surroundings write `take_changes()` to disk in the same transaction as the outgoing messages.
    """

    def __init__(self, saved: Mapping[str, Value] | None = None) -> None:
        self._values: dict[str, Value] = dict(saved or {})
        self._changes: dict[str, Value | None] = {}

    def __repr__(self) -> str:
        return f"State({len(self._values)} entries)"

    def __contains__(self, key: str) -> bool:
        return key in self._values

    def put(self, key: str, value: Value) -> None:
        """Set a value; it is durable after the next commit."""
        self._values[key] = value
        self._changes[key] = value

    def drop(self, key: str) -> None:
        """Forget this key, if it is there."""
        if self._values.pop(key, None) is not None:
            self._changes[key] = None

    def drop_all(self, prefix: str) -> None:
        """Forget every key that starts with `prefix`."""
        for key in self.keys(prefix):
            self.drop(key)

    def array(self, key: str) -> npt.NDArray[Any]:
        """The array saved under `key`; KeyError when there is none."""
        value = self._values[key]
        if isinstance(value, bytes):
            raise TypeError(f"state entry {key!r} holds bytes")
        return value

    def raw(self, key: str, default: bytes = b"") -> bytes:
        """The bytes saved under `key`, or `default`."""
        value = self._values.get(key, default)
        if not isinstance(value, bytes):
            raise TypeError(f"state entry {key!r} holds an array")
        return value

    def text(self, key: str, default: str = "") -> str:
        """The text saved under `key`, or `default`."""
        return self.raw(key, default.encode()).decode()

    def keys(self, prefix: str) -> list[str]:
        """All keys that start with `prefix`, in insertion order."""
        return [key for key in self._values if key.startswith(prefix)]

    def take_changes(self) -> dict[str, Value | None]:
        """What changed since the last call; None means deleted."""
        changes, self._changes = self._changes, {}
        return changes


def as_array(value: object) -> npt.NDArray[Any]:
    """A job's result as an array; a TypeError is a bug of ours."""
    if not isinstance(value, np.ndarray):
        raise TypeError("expected an array")
    return value
