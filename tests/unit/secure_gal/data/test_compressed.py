"""Compressed files: told by their bytes, unpacked whole or not at all, within a bound."""

from __future__ import annotations

import gzip
import tracemalloc
from pathlib import Path

import pytest
import zstandard

from secure_gal.data.compressed import head, packing, unpacked
from secure_gal.errors import DataError

TEXT = b"id,x\n" + b"".join(b"p%d,%d\n" % (i, i * i) for i in range(5000))
PACKED = {"gzip": gzip.compress(TEXT, mtime=0), "zstd": zstandard.compress(TEXT)}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "table.csv"


@pytest.mark.parametrize("kind", PACKED)
def test_a_packed_file_is_told_by_its_bytes_whatever_its_name(file: Path, kind: str) -> None:
    file.write_bytes(PACKED[kind])
    assert (packing(file), unpacked(file), head(file, 9)) == (kind, TEXT, TEXT[:9])


def test_a_plain_file_is_given_as_it_is(file: Path) -> None:
    file.write_bytes(TEXT)
    assert (packing(file), unpacked(file), head(file, 9)) == (None, TEXT, TEXT[:9])


def test_an_empty_file_is_empty(file: Path) -> None:
    file.write_bytes(b"")
    assert (packing(file), unpacked(file), head(file, 9)) == (None, b"", b"")


@pytest.mark.parametrize("kind", PACKED)
def test_several_streams_in_one_file_are_all_read(file: Path, kind: str) -> None:
    file.write_bytes(PACKED[kind] * 3)
    assert unpacked(file) == TEXT * 3


@pytest.mark.parametrize("kind", PACKED)
def test_a_file_that_was_cut_off_at_any_byte_is_refused(file: Path, kind: str) -> None:
    for length in range(4, len(PACKED[kind]), 97):
        file.write_bytes(PACKED[kind][:length])
        with pytest.raises(DataError, match="damaged or cut off"):
            unpacked(file)


@pytest.mark.parametrize("kind", PACKED)
def test_a_file_with_other_bytes_after_its_end_is_refused(file: Path, kind: str) -> None:
    file.write_bytes(PACKED[kind] + b"id,x\n")
    with pytest.raises(DataError, match="damaged or cut off"):
        unpacked(file)


@pytest.mark.parametrize("pack", [gzip.compress, zstandard.compress])
def test_a_bomb_is_refused_within_its_bound_of_memory(file: Path, pack: object) -> None:
    bomb = pack(bytes(300 << 20))  # type: ignore[operator]
    file.write_bytes(bomb)
    tracemalloc.start()
    with pytest.raises(DataError, match="more than 1048576 bytes when unpacked"):
        unpacked(file, 1 << 20)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert len(bomb) < 400_000 and peak < 150 << 20


def test_a_file_that_asks_for_much_memory_before_it_gives_a_byte_is_refused(file: Path) -> None:
    wide = zstandard.ZstdCompressionParameters(window_log=28, write_content_size=False)
    packing_it = zstandard.ZstdCompressor(compression_params=wide).compressobj()
    file.write_bytes(packing_it.compress(TEXT) + packing_it.flush())
    with pytest.raises(DataError, match="zstd --long"):
        unpacked(file)


def test_the_head_of_a_file_is_read_without_its_damaged_end(file: Path) -> None:
    text = b"".join(b"%d,%d\n" % (i, i * 7919 % 10007) for i in range(400_000))
    file.write_bytes(gzip.compress(text, mtime=0)[:-9])
    assert head(file, 100) == text[:100]


@pytest.mark.parametrize(("start", "name"), [(b"PK\x03\x04", "zip"), (b"BZh9", "bzip2"), (b"\xfd7zXZ\x00", "xz")])
def test_other_packings_are_refused_by_name(file: Path, start: bytes, name: str) -> None:
    file.write_bytes(start + b"0" * 100)
    with pytest.raises(DataError, match=f"compressed with {name}; unpack it"):
        unpacked(file)


def test_a_file_that_cannot_be_opened_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such file"):
        unpacked(tmp_path / "none.csv")
    with pytest.raises(DataError, match="cannot be opened"):
        unpacked(tmp_path)
