"""Files whose readers can end the process that runs them are read in a process of its own.

polars panics at damaged Parquet, prints it, and some declared lengths end the process (2 of 100,000 mutated files): a
party must not end, or print a stack, because a file was cut off. The child has one file and one reader; its table comes
back through memory that no other process sees, and no copy of it is on the disk.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Collection
from pathlib import Path
from typing import Literal

import polars as pl

from secure_gal.data.plain_types import Taken
from secure_gal.errors import DataError

CHILD = "secure_gal.data.contained_readers"
Reader = Literal["parquet", "excel"]
BASE_SECONDS = 120.0
BYTES_A_SECOND = 1 << 20
"""A child may take BASE_SECONDS and a second for so many bytes of its file; ten times what a slow disk needs."""
MAX_PROBLEM = 2000
"""Characters of what a child says of a file, whose names of columns may be of any length."""
REFUSED = 2
"""Exit code of a child that says on its standard output what is wrong with the file."""


def read_contained(reader: Reader, path: Path, taken: Collection[str] | None, sheet: str | None = None) -> Taken:
    """What `secure_gal.data.contained_readers` reads from a file.

    Args:
        taken: the columns that take part, None for all.
        sheet: of a workbook.

    Raises:
        DataError: what the reader found, or that it was ended by the file.
    """
    if path.is_dir():
        raise DataError(str(path), "is a folder; `[data] path` must name a file")
    try:
        seconds = BASE_SECONDS + path.stat().st_size / BYTES_A_SECOND
    except OSError as error:
        raise DataError(str(path), f"cannot be read ({error.strerror}); is `[data] path` right?") from error
    asked = json.dumps({"reader": reader, "taken": None if taken is None else sorted(taken), "sheet": sheet})
    with open(os.memfd_create("table"), "r+b") as table:
        try:
            done = subprocess.run(
                [sys.executable, "-P", "-m", CHILD, str(path), str(table.fileno()), asked],
                env=os.environ | {"PYTHONPATH": os.pathsep.join(place for place in sys.path if place)},
                pass_fds=(table.fileno(),),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                timeout=seconds,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise DataError(str(path), f"was not read within {seconds:.0f} seconds; is it damaged?") from None
        if done.returncode == REFUSED:
            raise DataError(*json.loads(done.stdout))
        if done.returncode != 0:
            raise DataError(
                str(path),
                f"is damaged, or larger than this machine's memory: its reader ended ({_ending(done.returncode)}); "
                "write or copy it again",
            )
        table.seek(0)
        return Taken(pl.read_ipc(table), json.loads(done.stdout))


def _ending(code: int) -> str:
    return f"signal {-code}" if code < 0 else f"exit code {code}"
