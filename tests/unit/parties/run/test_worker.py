"""The compute thread: jobs in order, busy until their results are taken, and an error where it can be told."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from parties.run.loop import Worker
from secure_gal.effects import Compute


def job(work: Any) -> Compute[Any]:
    return Compute("fit", work, lambda _: [])


def taken(worker: Worker, count: int) -> list[Any]:
    """So many results, in the order in which they came."""
    found: list[Any] = []
    while len(found) < count:
        found += [result for _, result, _ in worker.results(60.0)]
    return found


def test_a_worker_is_busy_until_every_result_is_taken() -> None:
    woken = threading.Semaphore(0)
    gate = threading.Event()
    worker = Worker(woken.release)
    assert not worker.busy and worker.results() == []
    for number in (1, 2, 3):
        worker.submit(job(lambda number=number: (gate.wait(60), number)[1]))
    assert worker.busy and worker.results() == []
    gate.set()
    found: list[int] = []
    while worker.busy:
        found += [result for _, result, _ in worker.results(60.0)]
    assert found == [1, 2, 3] and worker.results() == []
    for _ in range(3):
        assert woken.acquire(timeout=60), "each of them wakes the loop"


def test_results_come_in_order_with_their_seconds_and_a_worker_goes_on() -> None:
    worker = Worker(lambda: None)
    for turn in range(2):
        for number in (1, 2, 3):
            worker.submit(job(lambda result=number + 10 * turn: result))
        assert worker.busy, "whatever was done before"
        assert taken(worker, 3) == [1 + 10 * turn, 2 + 10 * turn, 3 + 10 * turn] and not worker.busy
    worker.submit(job(lambda: "done"))
    ((told, result, seconds),) = worker.results(60.0)
    assert (told.work, result) == ("fit", "done") and 0 <= seconds < 60


def test_what_a_job_raises_is_raised_where_results_are_taken() -> None:
    worker = Worker(lambda: None)

    def fail() -> None:
        raise ValueError("of the job")

    worker.submit(job(fail))
    worker.submit(job(lambda: 7))
    with pytest.raises(ValueError, match="of the job"):
        while True:
            worker.results(60.0)
    assert taken(worker, 1) == [7] and not worker.busy
