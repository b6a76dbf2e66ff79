"""Where a kind of message is registered, once; every list of kinds is made from what stands here."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, ClassVar, Literal, TypeVar

from secure_gal.errors import StateError
from secure_gal.messages.fields import FieldSpec

Role = Literal["sponsor", "assistor", "aggregator"]
"""The aggregator is an assistor: what is true of every assistor is true of it as well."""
Phase = Literal["Agreement", "Alignment of rows", "Assistance rounds", "Evidence", "End of learning", "Prediction"]
Setting = Literal[
    "",
    'ids = "psi"',
    'residuals = "ckks"',
    'predictions = "sum"',
    'residuals = "dp" or "ip"',
    'predictions = "noise"',
]
"""The line of `[protect]` that a kind belongs to; empty for those that need none."""
Route = tuple[Role, ...]
"""Author, who relays it if anybody does, receiver."""
UP: Route = ("assistor", "sponsor")
DOWN: Route = ("sponsor", "assistor")
FROM_AGGREGATOR: Route = ("aggregator", "sponsor")
TO_AGGREGATOR: Route = ("sponsor", "aggregator")
RELAYED: Route = ("aggregator", "sponsor", "assistor")


@dataclasses.dataclass(frozen=True, slots=True)
class About:
    """What is true of every message of a kind.

    Attributes:
        step: in PROTOCOL.md.
        phase: under which the report adds up its bytes.
        route: through whose hands it goes.
        back: it may be sent in the other direction too.
        setting: the protection that it belongs to.
        before_run: it travels before a run exists, so its header names none.
    """

    step: str
    phase: Phase
    route: Route
    back: bool = False
    setting: Setting = ""
    before_run: bool = False

    @property
    def senders(self) -> frozenset[Role]:
        """Who sends it over a link: its author, and the sponsor where that relays it."""
        return frozenset(self.route if self.back else self.route[:-1])


class Message:
    """What every kind of message has; a class becomes one through `message` alone."""

    __slots__ = ()
    KIND: ClassVar[str]
    FIELDS: ClassVar[tuple[FieldSpec, ...]]
    """Its payload fields, in wire order."""
    ABOUT: ClassVar[About]
    if TYPE_CHECKING:  # at run time it would be taken for the default of the field

        @property
        def round(self) -> int:
            """The assistance round that it belongs to, 0 outside of the rounds."""


MESSAGES: dict[str, type[Message]] = {}
"""Every kind by its name on the wire."""
M = TypeVar("M", bound=Message)


def message(
    kind: str,
    *,
    step: str,
    phase: Phase,
    route: Route,
    back: bool = False,
    setting: Setting = "",
    before_run: bool = False,
) -> Callable[[type[M]], type[M]]:
    """Register a frozen dataclass with `FIELDS` and `round` as a kind of message; arguments as `About` has them.

    Raises:
        StateError: the kind's name is taken, or `FIELDS` are not the fields of the class.
    """
    about = About(step, phase, route, back, setting, before_run)

    def register(found: type[M]) -> type[M]:
        held = {field.name for field in dataclasses.fields(found)}  # type: ignore[arg-type]  # `register` is for those
        if kind in MESSAGES:
            raise StateError(f"two kinds of message are called {kind!r}: {MESSAGES[kind].__name__}, {found.__name__}")
        if held != {"round", *(spec.name for spec in found.FIELDS)}:
            raise StateError(f"{found.__name__} has the fields {sorted(held)}, and says that it sends others")
        found.KIND, found.ABOUT = kind, about
        MESSAGES[kind] = found
        return found

    return register


def kinds_of(phase: Phase) -> frozenset[str]:
    """The kinds of one phase, by name."""
    return frozenset(kind for kind, found in MESSAGES.items() if phase == found.ABOUT.phase)


def in_step_order(kinds: Iterable[str]) -> tuple[str, ...]:
    """Kinds by the number of their step in PROTOCOL.md, then its letter; those of one step as they were registered."""
    wanted = frozenset(kinds)
    listed = [kind for kind in MESSAGES if kind in wanted]
    return tuple(sorted(listed, key=lambda kind: _step(MESSAGES[kind].ABOUT.step)))


def _step(step: str) -> tuple[int, str]:
    number = step.rstrip("abcdefghijklmnopqrstuvwxyz")
    return int(number), step[len(number) :]
