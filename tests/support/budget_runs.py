"""Runs over one budget, each with a nonce of its own, and batches asked of a finished one."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import msgspec

from secure_gal import messages
from secure_gal.effects import Compute, Send
from secure_gal.settings.study import Study
from tests.support.simulation import Network, Party
from tests.support.study_in_memory import MemoryBudget

Make = Callable[..., Party]
NUMBERS = itertools.count()


def run_of(make: Make, settings: Study, budget: MemoryBudget, **more: object) -> Network:
    """A whole run in new run directories, of a study of its own; every one is on the same data of the lab's."""
    settings = msgspec.structs.replace(settings, name=f"s{next(NUMBERS)}")
    labs = [make("lab", settings, budget=budget, **more), make("insurer", settings, **more)]
    network = Network(make("hospital", settings), labs)
    network.run()
    return network


def ask(party: Party, number: int, *ids: str) -> str:
    """Why a batch is refused, or empty; an accepted one is answered."""
    for effect in party.node.role.receive("hospital", messages.PredictRequest(messages.Batch(number), ids)):
        if isinstance(effect, Compute):
            effect.then(effect.job())
        elif isinstance(effect, Send) and effect.message.batch.refused:  # type: ignore[attr-defined]
            return str(effect.message.batch.refused)  # type: ignore[attr-defined]
    return ""
