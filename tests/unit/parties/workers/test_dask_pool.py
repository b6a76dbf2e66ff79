"""A pool of workers without any: what is sent, where work goes, and how long nobody is waited for."""

from __future__ import annotations

import contextlib
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from crypto.pool import Call
from parties.workers import dask_pool
from secure_gal.errors import EnvironmentFailure


class Scheduler:
    """What a pool asks of Dask's client, kept; the workers have so many threads, one number a look."""

    def __init__(self, *threads: int) -> None:
        self.sent, self.work, self.threads, self.closed = 0, list[dict[str, Any]](), list(threads), 0.0

    def scatter(self, values: list[object], hash: bool) -> list[object]:
        assert not hash, "values that are alike are not one"
        self.sent += len(values)
        return [SimpleNamespace(number=self.sent)]

    def submit(self, work: object, *arguments: object, **options: Any) -> object:
        self.work.append({"work": work, "arguments": arguments, **options})
        return object()

    def as_current(self) -> contextlib.AbstractContextManager[None]:
        return contextlib.nullcontext()

    def wait_for_workers(self, count: int, timeout: float) -> None:
        """Dask counts no worker that is paused."""
        assert count == 1 and timeout == 0.5
        if not self.threads.pop(0):
            raise TimeoutError

    def nthreads(self) -> dict[str, int]:
        return {"a": 1}

    def gather(self, futures: list[object]) -> list[int]:
        return [len(futures)]

    def close(self, timeout: float) -> None:
        self.closed = timeout


def pool(*threads: int) -> tuple[dask_pool.DaskPool, Scheduler]:
    scheduler: Any = Scheduler(*threads)
    return dask_pool.DaskPool(scheduler, "tls://s:1", ["tls://b:1", "tls://a:1"], Path()), scheduler


def test_the_last_four_arrays_are_sent_once() -> None:
    workers, scheduler = pool()
    arrays = [np.full(3, number) for number in range(5)]
    first = [workers.send_once(array) for array in arrays[:4]]
    assert [workers.send_once(array.copy()) for array in arrays[:4]] == first and scheduler.sent == 4
    workers.send_once(arrays[0])
    workers.send_once(arrays[4])
    assert workers.send_once(arrays[0]) is first[0] and scheduler.sent == 5, "it was asked for since"
    assert workers.send_once(arrays[1]) is not first[1] and scheduler.sent == 6, "the oldest one went"


@pytest.mark.parametrize(
    "other", [np.zeros(4), np.zeros(8, np.float32), np.zeros((2, 4), np.float32), np.zeros((2, 2)).T.copy("F")]
)
def test_arrays_of_another_type_or_shape_are_others(other: np.ndarray) -> None:
    workers, scheduler = pool()
    workers.send_once(np.zeros((2, 2)))
    workers.send_once(other)
    assert scheduler.sent == 2
    workers.close()
    workers.send_once(other)
    assert scheduler.sent == 3 and scheduler.closed == 2


def test_work_goes_to_its_worker_and_may_go_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dask_pool, "wait", lambda futures, timeout: None)
    workers, scheduler = pool()
    assert workers.size == 2
    assert workers.run([Call(number, print, (number,)) for number in range(3)]) == [3]
    workers.keep(Call(3, print, (3,)))
    assert [call["workers"] for call in scheduler.work] == [[name] for name in ["tls://a:1", "tls://b:1"] * 2]
    assert [call["arguments"] for call in scheduler.work] == [(0,), (1,), (2,), (3,)]
    assert all(call["allow_other_workers"] and not call["pure"] for call in scheduler.work)


@pytest.mark.parametrize(("looks", "said"), [([0] * 12, True), ([0] * 11 + [1] + [0] * 11, False)])
def test_nobody_is_waited_for_a_minute(looks: list[int], said: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    workers, scheduler = pool(*looks)

    def waited(futures: object, timeout: float) -> None:
        assert timeout == 5
        if scheduler.threads:
            raise TimeoutError

    monkeypatch.setattr(dask_pool, "wait", waited)
    failed = pytest.raises(
        EnvironmentFailure, match=r"tls://s:1 has had no workers for 60 s, .* paused .*; start some, then"
    )
    with failed if said else contextlib.nullcontext():
        workers.run([Call(0, print, ())])
