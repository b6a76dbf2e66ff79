"""Files that are whole or not there, on the disk before anything relies on them, and their owner's alone."""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from crypto.private_files import locked, replace, replace_in_parts, write_new


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str, int]]:
    """What is done to files, in order: (call, file, its bytes on the disk at that moment)."""
    done: list[tuple[str, str, int]] = []
    sync, link, swap = os.fsync, os.link, os.replace

    def fsync(number: int) -> None:
        path = Path(os.readlink(f"/proc/self/fd/{number}"))
        done.append(("fsync", path.name, 0 if path.is_dir() else path.stat().st_size))
        sync(number)

    def moving(name: str, move: object) -> object:
        def call(old: Path, new: Path) -> None:
            done.append((name, Path(new).name, Path(old).stat().st_size))
            move(old, new)  # type: ignore[operator]

        return call

    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(os, "link", moving("link", link))
    monkeypatch.setattr(os, "replace", moving("replace", swap))
    return done


def test_a_new_file_has_its_name_when_all_of_it_is_on_the_disk(
    tmp_path: Path, disk: list[tuple[str, str, int]]
) -> None:
    write_new(tmp_path / "key", b"secret", 0o600)
    assert disk == [("fsync", "key.part", 6), ("link", "key", 6)]
    assert [path.name for path in tmp_path.iterdir()] == ["key"] and (tmp_path / "key").read_bytes() == b"secret"
    assert (tmp_path / "key").stat().st_mode & 0o7777 == 0o600


def test_a_file_is_replaced_when_the_new_one_is_on_the_disk_and_its_name_follows(
    tmp_path: Path, disk: list[tuple[str, str, int]]
) -> None:
    file = tmp_path / "state"
    file.write_bytes(b"old and longer")
    file.chmod(0o644)
    (tmp_path / "state.part").write_bytes(b"half of what a killed process wrote")
    replace(file, b"new")
    assert disk == [("fsync", "state.part", 3), ("replace", "state", 3), ("fsync", tmp_path.name, 0)]
    assert file.read_bytes() == b"new" and [path.name for path in tmp_path.iterdir()] == ["state"]
    assert file.stat().st_mode & 0o7777 == 0o600, "whatever mode the old one and a part that was left have"


def test_a_file_that_is_there_stays_and_no_half_is_left(tmp_path: Path) -> None:
    (tmp_path / "key").write_bytes(b"first")
    (tmp_path / "key.part").write_bytes(b"half of what a killed process wrote")
    with pytest.raises(FileExistsError) as found:
        write_new(tmp_path / "key", b"second", 0o600)
    assert found.value.filename == str(tmp_path / "key") and found.value.strerror == "File exists"
    assert (tmp_path / "key").read_bytes() == b"first" and len(list(tmp_path.iterdir())) == 1


def test_when_the_parts_fail_the_old_file_stays_and_no_half_is_left(tmp_path: Path) -> None:
    def parts() -> Iterator[bytes]:
        yield b"half"
        raise KeyboardInterrupt

    (tmp_path / "state").write_bytes(b"old")
    with pytest.raises(KeyboardInterrupt):
        replace_in_parts(tmp_path / "state", parts())
    assert (tmp_path / "state").read_bytes() == b"old" and len(list(tmp_path.iterdir())) == 1


def test_no_file_stays_open(tmp_path: Path) -> None:
    before = sorted(os.listdir("/proc/self/fd"))
    write_new(tmp_path / "key", b"secret", 0o600)
    replace(tmp_path / "state", b"new")
    with locked(tmp_path / "state"):
        pass
    assert sorted(os.listdir("/proc/self/fd")) == before


TRIES = "import fcntl, os, sys; fcntl.flock(os.open(sys.argv[1], os.O_RDWR), fcntl.LOCK_EX | fcntl.LOCK_NB)"


def test_a_lock_is_held_while_its_block_runs_and_no_longer(tmp_path: Path) -> None:
    file = tmp_path / "home" / "party" / "releases"
    lock = file.with_name("releases.lock")

    def free() -> bool:
        return subprocess.run([sys.executable, "-c", TRIES, lock], capture_output=True).returncode == 0

    with pytest.raises(RuntimeError), locked(file):
        assert not free()
        raise RuntimeError
    assert free() and lock.stat().st_mode & 0o7777 == 0o600 and file.parent.stat().st_mode & 0o7777 == 0o700
    with locked(file):
        assert not free(), "a lock file that is there already does as well"
    other = os.open(lock, os.O_RDWR)
    fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)
    os.close(other)
