"""Private files: written whole or not at all, readable by their owner alone, by one process at a time."""

from __future__ import annotations

import errno
import fcntl
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path


def write_new(path: Path, data: bytes, mode: int) -> None:
    """Write a new file with this mode; a process that is killed on the way leaves no half of it under `path`.

    Raises:
        FileExistsError: `path` is there already.
        OSError: it cannot be written.
    """
    part = path.with_name(path.name + ".part")
    part.unlink(missing_ok=True)  # of a process that was killed
    try:
        with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.link(part, path)  # a rename would replace
    except FileExistsError:
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(path)) from None
    finally:
        part.unlink(missing_ok=True)


def replace(path: Path, data: bytes) -> None:
    """Write a file, mode 0600, in place of the one that is there; after it returns neither a crash nor a power cut
    undoes it.

    Raises:
        OSError: it cannot be written; the old file is as it was.
    """
    replace_in_parts(path, [data])


def replace_in_parts(path: Path, parts: Iterable[bytes]) -> None:
    """`replace` with data that is made as it is written, so that it never lies in memory as a whole.

    Raises:
        OSError: it cannot be written; the old file is as it was, also after an error of whatever makes the parts.
    """
    part = path.with_name(path.name + ".part")
    part.unlink(missing_ok=True)  # of a process that was killed, or somebody else's, with a mode of its own
    try:
        with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            for data in parts:
                file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(part, path)
    except BaseException:
        part.unlink(missing_ok=True)  # half of a file, on a disk that may be full
        raise
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)  # the new name, too, must outlive a power cut
    finally:
        os.close(folder)


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold `path`'s lock file: who reads, decides and writes must be alone. Raises OSError."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    lock = os.open(path.with_name(path.name + ".lock"), os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
    finally:
        os.close(lock)
