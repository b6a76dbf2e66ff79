"""Where a command may write: its file takes the place of an earlier one of its kind, and of nothing else."""

from __future__ import annotations

import csv
import io
import os
import stat
from collections.abc import Callable
from pathlib import Path

from secure_gal.errors import SettingsError

START = 1 << 16
"""Bytes by which a file is told to be of a kind."""
Kind = tuple[str, Callable[[bytes], bool]]
"""In words, and whether a file that begins with these bytes is one."""


def check_output(option: str, path: Path, kind: Kind) -> None:
    """Refuse a path at which something else would be lost: one slip, and a key, a table or a ledger is gone; for root,
    a device is.

    Raises:
        SettingsError: of `option`; says what is there, and what to do.
    """
    what, is_one = kind
    if path.is_dir():
        raise SettingsError(option, f"{path} is a folder; name a file in it")
    if not os.path.lexists(path):
        return
    if not stat.S_ISREG(path.lstat().st_mode):
        raise SettingsError(option, f"{path} is a link, a device or a pipe; name a file")
    try:
        with path.open("rb") as file:
            start = file.read(START)
    except OSError as error:
        raise SettingsError(option, f"{path} is there and cannot be read: {error.strerror}; name another") from error
    if start and not is_one(start):
        raise SettingsError(option, f"{path} is there and is no {what}; move it away first, or name another")


def _predictions(start: bytes) -> bool:
    try:
        header = next(csv.reader(io.StringIO(start.decode(errors="replace"), newline="")), [])
    except csv.Error:
        return False
    return "prediction" in header


PREDICTIONS: Kind = ("file of predictions", _predictions)
DESCRIPTOR: Kind = ("Table Schema", lambda start: start.startswith(b"{") and b'"fields"' in start)
SCHEMA: Kind = ("schema", lambda start: start.startswith(b"# How ") or b"missingValues" in start)
PROOF: Kind = ("proof", lambda start: start.startswith(b'{"format":'))
