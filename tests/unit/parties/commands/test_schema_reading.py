"""Tables are read by their schema: the same for training, prediction and later, whoever else is in the file."""

from __future__ import annotations

from pathlib import Path

import msgspec
import numpy as np
import polars as pl
import pytest

from secure_gal.data.table import Table, read_table
from secure_gal.errors import DataError
from secure_gal.holdings.assistor import AssistorData
from secure_gal.learners import storage
from secure_gal.settings.load import load_party
from secure_gal.settings.party import DataSettings
from tests.support.schema_files import ROWS, N, write
from tests.support.two_parties import settings


def parts(folder: Path, rows: list[tuple[str, ...]], **changes: str) -> dict[str, float]:
    """Part of a prediction by id, of an assistor that has learnt from ROWS before."""
    write(folder)
    lab = settings(folder, "lab")
    party, study = load_party(lab)
    model = AssistorData(party, study, folder, lambda text: None)
    encoder = model.prepare(np.arange(N), np.ones(N, dtype=np.bool_))
    residual = np.random.default_rng(0).standard_normal((N, 1)).astype(np.float32)
    saved, _ = model.fit_round(1, residual)
    write(folder, rows)
    for old, new in changes.items():
        path = folder / "lab.schema.toml"
        path.write_text(path.read_text().replace(old, new))
    again = AssistorData(party, study, folder, lambda text: None)
    known, part = again.predict(tuple(again.ids), encoder, [saved], np.ones(1), 1)
    assert known.all()
    return dict(zip(again.ids, part[:, 0].tolist(), strict=True))


@pytest.mark.parametrize("which", ["one", "numbers only", "no marker", "reversed", "half"])
def test_the_same_person_gets_the_same_part_whoever_else_is_in_the_file(tmp_path: Path, which: str) -> None:
    rows = {
        "one": ROWS[:1],
        "numbers only": [row for row in ROWS if row[3] != "NULL"],
        "no marker": [row for row in ROWS if row[2] == "north"],
        "reversed": ROWS[::-1],
        "half": ROWS[30:],
    }[which]
    (tmp_path / "all").mkdir()
    (tmp_path / "some").mkdir()
    everyone, some = parts(tmp_path / "all", ROWS), parts(tmp_path / "some", rows)
    assert some == {entity: everyone[entity] for entity in some}, "bit for bit"


def test_a_schema_that_reads_otherwise_than_the_model_was_learnt_is_refused(tmp_path: Path) -> None:
    write(tmp_path)
    lab = settings(tmp_path, "lab")
    party, study = load_party(lab)
    model = AssistorData(party, study, tmp_path, lambda text: None)
    encoder = model.prepare(np.arange(N), np.ones(N, dtype=np.bool_))
    saved, _ = model.fit_round(1, np.ones((N, 1), dtype=np.float32))
    path = tmp_path / "lab.schema.toml"
    kept = path.read_text()

    def predict() -> None:
        again = AssistorData(party, study, tmp_path, lambda text: None)
        again.part(again.table, tuple(again.ids), storage.load(encoder), [saved], np.ones(1), 1)

    path.write_text(kept.replace('name = "age"\ntype = "number"', 'name = "age"\ntype = "string"'))
    with pytest.raises(DataError, match="column 'age' has another schema now"):
        predict()
    path.write_text(kept.replace('name = "age"\n', 'name = "age"\nmissingValues = ["not done"]\n'))
    predict()  # a marker more changes no value that could be read before


def test_a_schema_that_was_lost_is_the_one_of_the_model(tmp_path: Path) -> None:
    write(tmp_path)
    lab = settings(tmp_path, "lab")
    party, study = load_party(lab)
    party.run_dir.mkdir()
    model = AssistorData(party, study, tmp_path, lambda text: None)
    model.prepare(np.arange(N), np.ones(N, dtype=np.bool_))
    (tmp_path / "lab.schema.toml").unlink()
    write(tmp_path, [(i, age, "1", "2") for i, age, _, _ in ROWS])
    again = AssistorData(party, study, tmp_path, lambda text: None)
    assert again.schema == model.schema, "nothing is decided from the new table"


def read(path: Path, text: str, **said: object) -> Table:
    path.write_text(text)
    return read_table(DataSettings(path, "id", "y", **said))  # type: ignore[arg-type]


def test_rows_to_predict_may_be_ids_alone(tmp_path: Path) -> None:
    learnt = read(tmp_path / "t.csv", "id,a,y\n1,2,yes\n2,3,no\n")
    (tmp_path / "new.csv").write_text("id\n7\n5\n")
    data = DataSettings(tmp_path / "new.csv", "id", "y")
    rows = read_table(data, schema=learnt.schema, labelled=False)
    assert rows.ids == ["7", "5"] and rows.frame.width == 0, "in the order of the file"
    (tmp_path / "new.csv").write_text("id;a\n7;1\n")
    with pytest.raises(DataError, match=r"no id column 'id'; .*is it separated as the schema says"):
        read_table(data, schema=learnt.schema, labelled=False)


def test_a_column_named_like_a_part_of_a_date_is_refused(tmp_path: Path) -> None:
    learnt = read(tmp_path / "t.csv", "id,a,a.month,y\n1,2020-01-02,3,yes\n2,2020-02-03,4,no\n3,2021-02-03,5,no\n")
    assert learnt.schema is not None
    fields = [
        msgspec.structs.replace(field, parts=("days", "month")) if field.type == "date" else field
        for field in learnt.schema.fields
    ]
    with pytest.raises(DataError, match=r"has a column 'a\.month' beside a date with a part of that name"):
        read_table(
            DataSettings(tmp_path / "t.csv", "id", "y"),
            schema=msgspec.structs.replace(learnt.schema, fields=tuple(fields)),
        )


def test_classes_keep_the_order_of_the_schema(tmp_path: Path) -> None:
    from secure_gal.data.encode import LabelCodec

    labels = ["mild", "severe", "none"] * 3
    codec = LabelCodec.fit("classification", labels, np.ones(9, dtype=np.bool_), ("none", "mild", "severe"))
    assert codec.classes == ("none", "mild", "severe") and codec.encode(labels).tolist()[:3] == [1, 2, 0]
    with pytest.raises(DataError, match="has the class 'worse', which is not in the schema"):
        LabelCodec.fit("classification", [*labels, "worse"], np.ones(10, dtype=np.bool_), ("none", "mild", "severe"))


def test_repeated_ids_become_one_row_where_the_party_says_so(tmp_path: Path) -> None:
    text = "id,a,y\n1,2,yes\n2,3,no\n1,4,yes\n"
    with pytest.raises(DataError, match="1 id stands more than once, in 2 rows"):
        read(tmp_path / "t.csv", text)
    first, mean = (read(tmp_path / "t.csv", text, repeated=how) for how in ("first", "mean"))
    assert first.ids == mean.ids == ["1", "2"] and first.labels == ["yes", "no"]
    assert isinstance(first.frame, pl.DataFrame) and isinstance(mean.frame, pl.DataFrame)
    assert first.frame["a"].to_list() == [2.0, 3.0] and mean.frame["a"].to_list() == [3.0, 3.0]
    assert "1 id stands more than once" in mean.notes[0] or "numbers became their mean" in mean.notes[0]


def test_floats_are_no_ids_in_parquet_either(tmp_path: Path) -> None:
    pl.DataFrame({"id": [1001.0, 1002.0], "a": [1, 2]}).write_parquet(tmp_path / "t.parquet")
    with pytest.raises(DataError, match=r"the id column 'id' has the type float64 \(the first is 1001\.0\)"):
        read_table(DataSettings(tmp_path / "t.parquet", "id"))
