"""Databases: read-only, one statement, and no password in a setting or an error. PostgreSQL itself: test_postgresql."""

from __future__ import annotations

import socket
import sqlite3
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import polars as pl
import pytest

from secure_gal.data import postgresql
from secure_gal.data.sql import read_sql
from secure_gal.errors import DataError
from secure_gal.settings.party import DataSettings

WHERE = "hospital.toml [data]"
SECRET = "open-sesame"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    with closing(sqlite3.connect(tmp_path / "ward.db")) as made:
        made.execute("create table stay (id text, days integer, weight real, note, picture blob, admitted date)")
        rows = [(f"p{i}", i, i / 7, i / 7 if i != 15_000 else "NULL", b"x", "2020-01-02") for i in range(15_001)]
        made.executemany("insert into stay values (?, ?, ?, ?, ?, ?)", rows)
        made.commit()
    return tmp_path


def read(folder: Path, query: str, taken: list[str] | None = None) -> pl.DataFrame:
    return read_sql("sqlite:///ward.db", query, WHERE, taken, folder).frame


def test_values_are_those_of_the_database(folder: Path) -> None:
    frame = read(folder, "select id, days, weight, admitted from stay")
    assert frame.dtypes == [pl.String, pl.Int64, pl.Float64, pl.String] and frame.height == 15_001
    assert all(row == (f"p{row[1]}", row[1], row[1] / 7, "2020-01-02") for row in frame.rows())


def test_rows_come_in_one_order_whatever_the_database_gives(folder: Path) -> None:
    query = "select note, id, days from stay order by "
    assert read(folder, query + "days").equals(read(folder, query + "random()"))


def test_a_marker_after_many_numbers_changes_none_of_them(folder: Path) -> None:
    """ADBC's driver writes such numbers with seven digits, or refuses them, by what its first 1,024 rows hold."""
    notes = read(folder, "select days, note from stay")["note"]
    assert notes[-1] == "NULL" and [float(text) for text in notes[:-1]] == [i / 7 for i in range(15_000)]


def test_an_absolute_path_has_four_slashes(folder: Path) -> None:
    assert read_sql(f"sqlite:///{folder}/ward.db", "select count(*) as n from stay", WHERE).frame.rows() == [(15_001,)]


def test_columns_that_are_left_out_may_hold_anything(folder: Path) -> None:
    with pytest.raises(DataError, match="column 'picture' holds bytes"):
        read(folder, "select * from stay")
    assert read(folder, "select * from stay", ["id", "days"]).columns == ["id", "days"]


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("delete from stay", "does more than read"),
        ("insert into stay (id) values ('x') returning id", "does more than read"),
        ("create table t (a)", "does more than read"),
        ("attach 'other.db' as other", "does more than read"),
        ("pragma writable_schema = 1", "does more than read"),
        ("vacuum into 'other.db'", "does more than read"),
        ("select 1 as a; delete from stay", "is more than one statement"),
        ("selec 1", 'SQLite refused it: near "selec": syntax error; correct'),
        ("select * from nowhere", "no such table: nowhere; correct"),
        ("select missing from stay", "no such column: missing; correct"),
        ("select load_extension('x')", "does more than read|not authorized|no such function"),
        ("select 1 as a, 2 as a", "more than one column 'a'"),
        ("  ", "`query` is empty"),
        ("-- nothing", "gives no columns"),
        ("select '\0' as a", "null character"),
    ],
)
def test_a_query_that_is_not_one_select_is_refused_and_changes_nothing(
    folder: Path, monkeypatch: pytest.MonkeyPatch, query: str, words: str
) -> None:
    monkeypatch.chdir(folder)
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    with pytest.raises(DataError, match=rf"^hospital.toml \[data\].*({words})"):
        read(folder, query)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_a_change_that_a_dead_program_left_half_done_is_not_rolled_back(folder: Path) -> None:
    with closing(sqlite3.connect(folder / "ward.db", isolation_level=None)) as dying:
        dying.execute("pragma cache_size = 1")  # so that the change reaches the disk before its commit
        dying.execute("begin")
        dying.execute("update stay set days = 0")
        left = {name: (folder / name).read_bytes() for name in ("ward.db", "ward.db-journal")}
    for name, data in left.items():
        (folder / name).write_bytes(data)
    with pytest.raises(DataError, match="left in the middle of a change; open it once with the program that writes it"):
        read(folder, "select days from stay")
    assert {name: (folder / name).read_bytes() for name in left} == left


def test_a_file_that_is_no_database_is_refused(folder: Path) -> None:
    (folder / "ward.db").write_text("id,x\n" * 1000)
    with pytest.raises(DataError, match="no SQLite database, or is damaged"):
        read(folder, "select 1 as a from stay")
    (folder / "ward.db").unlink()
    with pytest.raises(DataError, match="no such file"):
        read(folder, "select 1 as a")
    assert not (folder / "ward.db").exists()


@pytest.mark.parametrize(
    "source",
    [
        "postgresql://ann:open-sesame@host/db",
        "postgres://ann:open-sesame@host/db",
        "postgresql://ann:open/sesame@host/db",
        "postgresql://ann:open#sesame?@host/db",
        "postgresql://ann:@host/db",
        "postgresql://host/db?user=ann&password=open-sesame",
        "postgresql://host/db?PASSWORD=open-sesame",
        "postgresql://host/db?sslpassword=open-sesame",
    ],
)
def test_a_source_that_holds_a_password_is_refused_and_not_quoted(source: str) -> None:
    with pytest.raises(DataError, match=r"holds a password; take it out .*PGPASSWORD, or in ~/\.pgpass") as refused:
        read_sql(source, "select 1", WHERE)
    assert "sesame" not in str(refused.value) and "ann" not in str(refused.value)


def test_a_source_is_shown_without_user_and_parameters() -> None:
    assert DataSettings(source="postgresql://ann@host:5432/db?sslmode=require").where == "postgresql://host:5432/db"
    assert DataSettings(source="sqlite:////srv/ward.db").where == "sqlite:////srv/ward.db"


@pytest.mark.parametrize("source", ["mysql://host/db", "sqlite://ward.db", "host=localhost password=open-sesame"])
def test_another_kind_of_source_is_refused_and_not_quoted(source: str) -> None:
    with pytest.raises(DataError, match="must begin with postgresql:// or sqlite:///") as refused:
        read_sql(source, "select 1", WHERE)
    assert "sesame" not in str(refused.value)


@pytest.fixture
def silent() -> Iterator[int]:
    """The port of a server that takes connections and never says anything."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("postgresql://ann@127.0.0.1:1/db", "Connection refused.*; is the server running"),
        ("postgresql://ann@nowhere.invalid/db", "translate host name .*; correct the host's name"),
        ("postgresql://ann@[::1/db", "is malformed; write postgresql://USER@HOST:PORT/DATABASE"),
        ("postgresql://ann@host:99999/db", "invalid port number"),
        ("postgresql://ann@host/db?wrong=1", 'invalid URI query parameter: "wrong"'),
    ],
)
def test_a_server_that_is_not_reached_is_a_message(monkeypatch: pytest.MonkeyPatch, source: str, words: str) -> None:
    monkeypatch.setenv("PGPASSWORD", SECRET)
    with pytest.raises(DataError, match=rf"`source`: .*{words}") as refused:
        read_sql(source, "select 1", WHERE)
    assert SECRET not in str(refused.value) and "ann@" not in str(refused.value)
    assert refused.value.__cause__ is None and refused.value.__suppress_context__


def test_a_server_that_never_answers_is_given_up(monkeypatch: pytest.MonkeyPatch, silent: int) -> None:
    monkeypatch.setitem(postgresql.CONNECTION, "connect_timeout", "2")  # the shortest that libpq takes
    with pytest.raises(DataError, match="timeout expired; does a firewall stand between"):
        read_sql(f"postgresql://ann@127.0.0.1:{silent}/db", "select 1", WHERE)


def test_without_the_packages_the_fix_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "adbc_driver_postgresql", None)
    monkeypatch.delitem(sys.modules, "adbc_driver_postgresql.dbapi", raising=False)
    with pytest.raises(DataError, match=r'pip install "secure-gal\[sql\]"'):
        read_sql("postgresql://ann@host/db", "select 1", WHERE)
