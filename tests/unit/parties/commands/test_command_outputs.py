"""A file that a command writes takes the place of an earlier one of its kind, and of nothing else."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from parties.commands.predict import predict
from parties.commands.schema import schema_of
from parties.commands.train import train
from secure_gal.errors import SettingsError
from tests.support.party_files import Online, offline, party

__all__ = ["offline"]  # the fixture that keeps these tests off the network
OWN = ("hospital.toml", "study.toml", "hospital.csv", "keys/hospital.key", "keys/pins/lab.card", "new.csv", "notes")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    made = party(tmp_path)
    (tmp_path / "new.csv").write_text("id,prediction,c0\nP001,2,0.5\n")
    (tmp_path / "notes").write_bytes(b"\x00\xff")
    return made


@pytest.mark.parametrize("name", OWN)
def test_what_is_no_file_of_its_kind_is_not_written_over(file: Path, name: str) -> None:
    there = file.parent / name
    before = there.read_bytes()
    with pytest.raises(SettingsError, match=r"^--out: .*name another( file)?"):
        predict(file, file.parent / "new.csv", there)
    with pytest.raises(SettingsError, match=r"^--export: .* is no Table Schema"):
        schema_of(file, renew=False, export=there, descriptor=None)
    assert there.read_bytes() == before


def test_a_link_and_a_device_stay(file: Path) -> None:
    link, pipe = file.parent / "link.csv", file.parent / "pipe"
    link.symlink_to("hospital.csv")
    os.mkfifo(pipe)
    for there in (link, pipe, Path("/dev/stdout"), Path("/dev/null")):
        with pytest.raises(SettingsError, match=r"^--out: .* is a link, a device or a pipe"):
            predict(file, file.parent / "new.csv", there)
    assert link.is_symlink() and pipe.is_fifo()


@pytest.mark.parametrize("earlier", [None, "", "id,prediction\nP001,2\n", 'town,"a\nb",prediction,p_a\n'])
def test_earlier_predictions_give_way(file: Path, earlier: str | None) -> None:
    out = file.parent / "predictions.csv"
    if earlier is not None:
        out.write_text(earlier)
    with pytest.raises(SettingsError, match="holds no finished learning stage"):  # all else is as it should be
        predict(file, file.parent / "new.csv", out)


@pytest.mark.parametrize("name", ["hospital.csv", "hospital.toml", "study.toml"])
def test_a_schema_takes_no_other_files_place(file: Path, name: str) -> None:
    """Of a table, `schema --renew` made the schema of that table, as the message said that one should."""
    file.write_text(file.read_text().replace("[data]\n", f'[data]\nschema="{name}"\n'))
    before = (file.parent / name).read_bytes()
    for renew in (False, True):
        with pytest.raises(SettingsError, match=r"is no schema"):
            schema_of(file, renew=renew, export=None, descriptor=None)
    assert (file.parent / name).read_bytes() == before


def test_a_schema_that_a_person_broke_is_made_anew(file: Path) -> None:
    schema_of(file, renew=False, export=None, descriptor=None)
    beside = file.with_name("hospital.schema.toml")
    for broken in (beside.read_text()[:-40], "\n".join(beside.read_text().splitlines()[3:]) + "\n[[", ""):
        beside.write_text(broken)
        with pytest.raises(SettingsError, match="is no schema"):
            schema_of(file, renew=False, export=None, descriptor=None)
        schema_of(file, renew=True, export=None, descriptor=None)


@pytest.mark.parametrize("there", ["report.html", "ledger.jsonl", "thesis", "keys"])
def test_no_run_begins_in_a_folder_that_holds_other_things(file: Path, there: str) -> None:
    run = file.parent / "run"
    run.mkdir(mode=0o755)
    (run / there).write_text("mine")
    with pytest.raises(SettingsError, match=rf"run holds '{there}', and no run\.db"):
        train(file)
    assert (run / there).read_text() == "mine" and run.stat().st_mode & 0o777 == 0o755
    (run / there).unlink()
    for harmless in ("lost+found", ".keep"):
        (run / harmless).mkdir()
    with pytest.raises(Online):
        train(file)
    with pytest.raises(Online):
        train(file)


def test_an_earlier_export_gives_way(file: Path) -> None:
    for _ in range(2):
        schema_of(file, renew=False, export=file.parent / "table.json", descriptor=None)
