"""Words for people."""

from __future__ import annotations

from secure_gal.events.fact import Fact


class Warned(Fact, frozen=True, tag="warning"):
    """What a person should look at."""

    text: str


class Logged(Fact, frozen=True, tag="log"):
    """What a learner says during a long fit."""

    text: str


class Failed(Fact, frozen=True, tag="error"):
    """The command ends with this exit code and message."""

    exit_code: int
    text: str


Words = Warned | Logged | Failed
