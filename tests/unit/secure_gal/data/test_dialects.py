"""Delimited text as programs write it: separators, encodings, titles, comments, uneven lines."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from secure_gal.data.dialect import SAMPLE_BYTES
from secure_gal.data.table import Table, read_table
from secure_gal.errors import DataError
from secure_gal.settings.party import DataSettings

BASE = "id,name,dose\n" + "".join(f"p{i:04d},{['Zoë', 'Al'][i % 2]},{i}.5\n" for i in range(40))


def table(tmp_path: Path, raw: bytes, **said: object) -> Table:
    (tmp_path / "t.csv").write_bytes(raw)
    return read_table(DataSettings(tmp_path / "t.csv", "id", **said))  # type: ignore[arg-type]


@pytest.fixture
def base(tmp_path: Path) -> pl.DataFrame:
    frame = table(tmp_path, BASE.encode()).frame
    assert isinstance(frame, pl.DataFrame) and frame.width == 2
    return frame


@pytest.mark.parametrize(
    "raw",
    [
        BASE.encode("utf-8-sig"),
        BASE.encode("utf-16"),
        BASE.encode("utf-16-le"),
        BASE.encode("cp1252"),
        BASE.replace("\n", "\r\n").encode(),
        BASE.replace("\n", "\r").encode(),
        BASE.replace(",", ";").encode(),
        BASE.replace(",", "\t").encode(),
        BASE.replace(",", "|").encode(),
        BASE.replace(",", ", ").encode(),
        BASE.replace(",Al,", ', "Al",').encode(),
        BASE.replace(",", ";").replace(".", ",").encode(),
        ("# exported today\n" + BASE).encode(),
        BASE.replace("id,name,dose", '"id","name","dose"').encode(),
        BASE.rstrip("\n").encode(),
    ],
    ids=[
        *("bom", "utf16", "utf16le", "cp1252", "crlf", "cr", "semicolon", "tab", "bar", "blanks", "quoted", "german"),
        *("comment", "header", "end"),
    ],
)
def test_every_dialect_gives_the_same_table(tmp_path: Path, base: pl.DataFrame, raw: bytes) -> None:
    found = table(tmp_path, raw)
    assert isinstance(found.frame, pl.DataFrame) and found.frame.equals(base)
    assert found.ids == [f"p{i:04d}" for i in range(40)]


def test_a_title_above_the_header_is_asked_about_and_then_passed_over(tmp_path: Path, base: pl.DataFrame) -> None:
    raw = ('Patients, "all"\n\n' + BASE).encode()
    with pytest.raises(DataError, match=r"header seems to stand in line 3.*\[data\] header_row = 3"):
        table(tmp_path, raw)
    found = table(tmp_path, raw, header_row=3).frame
    assert isinstance(found, pl.DataFrame) and found.equals(base)


def test_another_encoding_far_below_is_found_too(tmp_path: Path) -> None:
    rows = SAMPLE_BYTES // 8
    raw = "id,name\n" + "".join(f"{i:06d},a\n" for i in range(rows)) + "zzzzzzz,é\n"
    found = table(tmp_path, raw.encode("cp1252"))
    assert isinstance(found.frame, pl.DataFrame) and found.frame["name"][-1] == "é"
    assert found.schema is not None and found.schema.dialect is not None and found.schema.dialect.encoding == "cp1252"


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        (b"", "has no rows"),
        (b"\n\n\n", "has no rows"),
        (b"id,a\n", "a line that is taken for the header, and no rows"),
        (b"id,a\n1,2\n3\n4,5\n", "line 3 has 1 values and the header 2"),
        (b"id,a\n1,2\n3,4,5\n", "line 3 has 3 values and the header 2"),
        (b'id,a\n1,"2\n3,4\n', "t.csv: (line|cannot be read)"),
        (b"id,a,a\n1,2,3\n", "more than one column 'a' in its header"),
        (b"id,a, a\n1,2,3\n", "more than one column 'a' in its header"),
        (b"\x00\x01\x02\xff" * 50, "t.csv: "),
        (b"PK\x03\x04" + bytes(range(256)), "t.csv: "),
    ],
)
def test_what_is_no_table_is_refused_in_words(tmp_path: Path, raw: bytes, said: str) -> None:
    with pytest.raises(DataError, match=said):
        table(tmp_path, raw)


def test_an_encoding_that_is_none_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="encoding` is 'klingon'"):
        table(tmp_path, BASE.encode(), encoding="klingon")
    with pytest.raises(DataError, match="not written in ascii"):
        table(tmp_path, BASE.encode(), encoding="ascii")


def test_a_blank_last_value_is_missing_and_no_short_line(tmp_path: Path) -> None:
    frame = table(tmp_path, b"id,a,b\n1,2,\n2,3,4\n3,5,6\n").frame
    assert isinstance(frame, pl.DataFrame) and frame["b"].to_list() == [None, 4.0, 6.0]


def test_a_value_over_two_lines_is_one_value(tmp_path: Path) -> None:
    frame = table(tmp_path, b'id,a,b\n1,"x\ny",\n2,z,4\n3,z,5\n').frame
    assert isinstance(frame, pl.DataFrame) and frame["a"][0] == "x\ny"
