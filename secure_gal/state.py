"""A party's durable state: rows by key, read and written through typed entries.

Each part of the protocol names its entries once, with what they hold; nothing else knows a key. A row is an array or a
byte string, as the run directory keeps it (docs/decisions/0001-sqlite-run-directory.md).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import msgspec
import numpy as np
import numpy.typing as npt

T = TypeVar("T")
Value = npt.NDArray[Any] | bytes
V = TypeVar("V", bound=Value)


class NoEntry(KeyError):
    """A row that was never set, or was dropped; its text is the key."""


ERASABLE = "secret/"
"""Entries under this prefix are bytes that leave no trace in the run directory once they were dropped."""


class State:
    """Named arrays and byte strings, with the changes since the last commit.

    The surroundings write `take_changes()` to disk in the same transaction as the outgoing messages.
    """

    def __init__(self, saved: Mapping[str, Value] | None = None) -> None:
        self.rows: dict[str, Value] = dict(saved or {})
        self.changes: dict[str, Value | None] = {}
        """What is not on the disk yet; None of a row that was dropped."""

    def __repr__(self) -> str:
        return f"State({len(self.rows)} entries)"

    def __contains__(self, key: str) -> bool:
        return key in self.rows

    def put(self, key: str, value: Value) -> None:
        """Set a value; it is durable after the next commit."""
        self.rows[key] = value
        self.changes[key] = value

    def drop(self, key: str) -> None:
        """Forget this key, if it is there."""
        if self.rows.pop(key, None) is not None:
            self.changes[key] = None

    def drop_all(self, prefix: str) -> None:
        """Forget every key that starts with `prefix`."""
        for key in self.keys(prefix):
            self.drop(key)

    def row(self, key: str, kind: type[V]) -> V:
        """What is saved under `key`; NoEntry when there is nothing, TypeError for the other kind."""
        value = self.rows.get(key)
        if value is None:
            raise NoEntry(key)
        if not isinstance(value, kind):
            held, due = ("an array", "bytes are") if kind is bytes else ("bytes", "an array is")
            raise TypeError(f"the state entry {key!r} holds {held} where {due} due")
        return value

    def array(self, key: str) -> npt.NDArray[Any]:
        """The array saved under `key`; raises as `row`."""
        return self.row(key, np.ndarray)

    def raw(self, key: str, default: bytes = b"") -> bytes:
        """The bytes saved under `key`, or `default`; TypeError for an array."""
        return self.row(key, bytes) if key in self.rows else default

    def text(self, key: str, default: str = "") -> str:
        """The text saved under `key`, or `default`."""
        return self.raw(key, default.encode()).decode()

    def keys(self, prefix: str) -> list[str]:
        """All keys that start with `prefix`, in insertion order."""
        return [key for key in self.rows if key.startswith(prefix)]

    def take_changes(self) -> dict[str, Value | None]:
        """What changed since the last call; None means deleted."""
        changes, self.changes = self.changes, {}
        return changes


@dataclass(frozen=True, slots=True)
class Form(Generic[T]):
    """How a value becomes a row, and back from the state's row of a key."""

    pack: Callable[[T], Value]
    read: Callable[[State, str], T]


def form(kind: type[V], pack: Callable[[T], V], unpack: Callable[[V], T]) -> Form[T]:
    """Of values whose rows are of this kind."""
    return Form(pack, lambda state, key: unpack(state.row(key, kind)))


ARRAY: Form[npt.NDArray[Any]] = form(np.ndarray, np.asarray, np.asarray)
RAW: Form[bytes] = form(bytes, bytes, bytes)
TEXT: Form[str] = form(bytes, str.encode, bytes.decode)
NUMBER: Form[int] = form(bytes, lambda value: str(value).encode(), int)
REAL: Form[float] = form(np.ndarray, lambda value: np.array([value]), lambda row: float(row[0]))
MASK: Form[npt.NDArray[np.bool_]] = form(np.ndarray, lambda value: value.astype(np.uint8), lambda row: row.astype(bool))
MARK: Form[None] = form(bytes, lambda value: b"1", lambda row: None)
"""Of an entry that says something by being there."""


def json_of(kind: type[T]) -> Form[T]:
    """A value of this type as canonical JSON."""
    return form(bytes, msgspec.json.encode, msgspec.json.Decoder(kind).decode)


class Entry(Generic[T]):
    """One row."""

    __slots__ = ("_form", "_key", "_state")

    def __init__(self, state: State, key: str, form: Form[T]) -> None:
        self._state, self._key, self._form = state, key, form

    @property
    def there(self) -> bool:
        """Whether it was set."""
        return self._key in self._state.rows

    def get(self) -> T:
        """Its value; NoEntry when it was not set."""
        return self._form.read(self._state, self._key)

    def get_or(self, default: T) -> T:
        """Its value, or `default` when it was not set."""
        return self.get() if self._key in self._state.rows else default

    def set(self, value: T) -> None:
        """Durable after the next commit."""
        self._state.rows[self._key] = self._state.changes[self._key] = self._form.pack(value)

    def drop(self) -> None:
        """Forget it, if it is there."""
        if self._state.rows.pop(self._key, None) is not None:
            self._state.changes[self._key] = None


class Entries(Generic[T]):
    """Rows of one form by a party's name, or by a number (of a round: four digits, so that they sort)."""

    __slots__ = ("_digits", "_form", "_prefix", "_state")

    def __init__(self, state: State, prefix: str, form: Form[T], digits: int = 0) -> None:
        self._state, self._prefix, self._form, self._digits = state, prefix, form, digits

    def _key(self, of: str | int) -> str:
        return self._prefix + (f"{of:0{self._digits}d}" if isinstance(of, int) else of)

    def __contains__(self, of: str | int) -> bool:
        return self._key(of) in self._state.rows

    def __getitem__(self, of: str | int) -> T:
        return self._form.read(self._state, self._key(of))

    def __setitem__(self, of: str | int, value: T) -> None:
        key = self._key(of)
        self._state.rows[key] = self._state.changes[key] = self._form.pack(value)

    def drop(self, of: str | int) -> None:
        """Forget one, if it is there."""
        self._state.drop(self._key(of))

    def clear(self) -> None:
        """Forget all."""
        self._state.drop_all(self._prefix)

    def names(self) -> list[str]:
        """Whose there are, in the order in which they were first set."""
        return [key.removeprefix(self._prefix) for key in self._state.rows if key.startswith(self._prefix)]
