"""One table of the protocol: (role, phase, message) to the phases that it may lead to. The rest is refused.

The steps that every study has stand here; a mode of protection adds its own (`secure_gal.protection`). Pictures of
docs/phases.md are drawn from it (`docs/draw_phases.py`).
"""

from __future__ import annotations

import functools
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from secure_gal.errors import PeerViolation, StateError
from secure_gal.state import TEXT, Entry, State

Role = Literal["sponsor", "assistor", "prediction", "collector", "witness"]
"""The last two are the sponsor and an assistor once more, in certificates, which run beside the rounds."""
START, JOB = "(start)", "(job)"
"""What stands for a message where a party begins by itself, and where a job's end leads on."""


@dataclass(frozen=True, slots=True)
class Step:
    """A message kind that is legal in a phase, and the phases that it, or a job that it asks for, may lead to.

    A phase that waits for several messages of a kind leads to itself until the last one has come.
    """

    role: Role
    phase: str
    kind: str
    to: tuple[str, ...]


def steps(role: Role, phase: str, kinds: Iterable[str], *to: str) -> tuple[Step, ...]:
    """The same for several kinds."""
    return tuple(Step(role, phase, kind, to) for kind in kinds)


CERTIFICATES = (
    Step("collector", "idle", START, ("asking",)),
    Step("collector", "asking", "ledger-head", ("asking", "signing")),
    Step("collector", "signing", "heads-signature", ("signing", "idle", "asking")),
    Step("witness", "idle", "head-request", ("shown",)),
    Step("witness", "shown", "ledger-heads", ("signed",)),
    Step("witness", "signed", "ledger-certificate", ("idle",)),
)
"""The steps of one certificate after the other, in every study."""


@functools.cache
def common(*, private: bool, declares: bool) -> tuple[Step, ...]:
    """The steps outside rounds and predictions, and those of certificates.

    Args:
        private: whether ids are aligned privately.
        declares: whether the phase `declaring` lies between alignment and the first round.
    """
    first = "declaring" if declares else "learning"
    aligning = ("realign", "masked-ids", "tags") if private else ("ids",)
    after = ("declaring", "learning", "finishing", "unmatched")
    late = [phase for phase in after if private and (declares or phase != "declaring")]
    return (
        Step("sponsor", "new", START, ("greeting",)),
        Step("sponsor", "greeting", "hello", ("greeting", "signing")),
        Step("sponsor", "signing", "run-signature", ("signing", "aligning")),
        *steps("sponsor", "aligning", aligning, "aligning", first, "unmatched"),
        *(step for phase in late for step in steps("sponsor", phase, aligning, phase)),  # of attempts given up: ignored
        Step("sponsor", "finishing", "finished", ("finishing", "finished")),
        Step("assistor", "new", START, ("greeted",)),
        Step("assistor", "greeted", "run-offer", ("signed",)),
        Step("assistor", "signed", "run-agreement", ("aligning",)),
        *steps("assistor", "aligning", ("realign", "masked-query") if private else (), "aligning"),
        Step("assistor", "aligning", "rows", (first,)),
        Step("assistor", "aligning", "no-rows", ("unmatched",)),
        *steps("assistor", "serving", ("realign", "masked-query") if private else (), "serving"),
        Step("assistor", "serving", "predict-rows" if private else "predict-request", ("serving",)),
        *steps("prediction", "open", ("realign", "masked-ids", "tags") if private else (), "open"),
        *CERTIFICATES,
    )


class Order:
    """What one role may be sent in the phase that it is in."""

    def __init__(self, role: Role, table: Iterable[Step]) -> None:
        self._table = {(step.phase, step.kind): step.to for step in table if step.role == role}

    @property
    def now(self) -> str:
        """The phase, from what is kept."""
        raise NotImplementedError

    def legal(self) -> frozenset[str]:
        """The message kinds that are legal now."""
        return frozenset(kind for phase, kind in self._table if phase == self.now)

    def check(self, peer: str, kind: str) -> None:
        """PeerViolation for a message that is not legal now."""
        if (self.now, kind) not in self._table:
            legal = ", ".join(sorted(self.legal())) or "nothing"
            raise PeerViolation(peer, f"{kind} is not legal while {self.now}; legal: {legal}")


class Phases(Order):
    """The phase of one role, kept in its state; nothing moves it but along the table."""

    def __init__(self, role: Role, table: Iterable[Step], state: State) -> None:
        super().__init__(role, table)
        self._entry = Entry(state, "phase", TEXT)

    @property
    def now(self) -> str:
        """The phase; `new` before the start."""
        return self._entry.get_or("new")

    def enter(self, phase: str) -> None:
        """Go on to a phase; StateError where no step of this one leads to it."""
        if not any(phase in to for (at, _), to in self._table.items() if at == self.now):
            raise StateError(f"nothing leads from {self.now} to {phase}")
        self._entry.set(phase)
