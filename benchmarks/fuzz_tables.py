"""Damaged tables: each mutated file is read or refused with a message; none ends the reader or keeps it busy.

    python -m benchmarks.fuzz_tables --count 100000 --seed 1      # exit code 1 at a crash or hang; keeps those files
    python -m benchmarks.fuzz_tables --count 500 --reader benchmarks.fuzz_tables:table --kinds parquet,xlsx

A file is a valid CSV, .csv.gz, .csv.zst, Parquet or .xlsx file with a few bytes flipped, cut off, inserted, exchanged
or replaced by a huge length. The reading function takes a path; what it raises other than DataError is a crash, as is
the end of the process that it runs in. `table` is the program's reader; `inline`, which runs by default, does in its
own process what that does in a child, without the child's start, at 20 times as many files a second. What ended it or
hung is read again by `table`, whose word counts. A case is drawn from its number and the seed alone: `--first N --count
1` repeats it.
"""

from __future__ import annotations

import argparse
import gzip
import importlib
import io
import multiprocessing
import os
import random
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Sequence
from datetime import date, timedelta
from functools import cache
from multiprocessing.connection import Connection
from pathlib import Path
from unittest.mock import patch

import polars as pl
import zstandard
from rich.console import Console

from secure_gal.data import raw
from secure_gal.data.contained_readers import load_parquet
from secure_gal.data.excel import read_excel
from secure_gal.data.parquet import read_parquet
from secure_gal.data.plain_types import Taken, plain_columns
from secure_gal.data.table import read_table
from secure_gal.data.workbook import read_workbook
from secure_gal.errors import DataError
from secure_gal.settings.party import DataSettings

SUFFIXES = {"csv": ".csv", "gz": ".csv.gz", "zst": ".csv.zst", "parquet": ".parquet", "xlsx": ".xlsx"}
ROWS = 150
SECONDS = 30.0
"""A file of some ten kilobytes that is not read or refused by then hangs the reader."""
HUGE = (b"\xff\xff\xff\xff\x0f", b"\xff" * 8, b"\x7f\xff\xff\xff", b"\xff\xff\xff\x7f")
"""Lengths as variable-length integers, and as integers of 4 and 8 bytes."""
JUDGE = "benchmarks.fuzz_tables:table"
Read = Callable[[Path], object]


def table(path: Path) -> object:
    """The program's own reader."""
    return read_table(DataSettings(path, "id", "y"))


def contained(path: Path) -> object:
    """Parquet and workbooks through a child, as the program reads them."""
    return read_excel(path) if path.suffix == ".xlsx" else read_parquet(path)


def inside(path: Path) -> Taken:
    """What such a child does."""
    found = read_workbook(path, None, None) if path.suffix == ".xlsx" else load_parquet(path, None)
    return Taken(plain_columns(found.frame, str(path)), found.others)


def inline(path: Path) -> object:
    """The program's own reader, but for the child's process."""

    def childless(path: Path, *_: object) -> Taken:
        try:
            return inside(path)
        except DataError:
            raise
        except BaseException as error:  # panics of polars included: the end of a child is a refusal
            raise DataError(str(path), f"its reader ended ({type(error).__name__})") from error

    with patch.object(raw, "read_parquet", childless), patch.object(raw, "read_excel", childless):
        return table(path)


def rows() -> pl.DataFrame:
    """A table with a column of most kinds."""
    return pl.DataFrame(
        {
            "id": [f"p{i:04d}" for i in range(ROWS)],
            "y": [i % 2 for i in range(ROWS)],
            "x": [None if i % 17 == 0 else i / 7 for i in range(ROWS)],
            "count": [i * i for i in range(ROWS)],
            "ward": ["Süd", 'a "quoted", one', "north"] * (ROWS // 3),
            "day": [date(2020, 1, 1) + timedelta(days=i) for i in range(ROWS)],
        }
    )


@cache
def valid(kind: str) -> tuple[bytes, ...]:
    """Files that are read as they are."""
    text = rows().write_csv().encode()
    match kind:
        case "csv":
            return (text, text.replace(b",", b";"), text.decode().encode("utf-16"))
        case "gz":
            return (gzip.compress(text, mtime=0),)
        case "zst":
            return (zstandard.compress(text),)
        case "parquet":
            typed = rows().with_columns(pl.col("ward").cast(pl.Categorical), pl.col("x").cast(pl.Float32))
            packings = ("zstd", "snappy", "gzip", "uncompressed")
            return tuple(_parquet(frame, packing) for frame in (rows(), typed) for packing in packings)
        case _:
            file = io.BytesIO()
            rows().write_excel(file)
            return (file.getvalue(),)


def _parquet(frame: pl.DataFrame, packing: str) -> bytes:
    file = io.BytesIO()
    frame.write_parquet(file, compression=packing, row_group_size=64)  # type: ignore[arg-type]
    return file.getvalue()


def mutated(whole: bytes, draw: random.Random) -> bytes:
    """One to ten changes; half of them near the end, where Parquet and zip keep what they say of themselves."""
    data = bytearray(whole)
    for _ in range(draw.choice((1, 1, 1, 3, 10))):
        first = max(0, len(data) - 2000) if draw.random() < 0.5 else 0
        at = draw.randrange(first, len(data)) if len(data) > first else 0
        match draw.randrange(7):
            case 0:
                data[at : at + 1] = bytes(byte ^ 1 << draw.randrange(8) for byte in data[at : at + 1])
            case 1:
                data[at : at + 1] = draw.choice((b"\x00", b"\xff", b'"', b"\n", b"\r", b",", draw.randbytes(1)))
            case 2:
                del data[at : at + draw.randrange(1, 64)]
            case 3:
                data[at:at] = draw.randbytes(draw.randrange(1, 32))
            case 4:
                length = draw.choice(HUGE)
                data[at : at + len(length)] = length
            case 5:
                other = draw.randrange(len(data) or 1)
                data[at : at + 32], data[other : other + 32] = data[other : other + 32], data[at : at + 32]
            case _:
                if draw.random() < 0.3:
                    del data[at:]
    return bytes(data)


def case(number: int, seed: int, kinds: Sequence[str]) -> tuple[str, bytes]:
    """(kind, bytes) of one case."""
    draw = random.Random(f"{seed}/{number}")
    kind = kinds[number % len(kinds)]
    return kind, mutated(draw.choice(valid(kind)), draw)


def outcome(read: Read, path: Path) -> str:
    """read, refused, or what it raised instead."""
    try:
        read(path)
    except DataError:
        return "refused"
    except BaseException as error:  # what a person would see as a traceback, a panic of polars included
        return f"crashed: {type(error).__name__}: {' '.join(str(error).split())[:100]}"
    return "read"


def worker(link: Connection, reader: str, folder: Path) -> None:
    """Read the files whose suffix and bytes come in, one after the other, and send what came of each."""
    module, _, name = reader.partition(":")
    read: Read = getattr(importlib.import_module(module), name)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)  # panics print themselves
    while True:
        suffix, data = link.recv()
        path = folder / f"case{suffix}"
        path.write_bytes(data)
        link.send(outcome(read, path))


class Worker:
    """A process that reads, and is replaced by another one when it ended or hung."""

    def __init__(self, reader: str, folder: Path) -> None:
        self._arguments = (reader, folder)
        self._start()

    def _start(self) -> None:
        spawning = multiprocessing.get_context("spawn")
        self._link, there = spawning.Pipe()
        self._process = spawning.Process(target=worker, args=(there, *self._arguments), daemon=True)
        self._process.start()
        there.close()

    def send(self, suffix: str, data: bytes) -> None:
        """Begin a case."""
        self._link.send((suffix, data))

    def outcome(self) -> str:
        """Of the case that was sent."""
        try:
            if self._link.poll(SECONDS):
                return str(self._link.recv())
            said = "hung"
        except EOFError:
            self._process.join()
            said = f"crashed: the process ended with {self._process.exitcode}"
        self.stop()
        self._start()
        return said

    def stop(self) -> None:
        """End the process."""
        self._process.kill()
        self._process.join()


def report(number: int, name: str, said: str, data: bytes, keep: Path) -> None:
    """Print what went wrong and keep the file."""
    Console(soft_wrap=True).print(f"case {number}: {said}", markup=False, highlight=False)
    keep.mkdir(parents=True, exist_ok=True)
    (keep / name).write_bytes(data)


def again(kind: str, data: bytes, folder: Path) -> str:
    """What the program's own reader makes of a case that another one did not end with."""
    judge = Worker(JUDGE, folder)
    try:
        judge.send(SUFFIXES[kind], data)
        said = judge.outcome()
    finally:
        judge.stop()
    return f"contained: {said}" if said in ("read", "refused") else said


def campaign(cases: range, seed: int, kinds: Sequence[str], reader: str, keep: Path, workers: int) -> Counter[str]:
    """How many of the cases came out how, by kind; files of crashes and hangs go to `keep`."""
    counts: Counter[str] = Counter()
    with tempfile.TemporaryDirectory() as scratch:
        folders = [Path(scratch) / str(number) for number in range(workers)]
        for folder in folders:
            folder.mkdir()
        readers = [Worker(reader, folder) for folder in folders]
        try:
            for start in range(cases.start, cases.stop, workers):
                batch = [(n, *case(n, seed, kinds)) for n in range(start, min(start + workers, cases.stop))]
                for one, (_, kind, data) in zip(readers, batch, strict=False):
                    one.send(SUFFIXES[kind], data)
                for one, (number, kind, data) in zip(readers, batch, strict=False):
                    said = one.outcome()
                    if said not in ("read", "refused") and reader != JUDGE:
                        said = again(kind, data, folders[0])
                    counts[f"{kind} {said.partition(':')[0]}"] += 1
                    if said not in ("read", "refused") and not said.startswith("contained"):
                        report(number, f"{seed}-{number}{SUFFIXES[kind]}", f"{kind} {said}", data, keep)
        finally:
            for one in readers:
                one.stop()
    return counts


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=5000)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--kinds", default="csv,gz,zst,parquet")
    parser.add_argument("--reader", default="benchmarks.fuzz_tables:inline", help="MODULE:FUNCTION that takes a path")
    parser.add_argument(
        "--keep", type=Path, help="folder for files that crash or hang; else one under the temporary one"
    )
    parser.add_argument("--workers", type=int, default=2)
    asked = parser.parse_args()
    cases = range(asked.first, asked.first + asked.count)
    keep = asked.keep or Path(tempfile.gettempdir()) / "secure-gal-fuzzed"
    counts = campaign(cases, asked.seed, asked.kinds.split(","), asked.reader, keep, asked.workers)
    for name, count in sorted(counts.items()):
        Console().print(f"{count:8d} {name}", highlight=False)
    return int(any("hung" in name or "crashed" in name for name in counts))


if __name__ == "__main__":
    sys.exit(main())
