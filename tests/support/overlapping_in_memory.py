"""Studies over an in-memory link whose tables overlap in part, aligned privately."""

from __future__ import annotations

from parties.run.budget import DataBudget
from parties.run.node import Node
from secure_gal.protocol import roles
from secure_gal.settings.limits import Beyond
from secure_gal.settings.study import Protect, Study
from secure_gal.state import State
from tests.support.simulation import MemoryStore, Network, Party
from tests.support.study_in_memory import FEW, NAMES, ROUNDS, Arrays, N, context, make_node, study

PRIVATE = study(protect=Protect(ids="psi"), validation=0.0)


class Overlapping(Arrays):
    """The lab lacks the first ten rows of the sponsor, the insurer the last ten of FEW; both hold others of their
    own."""

    def __init__(self, name: str, rounds: int = ROUNDS, rows: int = FEW) -> None:
        super().__init__(name, rows - N + (0 if name == "hospital" else 20), rounds)
        drop = {"hospital": set(), "lab": set(range(10)), "insurer": set(range(FEW - 10, FEW))}[name]
        keep = [i for i in range(len(self.ids)) if i not in drop]
        self.x, self.y = self.x[keep], self.y[keep]
        self.ids = tuple(self.ids[i] if i < rows else f"{name}-{i}" for i in keep)


def make_party(name: str, settings: Study, budget: DataBudget | None = None, beyond: Beyond | None = None) -> Party:
    """A party over an `Overlapping` table."""
    fixed = context(name, settings, beyond, budget)

    def make(store: MemoryStore) -> Node:
        state, nonce = State(store.values), bytes([NAMES.index(name) + 1]) * 16
        protocol = roles.sponsor if name == "hospital" else roles.assistor
        return make_node(protocol(fixed, Overlapping(name, settings.rounds), state, nonce), store, fixed)  # type: ignore[arg-type]

    return Party(name, make)


def network_of(settings: Study = PRIVATE, seed: int = 0, loss: float = 0.0) -> Network:
    """All three parties of such a study."""
    hospital, *others = [make_party(name, settings) for name in NAMES]
    return Network(hospital, others, seed, loss)
