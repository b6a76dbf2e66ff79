"""Parties on one machine share its cores; a party on its own, and a person who chose, keep theirs."""

from __future__ import annotations

import os
from collections.abc import Iterator

import msgspec
import numpy as np
import pytest
from threadpoolctl import threadpool_info, threadpool_limits

from parties.run.cores import CHOSEN, cores, share_cores
from secure_gal.settings.study import Study

STUDY = Study("s", "regression", "a", "tcp://127.0.0.1:5555", assistors=("b", "c"))


@pytest.fixture(autouse=True)
def machine(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Eight cores and as many threads, of which a person has said nothing."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(8)), raising=False)
    for name in CHOSEN:
        monkeypatch.setenv(name, "8")  # so that it is put back as it was
        monkeypatch.delenv(name)
    np.ones((2, 2)) @ np.ones((2, 2))
    with threadpool_limits(8):
        yield


def test_a_system_that_tells_no_cores_apart_has_all_of_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "sched_getaffinity")
    monkeypatch.setattr(os, "cpu_count", lambda: 6)
    assert cores() == 6


def threads() -> set[int]:
    return {one["num_threads"] for one in threadpool_info()}


def test_three_parties_on_eight_cores_have_two_threads_each() -> None:
    share_cores(STUDY)
    assert threads() == {2}
    assert os.environ["OMP_NUM_THREADS"] == "2", "what is loaded later"


def test_more_parties_than_cores_have_one_thread_each() -> None:
    share_cores(msgspec.structs.replace(STUDY, assistors=tuple(f"p{m}" for m in range(9))))
    assert threads() == {1}


@pytest.mark.parametrize("chosen", CHOSEN)
def test_who_chose_threads_keeps_them(chosen: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(chosen, "8")
    share_cores(STUDY)
    assert threads() == {8}


def test_a_party_that_others_reach_from_elsewhere_keeps_its_machine() -> None:
    share_cores(msgspec.structs.replace(STUDY, address="tcp://hospital.example:5555"))
    assert threads() == {8} and "OMP_NUM_THREADS" not in os.environ
