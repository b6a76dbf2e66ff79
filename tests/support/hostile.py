"""Roles without network or disk, and what a hostile peer might send them.

`Play` carries messages between protocol objects in order and keeps what each of them would have on disk, so that a role
can be rebuilt (`Build`) at any moment of an honest run and be attacked there, as often as wanted.
"""

from __future__ import annotations

import dataclasses
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any

import msgspec
import numpy as np

from secure_gal.effects import Compute, Send
from secure_gal.errors import PeerViolation, SettingsError
from secure_gal.messages import Message
from secure_gal.state import State

Build = Callable[[str, State], Any]
"""(party, its state) to its protocol object."""
Change = Callable[[Any], Message]
"""What comes instead of a message."""
HUGE = 10**400
"""An integer that JSON can carry and a float cannot."""


class Play:
    """An honest run among protocol objects."""

    def __init__(self, names: tuple[str, ...], build: Build) -> None:
        self.build = build
        self.disk: dict[str, dict[str, Any]] = {name: {} for name in names}
        self.roles = {name: build(name, State()) for name in names}
        self.sent: list[tuple[str, str, Message]] = []
        self.log: list[tuple[str, str, str, Any]] = []
        """(party, `receive` or `computed`, peer or work, message or result) of all that happened."""
        self._queue: deque[tuple[str, Any]] = deque()
        for name, role in self.roles.items():
            self._take(name, role.start())

    def add(self, name: str, role: Any) -> None:
        """Put another object in a party's place, such as one that predicts."""
        self.roles[name] = role
        self._take(name, role.start())

    def _take(self, name: str, effects: list[Any]) -> None:
        for key, value in self.roles[name].state.take_changes().items():
            if value is None:
                self.disk[name].pop(key, None)
            else:
                self.disk[name][key] = value
        self._queue += [(name, effect) for effect in effects if isinstance(effect, Send | Compute)]

    def step(self) -> bool:
        """Deliver one message or run one job."""
        if not self._queue:
            return False
        name, effect = self._queue.popleft()
        if isinstance(effect, Compute):
            result = effect.job()
            self._take(name, effect.then(result))
            self.log.append((name, "computed", effect.work, result))
        else:
            self.sent.append((name, effect.peer, effect.message))
            self._take(effect.peer, self.roles[effect.peer].receive(name, effect.message))
            self.log.append((effect.peer, "receive", name, effect.message))
        return True

    def run(self) -> None:
        """To its end."""
        while self.step():
            pass

    def until(self, name: str, kind: str) -> Message:
        """Run until this message is the next to be delivered to this party; the message."""
        while True:
            _, effect = self._queue[0]
            if isinstance(effect, Send) and (effect.peer, effect.message.KIND) == (name, kind):
                return effect.message
            assert self.step(), f"no {kind} to {name}"

    @property
    def sender(self) -> str:
        """Of the message that is the next to be delivered."""
        return self._queue[0][0]

    def until_job(self, name: str, work: str) -> Compute:
        """Run until this job of this party is the next to be run; the job."""
        while True:
            owner, effect = self._queue[0]
            if isinstance(effect, Compute) and (owner, effect.work) == (name, work):
                return effect
            assert self.step(), f"no job {work} of {name}"

    def copy(self, name: str, *, prepared: bool) -> Any:
        """This party's object as a restart makes it; unless `prepared`, in the moment before its first job is done."""
        role = self.build(name, State(dict(self.disk[name])))
        effects = role.start()
        while prepared and effects:
            effect = effects.pop(0)
            if isinstance(effect, Compute):
                effects += effect.then(effect.job())
        role.state.take_changes()
        return role


def attack(role: Any, peer: str, message: Message) -> str:
    """'accepted', or the rule that the message broke: then nothing changed, and the error names a party.

    Whatever an accepted message makes the role compute is computed too.
    """
    role.state.take_changes()
    try:
        effects = role.receive(peer, message)
    except (PeerViolation, SettingsError) as error:  # a SettingsError: the peer's study is another, or beyond a budget
        assert role.state.take_changes() == {}, f"{message.KIND} was refused and changed the state"
        return str(error)
    try:
        for effect in effects:
            if isinstance(effect, Compute):
                effects += effect.then(effect.job())
    except PeerViolation:
        return "accepted"  # found by computing
    return "accepted"


def variants(message: Message) -> Iterator[Message]:
    """The message with one field changed at a time, to values at the edges of what the wire lets through."""
    yield message
    for round_ in (0, message.round + 1, HUGE):
        yield dataclasses.replace(message, round=round_)
    for spec in message.FIELDS:
        value = getattr(message, spec.name)
        for other in _arrays(value) if isinstance(value, np.ndarray) else _structures(value):
            yield dataclasses.replace(message, **{spec.name: other})


def _arrays(value: np.ndarray) -> Iterator[np.ndarray]:
    yield value[:0]
    yield value[:-1]
    yield np.concatenate([value, value[:1]])
    yield np.zeros_like(value)
    yield np.full_like(value, np.nan if value.dtype.kind == "f" else np.iinfo(value.dtype).max)
    if value.dtype.kind == "f":
        yield np.full_like(value, np.inf)
    if value.ndim == 2:
        yield value[:, :-1]
        yield np.zeros((0, 0), value.dtype)


def _structures(value: Any) -> Iterator[Any]:
    if isinstance(value, bool):
        yield not value
    elif isinstance(value, int):
        yield from (0, -1, value + 1, HUGE)
    elif isinstance(value, str):
        yield from ("", "zz", "\u20ac", "00" * 32, "00" * 64, "{" + '"a":' * 2 + "[" * 100_000, value[:-1])
    elif isinstance(value, tuple):
        yield from ((), value[:1] * 2, ("",), value[:1])
    elif isinstance(value, dict):
        yield {}
        yield dict.fromkeys(("nobody",), next(iter(value.values()), None))
        for key, item in list(value.items())[:1]:
            yield from (value | {key: other} for other in _structures(item))
    elif isinstance(value, msgspec.Struct):
        for name in value.__struct_fields__:
            for other in _structures(getattr(value, name)):
                yield msgspec.structs.replace(value, **{name: other})


def put(**fields: Any) -> Change:
    """The message with these fields; a function gets the field as it was."""

    def change(message: Any) -> Message:
        new = {k: v(getattr(message, k)) if callable(v) else v for k, v in fields.items()}
        changed: Message = dataclasses.replace(message, **new)
        return changed

    return change


def inner(field: str, **values: Any) -> Change:
    """The message whose structure `field` has these values; a function gets the value as it was."""

    def change(message: Any) -> Message:
        struct = getattr(message, field)
        new = {k: v(getattr(struct, k)) if callable(v) else v for k, v in values.items()}
        changed: Message = dataclasses.replace(message, **{field: msgspec.structs.replace(struct, **new)})
        return changed

    return change


def repeat(array: np.ndarray) -> np.ndarray:
    out = array.copy()
    out[0] = out[1]
    return out


def nan(array: np.ndarray) -> np.ndarray:
    return np.full_like(array, np.nan)


def later(round_: int) -> int:
    return round_ + 1


def earlier(round_: int) -> int:
    return round_ - 1


def cut(array: np.ndarray) -> np.ndarray:
    return array[:-1]
