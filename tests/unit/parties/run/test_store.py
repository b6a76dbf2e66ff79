"""A run directory is one process's at a time."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from parties.run.store import RunStore
from secure_gal.errors import EnvironmentFailure


def test_a_run_directory_that_is_in_use_is_left_as_it_was(tmp_path: Path) -> None:
    """Not even a descriptor of its lock stays open, which would hold it once the other process has ended."""
    store = RunStore(tmp_path / "run")
    before = sorted(os.listdir("/proc/self/fd"))
    with pytest.raises(EnvironmentFailure, match="run is in use by another process; stop that one, or use another"):
        RunStore(tmp_path / "run")
    assert sorted(os.listdir("/proc/self/fd")) == before
    store.close()
    RunStore(tmp_path / "run").close()


def test_a_run_directory_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(EnvironmentFailure, match="file/run cannot be used: Not a directory"):
        RunStore(tmp_path / "file" / "run")
