"""Private temporary folders for the processes of one job: in memory where there is room, else on disk.

A process that maps a file of a full /dev/shm is killed by SIGBUS, with no word to anyone. So room is looked for first,
and files are written by `write`, which reports a full disk, before anybody maps them. A folder is locked while its
owner lives, however that ends: what can be locked by another process is a dead one's, and is removed.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import secrets
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from crypto.errors import Refused

PREFIX = "secure-gal-job-"
"""Not that of release 0.1, whose folders carry no lock."""
SPARE_BYTES = 16 << 20
"""Bytes that a folder leaves free for everyone else's needs."""
MEMORY_SHARE = 2
"""A folder in memory takes at most one part in so many of the memory that is free."""
NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EACCES, errno.EPERM, errno.ENOENT})
"""Why a place cannot be used, though another one may."""

_held: dict[str, int] = {}
"""Locks of this process's folders."""


def places() -> list[Path]:
    """Where folders may lie, the best first: memory, then the temporary folder (TMPDIR)."""
    memory = Path("/dev/shm")  # noqa: S108 - folders of mode 0700 are made in it
    return [*([memory] if memory.is_dir() else []), Path(tempfile.gettempdir())]


def claim(size: int, fill: Callable[[Path], object]) -> Path:
    """A new folder, mode 0700, filled, in the first place that has room.

    Args:
        size: bytes that `fill` writes.
        fill: writes the files; called again for the next place when the disk proves too small.

    Raises:
        Refused: there is no such place; says how much is needed and what is free where.
    """
    tried = []
    for place in places():
        free = _free(place)
        if free < size + SPARE_BYTES:
            tried.append(f"{place} has {_megabytes(free)} to spare")
            continue
        try:
            return _filled(place, fill)
        except OSError as error:
            if error.errno not in NO_ROOM:
                raise
            tried.append(f"{place}: {error.strerror}")
    raise Refused(
        f"{_megabytes(size + SPARE_BYTES)} of work files have no room: {'; '.join(tried)}. Free some, or "
        "name a folder that has it in TMPDIR"
    )


@contextlib.contextmanager
def held(size: int) -> Iterator[Path]:
    """An empty folder for `size` bytes of secrets, gone at the end, or once another process of this user finds it.

    Raises:
        Refused: as `claim`.
    """
    sweep()
    folder = claim(size, lambda _: None)
    try:
        yield folder
    finally:
        release(folder)


def _filled(place: Path, fill: Callable[[Path], object]) -> Path:
    made = tempfile.mkdtemp(prefix=".secure-gal-new-", dir=place)
    lock = os.open(made, os.O_RDONLY | os.O_DIRECTORY)
    folder = place / f"{PREFIX}{secrets.token_hex(8)}"
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        os.rename(made, folder)  # locked before it has a name that `sweep` looks for
        _held[str(folder)] = lock
        fill(folder)
    except BaseException:
        shutil.rmtree(made, ignore_errors=True)
        release(folder)
        raise
    return folder


def release(folder: Path) -> None:
    """Remove a folder of this process."""
    shutil.rmtree(folder, ignore_errors=True)
    lock = _held.pop(str(folder), None)
    if lock is not None:
        os.close(lock)


def release_all() -> None:
    """Remove every folder of this process, which is about to end."""
    for folder in [*_held]:
        release(Path(folder))


def sweep() -> None:
    """Remove what this user's processes that were killed have left behind: keys and U are nobody else's business."""
    for place in places():
        for folder in place.glob(f"{PREFIX}*"):
            with contextlib.suppress(OSError), _orphan(folder):
                shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def _orphan(folder: Path) -> Iterator[None]:
    """Hold the lock of a folder that nobody alive owns; OSError if somebody does, or it is another user's."""
    lock = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        if os.fstat(lock).st_uid != os.getuid():
            raise PermissionError(errno.EPERM, "another user's")
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    finally:
        os.close(lock)


def _free(place: Path) -> int:
    """Bytes that may be taken there; 0 where it cannot be used."""
    try:
        free = shutil.disk_usage(place).free
    except OSError:
        return 0
    return min(free, free_memory() // MEMORY_SHARE) if place == Path("/dev/shm") else free  # noqa: S108


def free_memory() -> int:
    """Bytes of memory that can be had without ending another process: of the machine, and of this control group."""
    found = []
    with contextlib.suppress(OSError, ValueError, StopIteration):
        lines = Path("/proc/meminfo").read_text().splitlines()
        found.append(1024 * int(next(line for line in lines if line.startswith("MemAvailable:")).split()[1]))
    with contextlib.suppress(OSError, ValueError):  # "max" is no number
        group = Path("/sys/fs/cgroup")
        found.append(int((group / "memory.max").read_text()) - int((group / "memory.current").read_text()))
    return max(0, min(found, default=2**62))


def _megabytes(size: int) -> str:
    return f"{size / 1e6:,.0f} MB"
