"""Parquet files: read in a child, so that no file ends a party; every failure is a message."""

from __future__ import annotations

import os
from pathlib import Path

import polars as pl
import pytest

from benchmarks import fuzz_tables
from secure_gal.data import contained
from secure_gal.data.parquet import read_parquet
from secure_gal.errors import DataError

FRAME = pl.DataFrame({"id": ["a", "b"], "x": [1.5, None], "steps": [[1], [2]]})


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "table [1].parquet"
    FRAME.write_parquet(path)
    return path


def test_the_columns_that_take_part_are_read_and_the_others_are_not_looked_at(file: Path) -> None:
    assert read_parquet(file, ["x", "id"]).frame.equals(FRAME.select("id", "x"))
    assert read_parquet(file, ["x", "id"]).others == ["steps"]


def test_a_column_of_a_type_that_cannot_take_part_is_refused_by_name(file: Path) -> None:
    with pytest.raises(DataError, match=r"table \[1\].parquet: column 'steps' holds lists of values"):
        read_parquet(file)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda data: data[:-20], "is damaged or cut off"),
        (lambda data: data[: len(data) // 2], "is damaged or cut off"),
        (lambda data: b"PARE" + data[4:], "is encrypted"),
        (lambda data: b"id,x\na,1\n", "is no Parquet file; is its name right"),
        (lambda data: b"", "is no Parquet file"),
    ],
    ids=["end", "half", "encrypted", "csv", "empty"],
)
def test_a_file_that_cannot_be_read_says_why(file: Path, change: object, words: str) -> None:
    file.write_bytes(change(file.read_bytes()))  # type: ignore[operator]
    with pytest.raises(DataError, match=words):
        read_parquet(file, ["id"])


def test_a_name_of_any_length_is_refused_in_few_words(tmp_path: Path) -> None:
    path = tmp_path / "long.parquet"
    pl.DataFrame({"é" * 100_000: [[1]]}).write_parquet(path)
    with pytest.raises(DataError) as refused:
        read_parquet(path)
    assert len(str(refused.value)) < 3000


def test_a_file_that_makes_polars_panic_is_refused_and_prints_nothing(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """Case 339 of seed 1 of the fuzz: a length in the footer that no file has."""
    kind, data = fuzz_tables.case(339, 1, ("csv", "gz", "zst", "parquet"))
    path = tmp_path / "panic.parquet"
    path.write_bytes(data)
    assert kind == "parquet" and "PanicException" in fuzz_tables.outcome(fuzz_tables.inside, path)
    capfd.readouterr()
    with pytest.raises(DataError, match=r"is damaged, .*its reader ended \(exit code 1\)"):
        read_parquet(path)
    assert capfd.readouterr() == ("", "")


def test_a_reader_that_is_killed_is_a_message(file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "killed.py").write_text("import os, signal\nos.kill(os.getpid(), signal.SIGABRT)\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(contained, "CHILD", "killed")
    with pytest.raises(DataError, match=r"its reader ended \(signal 6\)"):
        read_parquet(file)


def test_a_reader_that_hangs_is_ended_and_a_message(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "hangs.py").write_text("import signal\nsignal.pause()\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(contained, "CHILD", "hangs")
    monkeypatch.setattr(contained, "BASE_SECONDS", 0.2)
    with pytest.raises(DataError, match="was not read within 0 seconds; is it damaged"):
        read_parquet(file)


def test_a_module_beside_the_table_is_not_run(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (file.parent / "polars.py").write_text("raise SystemExit(9)\n")
    monkeypatch.chdir(file.parent)
    assert read_parquet(file, ["id"]).frame.height == 2


def test_no_descriptor_stays_open(file: Path) -> None:
    before = len(os.listdir("/proc/self/fd"))
    read_parquet(file, ["id"])
    assert len(os.listdir("/proc/self/fd")) == before


@pytest.mark.parametrize(("name", "words"), [("none.parquet", "No such file"), (".", "is a folder")])
def test_a_path_that_names_no_file_is_refused(tmp_path: Path, name: str, words: str) -> None:
    with pytest.raises(DataError, match=words):
        read_parquet(tmp_path / name)


def test_mutated_tables_are_read_or_refused(tmp_path: Path) -> None:
    """A few of the fuzz's cases, through the child; the program's docstring says how to run 100,000."""
    counts: dict[str, int] = {}
    for number in range(4):
        kind, data = fuzz_tables.case(number, 7, ("parquet", "xlsx"))
        path = tmp_path / f"case{fuzz_tables.SUFFIXES[kind]}"
        path.write_bytes(data)
        said = fuzz_tables.outcome(fuzz_tables.contained, path)
        counts[said] = counts.get(said, 0) + 1
    assert set(counts) <= {"read", "refused"}
