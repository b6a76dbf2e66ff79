"""The schema beside a party's file: made once, edited by hand, shown, exported and taken."""

from __future__ import annotations

import json
import sqlite3
import stat
from contextlib import closing
from pathlib import Path

import polars as pl
import pytest
from typer.testing import CliRunner

from parties.cli import app
from parties.commands.schema import schema_of
from parties.commands.setup import check_party
from secure_gal.data import excel, parquet
from secure_gal.data.contained_readers import load_parquet
from secure_gal.data.plain_types import Taken, plain_columns
from secure_gal.data.table import read_table
from secure_gal.data.workbook import read_workbook
from secure_gal.errors import DataError, EnvironmentFailure, SettingsError
from secure_gal.holdings.assistor import AssistorData
from secure_gal.settings.load import load_party
from secure_gal.settings.party import DataSettings
from tests.support.schema_files import ROWS, N, show, write
from tests.support.two_parties import settings


@pytest.fixture
def lab(tmp_path: Path) -> Path:
    write(tmp_path)
    return settings(tmp_path, "lab")


def test_the_schema_is_shown_and_written_for_its_owner_alone(lab: Path) -> None:
    text = show(lab)
    for said in (
        "values between commas",
        "age     number",
        "ward    category",
        "25.0% ('NULL' 15)",
        "2 levels: north 30",
    ):
        assert said in text, text
    path = lab.parent / "lab.schema.toml"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    before = path.read_bytes()
    assert "as in" in show(lab) and path.read_bytes() == before


def stored(frame: pl.DataFrame, kind: str, folder: Path) -> dict[str, str]:
    """The frame in a file or database of this kind, and what `[data]` says of it."""
    match kind:
        case "parquet":
            frame.write_parquet(folder / "lab.parquet")
        case "xlsx":
            frame.write_excel(folder / "lab.xlsx")
        case "sqlite":
            with closing(sqlite3.connect(folder / "lab.db")) as db:
                db.execute("DROP TABLE IF EXISTS lab")
                db.execute(f"CREATE TABLE lab ({', '.join(frame.columns)})")
                db.executemany(f"INSERT INTO lab VALUES ({', '.join('?' * frame.width)})", frame.rows())  # noqa: S608
                db.commit()
            return {"source": "sqlite:///lab.db", "query": "SELECT * FROM lab"}
        case _:
            frame.write_csv(folder / "lab.csv")
    return {"path": f"lab.{kind}"}


@pytest.mark.parametrize("kind", ["csv", "parquet", "xlsx", "sqlite"])
def test_a_column_that_came_after_the_schema_is_told_of_wherever_the_table_lies(tmp_path: Path, kind: str) -> None:
    frame = pl.DataFrame(ROWS, schema=["id", "age", "ward", "score"], orient="row")
    said = stored(frame, kind, tmp_path)
    path, source, query = (said.get(word, "") for word in ("path", "source", "query"))
    data = DataSettings(tmp_path / path, "id", source=source, query=query)
    with pytest.MonkeyPatch.context() as patched:  # what is read contained is tested elsewhere
        patched.setattr(excel, "read_contained", in_process)
        patched.setattr(parquet, "read_contained", in_process)
        decided = read_table(data)
        stored(frame.with_columns(pl.lit(7).alias("bmi")), kind, tmp_path)
        (note,) = read_table(data, schema=decided.schema).notes
    assert not decided.notes and "the schema does not know 'bmi': left out" in note and "--renew" in note


def in_process(reader: str, path: Path, taken: list[str] | None, sheet: str | None = None) -> Taken:
    """What the child does, without its start."""
    found = load_parquet(path, taken) if reader == "parquet" else read_workbook(path, sheet, taken)
    return Taken(plain_columns(found.frame, str(path)), found.others)


def test_a_new_column_is_said_by_the_commands_and_once_by_a_party(lab: Path) -> None:
    assert "does not know" not in show(lab)
    write(lab.parent, [(*row, "7") for row in ROWS], "id,age,ward,score,bmi")
    party, study = load_party(lab)
    told: list[str] = []
    model = AssistorData(party, study, lab.parent, told.append)
    model.current_ids()
    assert len(told) == 1 and "does not know 'bmi'" in told[0]
    assert f"note: {told[0]}" in show(lab) and f"note: {told[0]}" in check_party(lab)
    assert "does not know" not in show(lab, renew=True)


def test_columns_beside_the_allow_list_are_known_and_left_out_in_files_with_types_too(tmp_path: Path) -> None:
    pl.DataFrame({"id": ["a", "b"], "x": [1, 2], "steps": [[1], [2]]}).write_parquet(tmp_path / "lab.parquet")
    table = read_table(DataSettings(tmp_path / "lab.parquet", "id", columns=("x",)))
    assert table.schema is not None and [f.kind for f in table.schema.fields] == ["id", "number", "left out"]
    assert not table.notes


def test_what_was_decided_once_is_not_decided_anew(lab: Path) -> None:
    show(lab)
    write(lab.parent, [(i, age, "1", score) for i, age, _, score in ROWS])
    assert "has column 'ward' as category; alone, this table looks like number" in show(lab)
    party, _ = load_party(lab)
    assert "ward    number" in show(lab, renew=True) and party.data.schema is not None
    assert 'type = "number"' in party.data.schema.read_text().split('name = "ward"')[1][:30]


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('name = "age"\ntype = "number"', 'name = "age"\ntype = "numbr"', "is no schema: Invalid enum value 'numbr'"),
        ('name = "age"', 'name = "ward"', "two fields of one name"),
        ("version = 1", "version = 9", "has version 9, and this release reads 1"),
        ("version = 1", "version = ", "is no schema"),
        (
            'name = "age"\ntype = "number"',
            'name = "age"\ntype = "boolean"',
            "row 1 has '20' in column 'age'.*a truth value",
        ),
        ('name = "age"\ntype = "number"', 'name = "age"\ntype = "date"\nformat = "%Y"', "'age'"),
        ('name = "age"\n', 'name = "age"\nrole = "id"\n', "column 'age' has the role 'id'; .data. says"),
        ('name = "id"\ntype = "string"\nrole = "id"', 'name = "id"\ntype = "string"', "'id' has the role 'feature'"),
        ('name = "age"\n', 'name = "age"\ndecimalChar = "5"\n', "has decimalChar '5' and groupChar ''"),
        ('name = "age"\ntype = "number"', 'name = "age"\ntype = "date"\nformat = "%Q"', "'%Q'|'age'"),
        ('name = "age"', 'name = "height"', "has no column 'height', which the schema .* has as a feature"),
    ],
)
def test_an_edit_that_does_not_fit_is_refused_in_words(lab: Path, old: str, new: str, said: str) -> None:
    show(lab)
    path = lab.parent / "lab.schema.toml"
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new))
    with pytest.raises(DataError, match=said):
        show(lab)


def test_a_hand_made_edit_rules(lab: Path) -> None:
    show(lab)
    path = lab.parent / "lab.schema.toml"
    path.write_text(path.read_text().replace('name = "age"\ntype = "number"', 'name = "age"\ntype = "string"'))
    party, study = load_party(lab)
    model = AssistorData(party, study, lab.parent, lambda text: None)
    assert isinstance(model.table.frame, pl.DataFrame) and model.table.frame["age"].dtype == pl.String


def test_other_words_in_the_party_file_need_another_schema(lab: Path) -> None:
    show(lab)
    lab.write_text(lab.read_text().replace('id="id"', 'id="id"\nmissing_values=["3"]'))
    with pytest.raises(DataError, match=r"\[data\] missing_values: is not what the schema .* --renew"):
        show(lab)
    assert "50.0% ('NULL' 15, '3' 15)" in show(lab, renew=True)


def test_the_command_line_shows_every_problem_and_ends_with_its_code(lab: Path) -> None:
    write(lab.parent, [(i, f"{age}e200", "x", "inf") for i, age, _, _ in ROWS])
    result = CliRunner().invoke(app, ["schema", str(lab)])
    assert result.exit_code == 2 and result.output.count("refused: column") == 2, result.output
    assert not (lab.parent / "lab.schema.toml").exists()


@pytest.mark.parametrize("command", ["schema", "check"])
def test_what_columns_have_to_do_with_each_other_is_said_by_the_commands(tmp_path: Path, command: str) -> None:
    """Also the second time: by then the schema is there, and nothing is decided any more."""
    rows = [(f"p{i:02d}", f"{i % 3}", f"{i % 3}", f"{i}", "no" if i % 2 else "yes") for i in range(N)]
    text = "".join(",".join((*row, row[-1])) + "\n" for row in rows)
    (tmp_path / "hospital.csv").write_text(f"id,a,b,row,leak,y\n{text}")
    file = settings(tmp_path, "hospital")
    for _ in range(2):
        said = show(file) if command == "schema" else check_party(file)
        for note in ("'a' and 'b' are identical", "'row' counts the rows", "'leak' tells the label of every row"):
            assert note in said, said


def test_what_is_exported_is_for_its_owner_alone(lab: Path) -> None:
    show(lab, export=lab.parent / "lab.json")
    assert stat.S_IMODE((lab.parent / "lab.json").stat().st_mode) == 0o600
    with pytest.raises(EnvironmentFailure, match=r"nowhere/lab\.json cannot be written: No such file"):
        show(lab, export=lab.parent / "nowhere" / "lab.json")


def test_a_weight_that_is_named_later_needs_another_schema(tmp_path: Path) -> None:
    """It may be a column that the schema leaves out."""
    rows = "".join(f"p{i:02d},{i % 7},{1 + i % 3},{'yn'[i % 2]}\n" for i in range(N))
    (tmp_path / "hospital.csv").write_text(f"id,a,w,y\n{rows}")
    file = settings(tmp_path, "hospital")
    file.write_text(file.read_text().replace('id="id"', 'id="id"\ncolumns=["a"]'))
    show(file)
    study = tmp_path / "study.toml"
    study.write_text('row_weights="sponsor"\n' + study.read_text())
    file.write_text(file.read_text().replace('id="id"', 'id="id"\nweight="w"'))
    with pytest.raises(DataError, match=r"\[data\] weight: is not what the schema .* --renew"):
        show(file)
    assert "w       number" in show(file, renew=True)


def test_frictionless_descriptors_go_out_and_come_in(lab: Path) -> None:
    descriptor = lab.parent / "lab.json"
    show(lab, export=descriptor)
    written = json.loads(descriptor.read_text())
    ward = written["fields"][2]
    assert ward["constraints"] == {"enum": ["north", "south"]} and written["primaryKey"] == ["id"]
    written["fields"][1] = {"name": "age", "type": "string", "constraints": {"enum": ["20", "21"]}}
    descriptor.write_text(json.dumps(written))
    show(lab, take=descriptor)
    assert "as category; alone, this table looks like number" in show(lab)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("nothing", "is no Table Schema descriptor"),
        ("[1]", "is no Table Schema descriptor"),
        ('{"fields": [{"name": "age", "type": "duration"}]}', "field 'age' has the type 'duration'; accepted: number"),
        ('{"fields": [{"name": "other", "type": "number"}]}', "has the field 'other', which the table has not"),
        ('{"fields": [{"name": "age", "type": "number", "decimalChar": 7}]}', "is no Table Schema descriptor"),
    ],
)
def test_what_is_no_descriptor_is_refused(lab: Path, text: str, said: str) -> None:
    (lab.parent / "d.json").write_text(text)
    with pytest.raises(DataError, match=said):
        show(lab, take=lab.parent / "d.json")


def test_settings_of_the_schema_are_checked() -> None:
    with pytest.raises(SettingsError):
        schema_of(Path("/nowhere/lab.toml"), renew=False, export=None, descriptor=None)
