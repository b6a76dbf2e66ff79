"""The loop hands every finished job to the node, also those that finish together."""

from __future__ import annotations

import io
from typing import Any

import pytest

from parties.run.exchange import Outcome
from parties.run.loop import Loop
from parties.run.progress import Progress
from secure_gal.effects import Compute


class Node:
    """A resumed party that prepares and has another job to do."""

    def __init__(self) -> None:
        self.computed_jobs: list[str] = []

    def start(self) -> Outcome:
        prepare: Compute[int] = Compute("prepare", lambda: 1, lambda _: [], first=True)
        return Outcome(compute=[prepare, Compute("answer", lambda: 2, lambda _: [])])

    def computed(self, job: Compute[int], result: object) -> Outcome:
        self.computed_jobs.append(job.work)
        return Outcome()


def test_a_job_that_finishes_with_the_preparations_is_not_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    node = Node()
    loop = Loop(node, Progress(stream=io.StringIO()))  # type: ignore[arg-type]
    monkeypatch.setattr(loop.stop, "begin", lambda: None)
    results = loop.worker.results

    def both(wait: float = 0.0) -> list[Any]:
        found = results(wait=60.0)
        return found if len(found) == 2 else [*found, *results(wait=60.0)]

    monkeypatch.setattr(loop.worker, "results", both)
    loop.start()
    assert sorted(node.computed_jobs) == ["answer", "prepare"] and not loop.worker.busy


def test_a_job_is_dull_to_look_at() -> None:
    job: Compute[int] = Compute("fit", lambda: 1, lambda _: [], round=3)
    assert repr(job) == "Compute(work='fit', round=3, first=False)"
