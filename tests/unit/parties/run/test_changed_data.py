"""A table that was changed while a study is paused, or after it: noticed at every party, and what changed is said."""

from __future__ import annotations

import csv
import dataclasses
from collections.abc import Callable
from pathlib import Path

import msgspec
import numpy as np
import pytest

from parties.run.session import admit, open_session, open_store
from parties.run.store import RunStore
from secure_gal.errors import DataError, SettingsError
from secure_gal.holdings.assistor import AssistorData
from secure_gal.holdings.party import PartyHolding
from secure_gal.holdings.sponsor import SponsorData
from tests.support.two_parties import settings

ROWS = 60
Rows = list[dict[str, str]]
Then = dict[str, dict[str, object]]
BEGUN: Then = {
    "hospital": {"rows": np.arange(ROWS), "phase": b"learning"},
    "lab": {"agreement": b"{}", "phase": b"learning"},
}
OVER: Then = {"hospital": {"phase": b"finished"}, "lab": {"phase": b"serving"}}


def table() -> Rows:
    rng = np.random.default_rng(3)
    return [
        {
            "id": f"p{i:02d}",
            "age": f"{20 + i % 50}",
            "dose": f"{rng.normal():.3f}",
            "ward": "north" if i % 2 else "south",
            "y": "yes" if rng.random() < 0.5 else "no",
        }
        for i in range(ROWS)
    ]


def write(folder: Path, name: str, rows: Rows) -> None:
    own = [row if name == "hospital" else {k: v for k, v in row.items() if k != "y"} for row in rows]
    with (folder / f"{name}.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, list(own[0]))
        writer.writeheader()
        writer.writerows(own)


def start(file: Path, then: dict[str, object] | None = None) -> list[str]:
    """What a party does with its data before it goes online, and then this state; returns what it warned of."""
    said: list[str] = []
    session = open_session(file)
    store = open_store(session)
    try:
        kind: type[PartyHolding] = SponsorData if session.party.bind else AssistorData
        model = kind(session.party, session.study, file.parent, said.append)
        said += admit(session, store, model)
        if then is not None:
            store.commit(then, {}, [])  # type: ignore[arg-type]
    finally:
        store.close()
    return said


def begin(folder: Path, name: str, **more: str) -> Path:
    """A party whose run has begun with the table."""
    write(folder, name, table())
    file = settings(folder, name, **more)
    start(file, BEGUN[name])
    return file


def edit(column: str, value: str, *rows: int) -> Callable[[Rows], Rows]:
    return lambda table: [row | {column: value} if i in rows else row for i, row in enumerate(table)]


def flip(*rows: int) -> Callable[[Rows], Rows]:
    other = {"yes": "no", "no": "yes"}
    return lambda table: [row | {"y": other[row["y"]]} if i in rows else row for i, row in enumerate(table)]


CHANGES: dict[str, tuple[Callable[[Rows], Rows], str]] = {
    "a value": (edit("dose", "99", 7), r"values changed in column dose\b"),
    "two columns": (
        lambda t: edit("ward", "east", 3)(edit("age", "3", 4, 5)(t)),
        "values changed in columns age, ward",
    ),
    "a whole number becomes another": (edit("age", "33.5", 7), "values changed in column age"),
    "a value is missing": (edit("dose", "", 7), "values changed in column dose"),
    "rows added": (lambda t: [*t, t[0] | {"id": "new"}, t[1] | {"id": "newer"}], "2 rows added"),
    "rows removed": (lambda t: t[:-3], "3 rows removed"),
    "both": (lambda t: [*t[1:], t[0] | {"id": "new"}], "1 row added, 1 row removed"),
    "an id corrected": (edit("id", "p999", 7), "1 row added, 1 row removed"),
}
UNLIKE: dict[str, tuple[Callable[[Rows], Rows], str]] = {
    "a column removed": (
        lambda t: [{k: v for k, v in row.items() if k != "dose"} for row in t],
        "has no column 'dose', which the schema .* has as a feature",
    ),
    "numbers become text": (
        edit("age", "old", *range(2, ROWS, 2)),
        "row 3 has 'old' in column 'age', where the schema .* has a number .29 such values in all.",
    ),
}


@pytest.mark.parametrize("name", ["hospital", "lab"])
@pytest.mark.parametrize("change", list(CHANGES))
def test_a_paused_run_refuses_a_changed_table_and_says_what_changed(name: str, change: str, tmp_path: Path) -> None:
    file = begin(tmp_path, name)
    start(file)
    how, said = CHANGES[change]
    write(tmp_path, name, how(table()))
    with pytest.raises(SettingsError, match=rf"{name}\.csv: .*{said}.*begin anew: .*empty run_dir"):
        start(file)
    write(tmp_path, name, table())
    assert start(file) == [], "restored, it goes on"


@pytest.mark.parametrize("name", ["hospital", "lab"])
@pytest.mark.parametrize("change", list(UNLIKE))
@pytest.mark.parametrize("then", [BEGUN, OVER], ids=["paused", "serving"])
def test_a_table_that_is_not_as_its_schema_is_refused(name: str, change: str, then: Then, tmp_path: Path) -> None:
    file = begin(tmp_path, name)
    start(file, then[name])
    how, said = UNLIKE[change]
    write(tmp_path, name, how(table()))
    with pytest.raises(DataError, match=rf"{name}\.csv: {said}"):
        start(file)
    write(tmp_path, name, table())
    assert start(file) == [], "restored, it goes on"


@pytest.mark.parametrize("name", ["hospital", "lab"])
def test_the_schema_knows_which_columns_are_learnt_from_and_in_which_order(name: str, tmp_path: Path) -> None:
    file = begin(tmp_path, name)
    write(tmp_path, name, [{k: row[k] for k in ("id", "dose", "age", "ward", "y")} for row in table()])
    assert start(file) == []
    write(tmp_path, name, table()[::-1])
    assert start(file) == [], "nor does the order of the rows say anything"
    write(tmp_path, name, [row | {"bmi": f"{20 + i}"} for i, row in enumerate(table())])
    (said,) = start(file)
    assert f"{name}.csv: the schema does not know 'bmi': left out" in said


def test_a_paused_sponsor_says_how_many_labels_changed(tmp_path: Path) -> None:
    file = begin(tmp_path, "hospital")
    write(tmp_path, "hospital", flip(3, 5, 8)(table()))
    with pytest.raises(SettingsError, match=r"the label of 3 rows changed"):
        start(file)
    write(tmp_path, "hospital", flip(3)(table())[:-1])
    with pytest.raises(SettingsError, match=r"1 row removed; the label of 1 row changed"):
        start(file)


@pytest.mark.parametrize("ids", ["clear", "psi"])
@pytest.mark.parametrize("name", ["hospital", "lab"])
def test_what_a_file_says_otherwise_is_no_change(name: str, ids: str, tmp_path: Path) -> None:
    """Numbers written otherwise, id and label elsewhere among the columns, Parquet instead of CSV."""
    import polars as pl

    file = begin(tmp_path, name, ids=ids)
    shuffled = [{k: row[k] for k in ("age", "y", "dose", "id", "ward")} for row in table()]
    write(tmp_path, name, [row | {"age": f"{row['age']}.0"} for row in shuffled])
    assert start(file) == []
    pl.read_csv(tmp_path / f"{name}.csv").write_parquet(tmp_path / f"{name}.parquet")
    assert start(settings(tmp_path, name, ids=ids, file=f"{name}.parquet")) == []


@pytest.mark.parametrize("name", ["hospital", "lab"])
def test_before_a_run_has_begun_a_table_may_change(name: str, tmp_path: Path) -> None:
    write(tmp_path, name, table())
    file = settings(tmp_path, name)
    start(file)
    write(tmp_path, name, flip(1)(edit("dose", "5", 2)(table())))
    start(file, BEGUN[name])
    assert start(file) == []
    write(tmp_path, name, table())
    with pytest.raises(SettingsError, match="values changed in column dose"):
        start(file)


def test_settings_that_decide_what_is_learnt_are_part_of_it(tmp_path: Path) -> None:
    file = begin(tmp_path, "lab")
    settings(tmp_path, "lab", 'kind="linear"\nfeatures="binned"\n')
    with pytest.raises(SettingsError, match=r"\[learner\] features"):
        start(file)
    settings(tmp_path, "lab", 'kind="linear"\ndevice="cpu"\n')
    assert start(file) == [], "where it is computed may change"


@pytest.mark.parametrize("change", ["a value", "rows added", "rows removed", "both", "a value is missing"])
def test_predictions_are_made_from_the_table_as_it_is(change: str, tmp_path: Path) -> None:
    file = begin(tmp_path, "lab")
    start(file, OVER["lab"])
    write(tmp_path, "lab", CHANGES[change][0](table()))
    assert start(file) == []
    write(tmp_path, "lab", table()[:1])  # nothing could be learnt from one row, but it can be predicted
    assert start(file) == []


def test_more_ids_than_the_study_allows_are_named_while_serving_too(tmp_path: Path) -> None:
    file = begin(tmp_path, "lab")
    start(file, OVER["lab"])
    session = open_session(file)
    few = dataclasses.replace(session, study=msgspec.structs.replace(session.study, max_ids=ROWS - 1))
    store = open_store(session)
    model = AssistorData(session.party, session.study, tmp_path, lambda text: None)
    assert admit(session, store, model) == []
    with pytest.raises(DataError, match="holds 60 ids, and the study allows max_ids = 59"):
        admit(few, store, model)
    store.close()


def test_arrays_are_noticed_too(tmp_path: Path) -> None:
    def save(x: np.ndarray) -> None:
        np.savez(tmp_path / "lab.npz", x=x, id=np.array([f"p{i:02d}" for i in range(len(x))]))

    x = np.random.default_rng(0).standard_normal((ROWS, 1, 4, 4)).astype(np.float32)
    save(x)
    file = settings(tmp_path, "lab", 'kind="linear"\nfeatures="encoder"\n', file="lab.npz")
    start(file, BEGUN["lab"])
    assert start(file) == []
    changed = x.copy()
    changed[7, 0, 1, 1] += 1
    for now, said in (
        (changed, "values changed in column x"),
        (x[:-1], "1 row removed"),
        (x[:, :, :3], "x held images of 1 x 4 x 4 and holds images of 1 x 3 x 4"),
    ):
        save(now)
        with pytest.raises(SettingsError, match=said):
            start(file)


def test_what_is_kept_tells_nothing_of_the_table(tmp_path: Path) -> None:
    """Equal labels do not look equal, and another run of the same table looks like that of any other."""
    kept = []
    for run in ("one", "other"):
        (tmp_path / run).mkdir()
        begin(tmp_path / run, "hospital")
        store = RunStore(tmp_path / run / "run")
        kept.append(store.meta("learnt-from"))
        store.close()
    assert kept[0] != kept[1] and "p07" not in kept[0] and "north" not in kept[0]
    from parties.run.learnt_from import ROW_BYTES, read

    rows = read(kept[0])
    assert len(rows.labels) == ROW_BYTES * ROWS
    assert len({rows.labels[i : i + ROW_BYTES] for i in range(0, len(rows.labels), ROW_BYTES)}) == ROWS
