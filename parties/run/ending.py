"""How a command ends: one line and one exit code, whatever happened. docs/GUIDE.md has the table of codes."""

from __future__ import annotations

import errno
import gc
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import NoReturn

from crypto.errors import CryptoError, Misuse
from secure_gal.errors import Bug, EnvironmentFailure, SecureGalError, StateError, ours, printable

ERROR_LOG = "error.log"
MAX_LOG_BYTES = 1 << 20
"""A log that has grown beyond this begins anew: a party that is restarted for ever must not fill its disk."""
ON_BROKEN_PIPE = 141
"""128 + SIGPIPE, as other commands end whose reader has gone."""

FIXES = {
    errno.ENOSPC: "free some disk space",
    errno.EDQUOT: "free some of this user's quota",
    errno.EROFS: "the disk is mounted read-only; mount it for writing, or name another folder",
    errno.EMFILE: "this process may open more files with a larger `ulimit -n` (LimitNOFILE= of a systemd unit)",
    errno.ENFILE: "the machine may open more files with a larger fs.file-max",
    errno.ENOMEM: "free some memory",
    errno.EIO: "the disk is failing",
    errno.EFBIG: "allow larger files (`ulimit -f`), or name another folder",
    errno.EACCES: "mend its owner or mode",
    errno.EPERM: "mend its owner or mode",
}
"""What the machine can refuse, and what helps. Any other OSError is a bug of ours."""
OURS = frozenset({"SQLITE_ERROR", "SQLITE_CONSTRAINT", "SQLITE_MISMATCH", "SQLITE_MISUSE", "SQLITE_RANGE"})
"""SQLite's names of errors that are bugs of ours; all others are the disk's, or a damaged file's."""
SAYS_NO_DATA = (AttributeError, ImportError, NameError, TypeError, OSError, StateError, Misuse)
"""Errors whose text names code or files; that of any other (ValueError, KeyError) may quote a value of the data."""


def guarded(work: Callable[[], int], file: Path, as_json: bool) -> int:
    """The exit code of a party's command; with `--json`, an error is an event like any other.

    Raises:
        SecureGalError: what went wrong, without `--json`.
    """
    from parties.run.json_lines import json_line, utc_now
    from secure_gal.events import Failed

    try:
        return work()
    except Exception as error:  # the one place that takes any: a person gets one line
        known = explained(error, _run_dir(file))
        if not as_json:
            raise known from error
        print(json_line(Failed(known.exit_code, str(known)), utc_now()), file=sys.stderr, flush=True)
        return known.exit_code


def explained(error: Exception, folder: Path) -> SecureGalError:
    """What happened, as one of our errors; a bug of ours is written to a log in `folder` first."""
    known = known_as(error)
    if known is not None and not isinstance(known, StateError):
        return known
    log = write_log(error, folder)
    where = f"where it happened is in {log}, without any data" if log else "no log could be written"
    if known is not None:
        return StateError(f"a bug of secure-gal: {known}; {where}. Please report it")
    return Bug(
        f"a bug of secure-gal ({type(error).__name__}); {where}. Please report it. What was committed is on the disk, "
        "and the same command goes on from there"
    )


def known_as(error: BaseException) -> SecureGalError | None:
    """One of our errors: itself, or what the machine refused in words; None for a bug of ours."""
    if isinstance(error, SecureGalError):
        return error
    if isinstance(error, CryptoError):  # that no caller said more about
        return ours(error)
    import sqlite3
    from concurrent.futures.process import BrokenProcessPool

    again = "then start the same command again: what was committed is on the disk"
    number, text = getattr(error, "errno", None), getattr(error, "strerror", None)  # OSError, or ZeroMQ's own
    why = ""
    if isinstance(error, MemoryError):
        why = f"memory was refused ({str(error) or 'no more was given'}); free some"
    elif isinstance(error, BrokenProcessPool):
        why = "a worker process was ended from outside, most likely for want of memory; free some"
    elif isinstance(error, sqlite3.DatabaseError) and getattr(error, "sqlite_errorname", "SQLITE_ERROR") not in OURS:
        why = f"run.db in run_dir: {error}; mend the disk, or restore the newest copy of run_dir"
    elif number in FIXES:
        name = getattr(error, "filename", None)
        why = f"{f'{name}: ' if name else ''}{text or os.strerror(number)}: {FIXES[number]}"
    return EnvironmentFailure(f"{why}, {again}") if why else None


def write_log(error: BaseException, folder: Path) -> Path | None:
    """Append to `folder`'s log (0600) where in the code it happened; None where nothing can be written."""
    from datetime import UTC, datetime

    file = folder / ERROR_LOG
    head = f"{datetime.now(UTC).isoformat(timespec='seconds')} python {sys.version.split()[0]} pid {os.getpid()}"
    with suppress(OSError):
        large = file.exists() and file.stat().st_size > MAX_LOG_BYTES
        flags = os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | (os.O_TRUNC if large else os.O_APPEND)
        with os.fdopen(os.open(file, flags, 0o600), "w", encoding="utf-8") as out:
            out.write("\n".join([head, *_story(error), "", ""]))
        return file
    return None


def _story(error: BaseException | None) -> Iterator[str]:
    """The error and its causes, the last one first: types and places in the code, and no value of any variable."""
    import re
    import traceback

    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        text = str(error) if isinstance(error, SAYS_NO_DATA) else "(its text is left out: it may quote data)"
        yield f"{type(error).__module__}.{type(error).__qualname__}: {printable(text)}"
        for frame in traceback.extract_tb(error.__traceback__):
            yield f'  File "{frame.filename}", line {frame.lineno}, in {frame.name}: {frame.line or ""}'
        # A worker process's traceback comes as text, of which only the places are taken.
        yield from re.findall(r'^ *  File ".*", line \d+, in \S+$', str(error), flags=re.MULTILINE)
        error = error.__cause__ or error.__context__


def _run_dir(file: Path) -> Path:
    """Where a party's log goes: its run directory, or the current folder where it has none yet."""
    from secure_gal.settings.load import load_party

    try:
        folder = load_party(file)[0].run_dir
    except Exception:  # whatever was wrong may be wrong again
        return Path.cwd()
    return folder if folder.is_dir() else Path.cwd()


def end(code: int) -> NoReturn:
    """End this process; at once where a job was cut off, whose end nobody waits for.

    Python would wait for worker processes to finish what they have, and end a thread in the middle of a library's code
    that cannot be ended there. And it would look for garbage, twice, among all that was imported: a fifth of a short
    command's CPU. What is left goes with the process; what waits for its end, as temporary folders do, is still called.
    """
    gc.freeze()
    loop = sys.modules.get("parties.run.loop")
    if loop is None or not loop.cut_off:
        raise SystemExit(code)
    import atexit
    import threading

    from crypto import work_folder, workers

    threading.excepthook = lambda told: None  # what minds the workers may stumble over their end
    work_folder.release_all()
    workers.end_all()
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):
            stream.flush()
    os._exit(code)
