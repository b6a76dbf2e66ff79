"""Temporary folders: where there is room, in good order when there is none, and gone after a kill."""

from __future__ import annotations

import errno
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from crypto import work_folder
from crypto.ckks.encrypted_ridge import EncryptedRidge
from crypto.errors import Refused
from tests.support.ckks_keys import PEER, keys, ridge, secret


@pytest.fixture
def two(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Path]:
    """A small place and a large one."""
    small, large = tmp_path / "small", tmp_path / "large"
    for place in (small, large):
        place.mkdir()
    monkeypatch.setattr(work_folder, "places", lambda: [small, large])
    free = {small: work_folder.SPARE_BYTES + 1000, large: 10**12}
    monkeypatch.setattr(shutil, "disk_usage", lambda place: SimpleNamespace(free=free[place]))
    return small, large


def writing(text: bytes) -> Callable[[Path], object]:
    return lambda folder: (folder / "file").write_bytes(text)


def test_the_first_place_that_has_room_is_taken(two: tuple[Path, Path]) -> None:
    first, second = work_folder.claim(1000, writing(b"a")), work_folder.claim(1001, writing(b"b"))
    assert (first.parent, second.parent) == two
    assert (first / "file").read_bytes() == b"a" and first.stat().st_mode & 0o777 == 0o700
    for folder in (first, second):
        work_folder.release(folder)
    assert not any(list(place.iterdir()) for place in two)


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES])
def test_a_place_that_proves_unusable_is_left_for_the_next(two: tuple[Path, Path], number: int) -> None:
    def fill(folder: Path) -> None:
        (folder / "half").write_bytes(b"x")
        if folder.parent == two[0]:
            raise OSError(number, "refused")

    folder = work_folder.claim(10, fill)
    assert folder.parent == two[1] and not list(two[0].iterdir())
    work_folder.release(folder)


def test_without_room_anywhere_every_place_is_named(two: tuple[Path, Path]) -> None:
    def fill(folder: Path) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(Refused, match="77 MB of work files") as refused:
        work_folder.claim(60_000_000, fill)
    text = str(refused.value)
    assert f"{two[0]} has 17 MB to spare" in text and f"{two[1]}: No space left on device" in text and "TMPDIR" in text
    assert not any(list(place.iterdir()) for place in two)


def test_another_error_is_not_hidden_and_leaves_nothing(two: tuple[Path, Path]) -> None:
    def fill(folder: Path) -> None:
        raise OSError(errno.EIO, "broken")

    with pytest.raises(OSError, match="broken"):
        work_folder.claim(10, fill)
    assert not any(list(place.iterdir()) for place in two)


def test_an_encrypted_fit_runs_where_there_is_room(two: tuple[Path, Path]) -> None:
    u, r = ridge(300, 3, 1)
    job = EncryptedRidge.of(keys("standard", 4), u, u, cores=1)
    assert not list(two[0].iterdir()) and len(list(two[1].iterdir())) == 1, "keys alone have more than 1,000 bytes"
    fitted = secret("standard").decrypt(job.fit(secret("standard").encrypt(r), 1), 300, 1, PEER)
    assert np.abs(fitted - u @ (u.T @ r)).max() < 1e-3
    job.close()
    assert not list(two[1].iterdir())


HOLDER = """
import pathlib, sys
from crypto import work_folder
work_folder.places = lambda: [pathlib.Path(sys.argv[1])]
print(work_folder.claim(1, lambda folder: None), flush=True)
sys.stdin.read()
"""


def test_what_a_killed_process_left_is_removed_and_a_living_ones_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(work_folder, "places", lambda: [tmp_path])
    own = work_folder.claim(1, writing(b"own"))
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    other = subprocess.Popen([sys.executable, "-c", HOLDER, str(tmp_path)], **pipes)  # type: ignore[call-overload]
    assert other.stdout is not None
    theirs = Path(other.stdout.readline().strip())
    work_folder.sweep()
    assert theirs.is_dir() and own.is_dir()
    other.kill()
    other.communicate()
    work_folder.sweep()
    assert not theirs.exists() and own.is_dir()
    work_folder.release_all()
    assert not own.exists()


def test_a_link_is_not_followed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(work_folder, "places", lambda: [tmp_path / "place"])
    (tmp_path / "place").mkdir()
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "place" / f"{work_folder.PREFIX}x").symlink_to(tmp_path / "elsewhere")
    work_folder.sweep()
    assert (tmp_path / "elsewhere").is_dir()


FIT = """
import numpy as np
from crypto.ckks.encrypted_ridge import EncryptedRidge
from tests.support.ckks_keys import keys
u = np.full((300_000, 8), 1e-4)
job = EncryptedRidge.of(keys("standard", 8), u, u, cores=1)
print(np.load(job._basis.job.folder + "/all.npy").sum(), job._basis.job.folder)
job.close()
"""


def test_a_small_dev_shm_kills_nobody() -> None:
    """A real one of 4 MB, in a mount namespace of its own, where that is allowed."""
    inside = 'mount -t tmpfs -o size=4m none /dev/shm && exec "$0" "$@"'
    if subprocess.run(["unshare", "-rm", "sh", "-c", inside, "true"], capture_output=True).returncode:
        pytest.skip("no mount namespaces here")
    command = ["unshare", "-rm", "sh", "-c", inside, sys.executable, "-c", FIT]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, (done.returncode, done.stderr)
    total, folder = done.stdout.split()
    assert float(total) == pytest.approx(240.0, rel=1e-5) and not folder.startswith("/dev/shm")


@pytest.mark.parametrize(
    ("group", "free"), [(None, 3 << 20), ((4 << 20, 1 << 20), 3 << 20), ((2 << 20, 1 << 20), 1 << 20), ((1, 2), 0)]
)
def test_free_memory_is_the_machines_or_the_groups_whichever_is_less(
    group: tuple[int, int] | None, free: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = {"meminfo": "MemTotal:       9999 kB\nMemAvailable:       3072 kB\n"}
    if group is not None:
        files |= {"memory.max": f"{group[0]}\n", "memory.current": f"{group[1]}\n"}

    def read(path: Path) -> str:
        if path.name not in files:
            raise FileNotFoundError(errno.ENOENT, "none", str(path))
        return files[path.name]

    monkeypatch.setattr(Path, "read_text", read)
    assert work_folder.free_memory() == free
    files["memory.max"] = "max\n"
    assert work_folder.free_memory() == 3 << 20, "a group without a limit"
    files.clear()
    assert work_folder.free_memory() == 2**62, "nobody says"


def test_memory_is_taken_by_half_and_a_disk_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda place: SimpleNamespace(free=1000))
    monkeypatch.setattr(work_folder, "free_memory", lambda: 1001)
    assert work_folder._free(tmp_path) == 1000 and work_folder._free(Path("/dev/shm")) == 500

    def gone(place: Path) -> None:
        raise OSError(errno.ENOENT, "none")

    monkeypatch.setattr(shutil, "disk_usage", gone)
    assert work_folder._free(tmp_path) == 0
