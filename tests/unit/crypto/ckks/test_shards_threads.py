"""Threads of one process, such as joblib's `threading` backend has, share what it keeps of jobs."""

from __future__ import annotations

import os
from threading import Thread
from types import SimpleNamespace
from typing import Any

import pytest

from crypto.ckks import shards


def test_threads_may_ask_for_workers_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """While one looks for jobs that were closed, another asks for the worker of its own job."""
    others: list[Thread] = []

    def isdir(folder: str) -> bool:
        if not others:
            others.append(Thread(target=shards._worker, args=(job("other"),)))
            others[0].start()
            others[0].join(0.2)  # it waits its turn, or has been
        return folder != "closed"

    def job(folder: str) -> Any:
        return SimpleNamespace(folder=folder)

    monkeypatch.setattr(shards, "_workers", {"closed": None, "open": None})
    monkeypatch.setattr(shards, "Worker", lambda of, material: of.folder)
    monkeypatch.setattr(shards, "material_of", lambda of, mode: None)
    monkeypatch.setattr(shards.os, "path", SimpleNamespace(**vars(os.path) | {"isdir": isdir}))
    assert shards._worker(job("mine")) == "mine"
    others[0].join()
    assert shards._workers == {"open": None, "mine": "mine", "other": "other"}
