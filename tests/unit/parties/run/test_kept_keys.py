"""Evaluation keys in an assistor's home: what is wrong with them costs bytes, and never a run."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from parties.run import kept_keys
from parties.run.kept_keys import FOLDER, MAX_STUDIES, KeysAtHome

STUDY, OTHER = "ab" * 32, "cd" * 32


@pytest.fixture
def said() -> list[str]:
    return []


def test_keys_are_found_again_by_their_study_alone(tmp_path: Path, said: list[str]) -> None:
    KeysAtHome(tmp_path, STUDY, said.append).put(b"first")
    KeysAtHome(tmp_path, STUDY, said.append).put(b"second")
    assert KeysAtHome(tmp_path, STUDY, said.append).get() == b"second"
    assert KeysAtHome(tmp_path, OTHER, said.append).get() == b"" and not said
    (file,) = (tmp_path / FOLDER).glob("*.keys")
    assert file.name == f"{STUDY}.keys"
    assert file.stat().st_mode & 0o777 == 0o600 and file.parent.stat().st_mode & 0o777 == 0o700


def test_the_studies_that_came_last_are_kept(tmp_path: Path, said: list[str]) -> None:
    digests = [f"{i:064x}" for i in range(MAX_STUDIES + 2)]
    for at, digest in enumerate(digests):
        KeysAtHome(tmp_path, digest, said.append).put(b"keys")
        os.utime(tmp_path / FOLDER / f"{digest}.keys", (at, at))
    KeysAtHome(tmp_path, digests[-1], said.append).put(b"keys")
    assert sorted(path.stem for path in (tmp_path / FOLDER).glob("*.keys")) == digests[2:] and not said


def test_a_full_disk_is_said_and_leaves_the_keys_that_were_there(
    tmp_path: Path, said: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = KeysAtHome(tmp_path, STUDY, said.append)
    keys.put(b"first")

    def full(path: Path, data: bytes) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(kept_keys, "replace", full)
    keys.put(b"second")
    assert keys.get() == b"first"
    (line,) = said
    assert "No space left on device" in line and "this run goes on" in line and "make room" in line


@pytest.mark.parametrize("what", ["a folder", "too large"])
def test_a_file_that_is_none_of_ours_is_said_and_not_used(tmp_path: Path, said: list[str], what: str) -> None:
    (tmp_path / FOLDER).mkdir()
    path = tmp_path / FOLDER / f"{STUDY}.keys"
    if what == "a folder":
        path.mkdir()
    else:
        path.touch()
        os.truncate(path, (64 << 20) + 1)
    assert KeysAtHome(tmp_path, STUDY, said.append).get() == b""
    (line,) = said
    assert str(path) in line and "the sponsor sends its evaluation keys again" in line
