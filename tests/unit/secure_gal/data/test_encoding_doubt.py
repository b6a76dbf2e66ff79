"""Small files whose few letters beyond ASCII more than one encoding reads: said, with the setting that settles it."""

from __future__ import annotations

from pathlib import Path

import pytest

from secure_gal.data.encoding_doubt import FEW, other_readings
from secure_gal.data.table import look
from secure_gal.settings.party import DataSettings

TEXT = "id,ward\n" + "".join(f"p{i},{ward}\n" for i, ward in enumerate(["Süd", "Köln", "north"] * 8))


@pytest.mark.parametrize("encoding", ["mac_roman", "cp850"])
def test_a_small_file_of_an_old_encoding_is_read_right_or_the_right_reading_is_named(
    tmp_path: Path, encoding: str
) -> None:
    path = tmp_path / "t.csv"
    path.write_bytes(TEXT.encode(encoding))
    found = look(DataSettings(path, "id"))
    wards = next(column.field.constraints.enum for column in found.columns if column.field.name == "ward")
    doubts = [note for note in found.notes if "[data] encoding" in note]
    assert "Süd" in wards or f"'Süd' as {encoding}" in doubts[0]
    named = DataSettings(path, "id", encoding=encoding)
    settled = look(named)
    assert settled.notes == () and "Süd" in str(settled.columns[1].field.constraints.enum)


def test_where_nothing_else_reads_letters_there_is_no_doubt(tmp_path: Path) -> None:
    for encoding in ("utf-8", "cp1252"):
        assert other_readings(TEXT.encode(encoding), encoding) == ""
    assert other_readings(b"id,ward\n1,north\n", "utf-8") == ""


def test_many_letters_tell() -> None:
    assert other_readings("ü".encode("mac_roman") * FEW, "cp1252")
    assert other_readings("ü".encode("mac_roman") * (FEW + 1), "cp1252") == ""
