"""Writing a key file: whole or not at all, and never over another one."""

from __future__ import annotations

import errno
import os
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
