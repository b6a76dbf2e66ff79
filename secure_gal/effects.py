"""What a protocol object asks its surroundings to do; it opens nothing, sleeps never and reads no clock."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Generic, Literal, TypeVar

from secure_gal.events import Event
from secure_gal.messages import Message

T = TypeVar("T")
Work = Literal[
    "prepare",
    "encode",
    "fit",
    "alone",
    "own",
    "contributions",
    "keys",
    "encrypt",
    "decrypt",
    "conclude",
    "head",
    "answer",
    "mask",
    "tag",
    "products",
    "weights",
    "sum",
]
"""What a job is about: for records of time. Nothing that a party sends or keeps depends on it."""


@dataclass(frozen=True, slots=True)
class Send:
    """Deliver this message to this party, once, in order, across crashes."""

    peer: str
    message: Message


@dataclass(frozen=True, slots=True)
class Job:
    """Run a job that may take long, then hand its result to `then`, whose effects follow in one step.

    What the result is, whoever runs it need not know; it is made as `Compute`, where the two agree on it. As this class
    has no T, a checker finds T from job and continuation, and not from the list of effects that it stands in.

    A job is forgotten when the process dies; a role that is taken up again asks for it again.

    Attributes:
        round: that it belongs to, 0 for none.
        first: whether it must be done before the party goes online: what a restart needs in memory.
        aside: whether it may run beside other jobs: it shares nothing with them that changes.
    """

    work: Work
    job: Callable[[], object] = field(repr=False)
    then: Callable[[Any], list[Effect]] = field(repr=False)
    round: int = 0
    first: bool = False
    aside: bool = False


@dataclass(frozen=True, slots=True)
class Compute(Job, Generic[T]):
    """A job whose continuation takes what it makes."""

    job: Callable[[], T] = field(repr=False)
    then: Callable[[T], list[Effect]] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Done:
    """This role has nothing left to do in this stage."""


Effect = Send | Job | Event | Done
