"""The child of `secure_gal.data.contained`: reads one file, writes the table to a file descriptor, and ends.

python -m secure_gal.data.contained_readers PATH DESCRIPTOR '{"reader": "parquet", "taken": null, "sheet": null}'
"""

from __future__ import annotations

import json
import os
import resource
import sys
from collections.abc import Collection
from pathlib import Path

import polars as pl

from secure_gal.data.contained import MAX_PROBLEM, REFUSED
from secure_gal.data.plain_types import Taken, chosen, plain_columns
from secure_gal.errors import DataError

LEAST_BYTES = 8 << 30
"""Address space that polars and its threads may have on any machine; on larger ones, what the machine has."""


def main(path: Path, descriptor: int, asked: str) -> int:
    """Write the table as an Arrow file, and on standard output the names of the columns that were not read; exit code
    REFUSED with [where, problem] there if it cannot be."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    resource.setrlimit(resource.RLIMIT_AS, (max(LEAST_BYTES, memory),) * 2)
    options = json.loads(asked)
    try:
        if options["reader"] == "parquet":
            frame, others = load_parquet(path, options["taken"])
        else:
            from secure_gal.data.workbook import read_workbook  # an extra package, which Parquet does not need

            frame, others = read_workbook(path, options["sheet"], options["taken"])
        frame = plain_columns(frame, str(path))
    except DataError as error:
        print(json.dumps([error.where, error.problem[:MAX_PROBLEM]]))
        return REFUSED
    with os.fdopen(descriptor, "wb") as table:
        frame.write_ipc(table, compression="uncompressed")
    print(json.dumps(others))
    return 0


def load_parquet(path: Path, taken: Collection[str] | None) -> Taken:
    """The columns that take part; DataError for what polars refuses; a panic for what it did not foresee."""
    with path.open("rb") as file:
        start = file.read(4)
    if start == b"PARE":
        raise DataError(str(path), "is encrypted; write it again without encryption")
    if start != b"PAR1":
        raise DataError(str(path), "is no Parquet file; is its name right? CSV ends in .csv, workbooks in .xlsx")
    try:
        rows = pl.scan_parquet(path, glob=False)
        names, others = chosen(rows.collect_schema().names(), taken)
        return Taken(rows.select(names).collect(), others)
    except (pl.exceptions.PolarsError, OSError) as error:
        said = next(iter(str(error).splitlines()), "")[:200]
        raise DataError(str(path), f"is damaged or cut off ({said}); write or copy it again") from error


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3]))
