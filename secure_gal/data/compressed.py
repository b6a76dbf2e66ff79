"""Files as they are or compressed with gzip or Zstandard: told by their first bytes, unpacked within a bound."""

from __future__ import annotations

import gzip
import io
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, Literal

import zstandard

from secure_gal.errors import DataError

MAX_UNPACKED_BYTES = 4 << 30
"""Of a whole file: several times a table of 1,000,000 rows and 50 columns."""
GZIP_STEP_BYTES = 1 << 20
"""Unpacked bytes at a time."""
ZSTD_STEP_BYTES = 4 << 10
"""Packed bytes at a time: a block of 4 bytes unpacks into 128 KiB at most, so these into 128 MiB."""
Packing = Literal["gzip", "zstd"]
MAGIC: dict[bytes, Packing] = {b"\x1f\x8b": "gzip", b"\x28\xb5\x2f\xfd": "zstd"}
OTHERS = {b"PK\x03\x04": "zip", b"BZh": "bzip2", b"\xfd7zXZ\x00": "xz", b"7z\xbc\xaf\x27\x1c": "7z"}


def packing(path: Path) -> Packing | None:
    """How a file is compressed, by its first bytes; None for one that is not.

    Raises:
        DataError: the file cannot be opened, or is compressed in a way that is not read.
    """
    with _opened(path) as file:
        return kind_of(str(path), file.read(8))


def kind_of(where: str, first: bytes) -> Packing | None:
    """How bytes are compressed that begin so; DataError as `packing`."""
    for magic, name in OTHERS.items():
        if first.startswith(magic):
            raise DataError(where, f"is compressed with {name}; unpack it first, or pack it as .gz or .zst")
    return next((name for magic, name in MAGIC.items() if first.startswith(magic)), None)


def unpacked(path: Path, limit: int = MAX_UNPACKED_BYTES) -> bytes:
    """A file's bytes, unpacked.

    Args:
        limit: bytes at most; memory is bounded by it whatever the file says of itself.

    Raises:
        DataError: as `packing`; or the file is damaged, cut off, or larger than `limit` when unpacked.
    """
    whole = io.BytesIO()
    for block in _blocks(path):
        if whole.tell() + len(block) > limit:
            raise DataError(
                str(path),
                f"holds more than {limit} bytes when unpacked; leave out columns or rows, or write it as Parquet",
            )
        whole.write(block)
    return whole.getvalue()


def head(path: Path, count: int) -> bytes:
    """The first `count` bytes of a file when unpacked, fewer where it has fewer; the rest is not read.

    Raises:
        DataError: as `packing`; or the file is damaged or cut off before them.
    """
    first = bytearray()
    for block in _blocks(path):
        first += block[: count - len(first)]
        if len(first) == count:
            break
    return bytes(first)


def _blocks(path: Path) -> Iterator[bytes]:
    kind = packing(path)
    with _opened(path) as file:
        try:
            if kind == "gzip":
                with gzip.GzipFile(fileobj=file) as unpacking:
                    yield from iter(lambda: unpacking.read(GZIP_STEP_BYTES), b"")
            elif kind == "zstd":
                yield from _zstd(path, file)
            else:
                yield from iter(lambda: file.read(GZIP_STEP_BYTES), b"")
        except zstandard.ZstdError as error:
            if "too much memory" in str(error):
                raise DataError(str(path), "was packed with `zstd --long` above 27; pack it without") from error
            raise _damaged(path, "zstd") from error
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            raise _damaged(path, "gzip") from error
        except OSError as error:
            raise DataError(str(path), f"cannot be read: {error.strerror}") from error


def _zstd(path: Path, file: BinaryIO) -> Iterator[bytes]:
    """Frame by frame: the library's own reader takes a file that was cut off for a whole one. It refuses one that asks
    for more than 128 MiB before it gives a byte."""
    unpacking, begun = _frame(), False
    for packed in iter(lambda: file.read(ZSTD_STEP_BYTES), b""):
        rest = packed
        while rest:
            block, begun = unpacking.decompress(rest), True
            rest = unpacking.unused_data if unpacking.eof else b""
            if unpacking.eof:
                unpacking, begun = _frame(), False
            if block:
                yield block
    if begun:
        raise _damaged(path, "zstd")


def _frame() -> zstandard.ZstdDecompressionObj:
    return zstandard.ZstdDecompressor().decompressobj()


def _damaged(path: Path, kind: str) -> DataError:
    return DataError(str(path), f"is damaged or cut off: it does not unpack as {kind}; copy or write it again")


def _opened(path: Path) -> BinaryIO:
    try:
        return path.open("rb")
    except FileNotFoundError:
        raise DataError(str(path), "no such file; `[data] path` is relative to the party file") from None
    except OSError as error:
        raise DataError(str(path), f"cannot be opened: {error.strerror}") from error
