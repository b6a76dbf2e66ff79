"""What befalls a study in memory, and what must be as if it had not."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from tests.support.simulation import Network
from tests.support.study_in_memory import NAMES, final_f


def steps_of(network: Network) -> int:
    """Run it to its end, and count."""
    steps = 0
    while network.step():
        steps += 1
    return steps


def check_kills(make: Callable[[], Network], first: int = 0, stride: int = 1) -> Network:
    """The undisturbed study. One that loses a party at a step, at every `stride`-th, has the same F, whoever it is."""
    undisturbed = make()
    for number, at in enumerate(range(first, steps_of(undisturbed), stride)):
        network, victim = make(), NAMES[number % 3]
        for _ in range(at):
            network.step()
        network.crash(victim)
        network.run()
        assert np.array_equal(final_f(network), final_f(undisturbed)), f"killed {victim} at step {at}"
    return undisturbed


def run_with_crashes(network: Network, share: float = 0.02, until: int = 400, late: bool = False) -> None:
    """Run to the end, over random crashes of one party in a `share` of the turns before `until`.

    Args:
        late: what it had sent may still arrive.
    """
    for turn in range(100_000):
        if not network.step():
            break
        if network.random.random() < share and turn < until:
            network.crash(network.random.choice(NAMES), late and network.random.random() < 0.5)


def check_resent_alike(network: Network, why: str) -> None:
    """A sequence number always carries the same bytes."""
    seen: dict[tuple[str, str, bytes], list[bytes]] = {}
    for sender, recipient, frames in network.sent:
        seq = frames[0].split(b'"seq":')[1].split(b",")[0]
        assert seen.setdefault((sender, recipient, seq), frames) == frames, why
