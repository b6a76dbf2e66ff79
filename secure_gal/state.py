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

    def array(self, key: str) -> npt.NDArray[Any]:
        """The array saved under `key`; NoEntry when there is none, TypeError for bytes."""
        return _array(self.row(key))

    def row(self, key: str) -> Value:
        """What is saved under `key`; NoEntry when there is nothing."""
        try:
            return self.rows[key]
        except KeyError:
            raise NoEntry(key) from None

    def raw(self, key: str, default: bytes = b"") -> bytes:
        """The bytes saved under `key`, or `default`; TypeError for an array."""
        return _bytes(self.rows.get(key, default))

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


def _array(value: Value) -> npt.NDArray[Any]:
    if isinstance(value, bytes):
        raise TypeError("a state entry holds bytes where an array is due")
    return value


def _bytes(value: Value) -> bytes:
    if not isinstance(value, bytes):
        raise TypeError("a state entry holds an array where bytes are due")
    return value


@dataclass(frozen=True, slots=True)
class Form(Generic[T]):
    """How a value becomes a row, and back."""

    pack: Callable[[T], Value]
    unpack: Callable[[Value], T]


ARRAY: Form[npt.NDArray[Any]] = Form(lambda value: value, _array)
RAW: Form[bytes] = Form(lambda value: value, _bytes)
TEXT: Form[str] = Form(str.encode, lambda value: _bytes(value).decode())
NUMBER: Form[int] = Form(lambda value: str(value).encode(), lambda value: int(_bytes(value)))
REAL: Form[float] = Form(lambda value: np.array([value]), lambda value: float(_array(value)[0]))
MASK: Form[npt.NDArray[np.bool_]] = Form(lambda value: value.astype(np.uint8), lambda value: _array(value).astype(bool))
MARK: Form[None] = Form(lambda value: b"1", lambda value: None)
"""Of an entry that says something by being there."""


def json_of(kind: type[T]) -> Form[T]:
    """A value of this type as canonical JSON."""
    decoder = msgspec.json.Decoder(kind)
    return Form(msgspec.json.encode, lambda value: decoder.decode(_bytes(value)))


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
        return self._form.unpack(self._state.row(self._key))

    def get_or(self, default: T) -> T:
        """Its value, or `default` when it was not set."""
        row = self._state.rows.get(self._key)
        return default if row is None else self._form.unpack(row)

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
        return self._form.unpack(self._state.row(self._key(of)))

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
