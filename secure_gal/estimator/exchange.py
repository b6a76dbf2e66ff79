"""The roles of one study that hand each other their messages in this process: in order, once, without a wire."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import NamedTuple, Protocol, assert_never

import msgspec

from secure_gal.effects import Done, Effect, Job, Send, Work
from secure_gal.errors import DataError, SettingsError, StateError
from secure_gal.events import Event
from secure_gal.events.fact import Fact
from secure_gal.messages import Message
from secure_gal.state import State


@contextmanager
def of_party(name: str) -> Iterator[None]:
    """SettingsError of a learner says whose it was."""
    try:
        yield
    except DataError:
        raise
    except SettingsError as error:
        place = f"learners ({name})" if error.where.startswith("[learner") else error.where
        raise SettingsError(place, error.problem) from error


class Role(Protocol):
    """What the sponsor, an assistor and a prediction share."""

    state: State

    @property
    def phase(self) -> str: ...
    def start(self) -> list[Effect]: ...
    def receive(self, peer: str, message: Message) -> list[Effect]: ...


class Delivery(NamedTuple):
    """A message and between whom it went."""

    sender: str
    receiver: str
    message: Message


class Exchange:
    """Runs every role until nothing is due.

    Args:
        roles: by party.
        on_event: is told every fact, and whose it is.

    Attributes:
        delivered: every message in the order in which it arrived.
        seconds: of each party's jobs, by what they were about.
    """

    def __init__(self, roles: Mapping[str, Role], on_event: Callable[[str, Event], None]) -> None:
        self._roles, self._on_event = roles, on_event
        self._due: deque[tuple[str, Delivery | Job]] = deque()
        self.delivered: list[Delivery] = []
        self.seconds: dict[tuple[str, Work], float] = {}

    def run(self) -> None:
        """Start every role, and go on until all are done.

        Raises:
            SecureGalError: as the roles raise it; a party's limit is a ConsentError.
        """
        for name, role in self._roles.items():
            self._take(name, role.start())
        while self._due:
            name, next_ = self._due.popleft()
            match next_:
                case Delivery(sender, receiver, message):
                    self.delivered.append(next_)
                    with of_party(receiver):
                        effects = self._roles[receiver].receive(sender, message)
                    self._take(receiver, effects)
                case Job():
                    self._compute(name, next_)
                case _:
                    assert_never(next_)

    def _take(self, name: str, effects: list[Effect]) -> None:
        for effect in effects:
            match effect:
                case Send(peer, message):
                    self._due.append((name, Delivery(name, peer, message)))
                case Job(first=True):
                    self._compute(name, effect)
                case Job():
                    self._due.append((name, effect))
                case Done():
                    pass
                case Fact():
                    self._on_event(name, effect)
                case _:
                    assert_never(effect)

    def _compute(self, name: str, job: Job) -> None:
        began = time.perf_counter()
        with of_party(name):
            result = job.job()
        key = name, job.work
        self.seconds[key] = self.seconds.get(key, 0.0) + time.perf_counter() - began
        self._take(name, job.then(result))


def payload_bytes(message: Message) -> int:
    """Bytes of a message's fields, without header and signature."""
    total = 0
    for spec in message.FIELDS:
        value = getattr(message, spec.name)
        total += len(msgspec.json.encode(value)) if spec.dtype == "json" else int(value.nbytes)
    return total


def require_phase(role: Role, phase: str, name: str) -> None:
    """StateError where nothing is due and a role is not where it should be."""
    if role.phase != phase:
        raise StateError(f"nothing is due any more, and {name} is {role.phase} instead of {phase}")
