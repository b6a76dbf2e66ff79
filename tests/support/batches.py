"""A batch of three ids at the sponsor, as the ports of a prediction see it."""

from __future__ import annotations

from typing import Any

import numpy as np

from secure_gal.data.align import Match
from secure_gal.protection.batch import Batched
from secure_gal.settings.study import Study
from secure_gal.state import State

RUN, IDS = "cd" * 32, ("a", "b", "c")


class Pairs:
    """The lab knows rows 0 and 2 of the batch, at its 7 and 5; the insurer rows 1 and 2; some are not aligned yet."""

    def __init__(self, *still: str) -> None:
        self.still = list(still)

    def waiting_for(self) -> list[str]:
        return self.still

    def match(self, peer: str) -> Match:
        found = {"lab": ([0, 2], [7, 5], 1), "insurer": ([1, 2], [4, 3], 2)}[peer]
        return Match(np.array(found[0]), np.array(found[1]), found[2])


def batched(settings: Study, pairs: Any = None, state: Any = None) -> Batched:
    scales = {"run": RUN.encode(), "scale/lab": np.array([3.0]), "scale/insurer": np.array([2.0])}
    return Batched(settings, State(scales | (state or {})), IDS, 1, 4, pairs)


def ones(*shape: int) -> Any:
    return np.ones(shape, np.uint8)
