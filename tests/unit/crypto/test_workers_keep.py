"""A worker process keeps its memory from one call to the next, however much it is."""

from __future__ import annotations

import os

import pytest
from joblib import Parallel, delayed
from joblib.externals.loky import process_executor

from crypto.workers import owned

pytestmark = pytest.mark.processes
_kept: list[bytearray] = []


def step(strict: bool) -> int:
    """The worker, with 100 MB more that it keeps; `strict`: joblib looks after each call from now on."""
    if strict:
        process_executor._MEMORY_LEAK_CHECK_DELAY = 0.0
    _kept.append(bytearray(b"\1" * 100_000_000))
    return os.getpid()


@pytest.mark.filterwarnings("ignore:A worker stopped")
def test_a_worker_whose_encodings_grow_is_not_taken_for_one_that_leaks() -> None:
    pytest.importorskip("psutil")  # without it joblib does not look
    with Parallel(n_jobs=2, pre_dispatch="all", batch_size=1) as pool:
        calls = (delayed(owned)(os.getpid(), step, True) for _ in range(8))
        before = set(pool(calls))
        after = set(pool(delayed(owned)(os.getpid(), step, False) for _ in range(8)))
    assert after <= before, "a worker was replaced, and its encodings are lost"
