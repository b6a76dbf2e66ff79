"""A real PostgreSQL: values by type, nothing but reading, and no password in a message."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from datetime import date, datetime
from pathlib import Path

import polars as pl
import pytest

from secure_gal.data.sql import read_sql
from secure_gal.errors import DataError
from tests.support.postgresql_server import READER, Server, server

pytestmark = pytest.mark.postgres

WHERE = "hospital.toml [data]"
TABLES = """
create extension if not exists citext;
create type ward as enum ('south', 'north');
create domain kilograms as numeric(5, 1);
create table stay (
    id varchar(10) primary key, code char(6), ward ward, days int, visits bigint, small smallint, weight kilograms,
    cost numeric(12, 2), big numeric(20, 0), ratio real, exact double precision, smoker boolean, note text,
    admitted date, seen timestamp, sent timestamptz
);
insert into stay values
    ('p1', 'A1', 'south', 3, 9000000000, 1, 70.5, 1234.10, 12345678901234567, 0.5, 0.1, true, 'Süd',
     '2020-01-02', '2020-01-02 03:04:05.678901', '2020-07-01 12:00:00+02'),
    ('p2', null, null, null, null, null, null, null, null, null, null, null, null, null, null, null);
create table other (
    id text, took interval, hours time, parts int[], doc json, docb jsonb, photo bytea, number uuid, fee money,
    name citext, span int4range, host inet, place point, forever date, forever_at timestamptz
);
insert into other values ('p1', '1 day', '03:04', '{1,2}', '{}', '{}', '\\x00', 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11',
    1.5, 'x', null, '10.0.0.1', '(1,2)', 'infinity', 'infinity');
create table secret (id text);
create sequence numbers;
create role reader login password 'reader-password';
grant select on stay, other to reader;
grant insert, update, delete on stay to reader;
grant usage on sequence numbers to reader;
grant create on schema public to reader;
"""


@pytest.fixture(scope="module")
def database() -> Iterator[Server]:
    with server() as made:
        made.run(TABLES)
        yield made


@pytest.fixture(autouse=True)
def environment(database: Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PGPASSWORD", database.passwords[READER])
    monkeypatch.setenv("HOME", str(tmp_path))


def read(database: Server, query: str, taken: list[str] | None = None) -> pl.DataFrame:
    return read_sql(database.source(), query, WHERE, taken).frame


def refusal(database: Server, query: str, source: str = "") -> str:
    """The message, which holds no password and no URI with a user."""
    with pytest.raises(DataError) as refused:
        read_sql(source or database.source(), query, WHERE)
    said = f"{refused.value} {refused.value!r}"
    assert not any(password in said for password in database.passwords.values()) and f"{READER}@" not in said
    shown = refused.value.__cause__ or (None if refused.value.__suppress_context__ else refused.value.__context__)
    assert shown is None  # a traceback would quote the driver's own words
    return str(refused.value)


def test_values_of_every_type_that_takes_part(database: Server) -> None:
    frame = read(database, "select * from stay")
    numbers = [pl.Int64] * 3 + [pl.Float64] * 2 + [pl.Int64] + [pl.Float64] * 2
    moments = [pl.Date, pl.Datetime("us"), pl.Datetime("us")]
    assert frame.dtypes == [pl.String] * 3 + numbers + [pl.Boolean, pl.String, *moments]
    first = ("p1", "A1", "south", 3, 9_000_000_000, 1, 70.5, 1234.1, 12345678901234567, 0.5, 0.1, True, "Süd")
    seen, sent = datetime(2020, 1, 2, 3, 4, 5, 678901), datetime(2020, 7, 1, 10)
    assert frame.rows() == [(*first, date(2020, 1, 2), seen, sent), ("p2", *[None] * 15)]


def test_a_table_without_rows_keeps_its_columns(database: Server) -> None:
    assert read(database, "select id, days from stay where false").schema == {"id": pl.String, "days": pl.Int64}


@pytest.mark.parametrize(
    ("column", "words"),
    [
        ("took", "PostgreSQL's type interval, .*extract"),
        ("hours", "PostgreSQL's type time, .*extract"),
        ("parts", r"an array \(int4\[\]\)"),
        ("doc", "PostgreSQL's type json"),
        ("docb", "PostgreSQL's type jsonb"),
        ("photo", "PostgreSQL's type bytea"),
        ("number", "PostgreSQL's type uuid, .*number::text"),
        ("fee", "PostgreSQL's type money, .*fee::numeric"),
        ("name", "PostgreSQL's type citext, .*name::text"),
        ("span", "PostgreSQL's type"),
        ("host", "PostgreSQL's type inet"),
        ("place", "PostgreSQL's type point"),
        ("forever", "row 1 of column 'forever' has a date outside the years 1 to 9999"),
        ("forever_at", "row 1 of column 'forever_at' has a date outside the years 1 to 9999"),
    ],
)
def test_a_type_that_cannot_take_part_is_refused_by_name_unless_left_out(
    database: Server, column: str, words: str
) -> None:
    query = "select id, NAME from other; ".replace("NAME", column)
    with pytest.raises(DataError, match=words):
        read(database, query)
    assert read(database, query, ["id"]).rows() == [("p1",)]


def test_what_a_refusal_says_to_write_is_read(database: Server) -> None:
    query = "select number::text, fee::numeric, name::text, extract(epoch from took) as took from other -- all"
    assert read(database, query).row(0) == ("a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11", 1.5, "x", 86400.0)
    assert read(database, query, ["fee", "took"]).row(0) == (1.5, 86400.0)


@pytest.mark.parametrize(
    "query",
    [
        "insert into stay (id) values ('p3') returning id",
        "update stay set days = 0 returning id",
        "with gone as (delete from stay returning id) select id from gone",
        "select nextval('numbers')",
    ],
)
def test_a_query_that_writes_is_refused_by_the_database_and_changes_nothing(database: Server, query: str) -> None:
    """The user may write, so that it is the transaction that refuses."""
    state = "select count(*), sum(days) from stay; select count(*) from pg_class; select is_called from numbers"
    before = database.run(state)
    assert "the query writes, and the source is only read; write one SELECT" in refusal(database, query)
    assert database.run(state) == before


@pytest.mark.parametrize(
    "query", ["commit", "begin read write", "set session characteristics as transaction read write"]
)
def test_a_statement_without_rows_is_refused(database: Server, query: str) -> None:
    assert "`query` gives no columns; write one SELECT" in refusal(database, query)


def test_the_transaction_cannot_be_made_to_write_by_a_function(database: Server) -> None:
    said = refusal(database, "select set_config('transaction_read_only', 'off', false) as a, nextval('numbers') as b")
    assert "transaction read-write mode must be set before any query" in said


@pytest.mark.parametrize(
    ("query", "words"),
    [
        (
            "select 1 as a; select 2 as a",
            "cannot insert multiple commands into a prepared statement; correct",
        ),
        ("selec 1", 'syntax error at or near "selec"; correct the query, which must be one SELECT'),
        ("select * from nowhere", 'relation "nowhere" does not exist; correct the name, or give its schema'),
        ("select missing from stay", 'column "missing" does not exist; correct the name of the column'),
        ("select * from secret", "permission denied for table secret; let the database's administrator GRANT SELECT"),
        ("select 1 / (days - 3) as a from stay", "division by zero; correct the query"),
        ("select 1 as a, 2 as a", "more than one column 'a'"),
    ],
)
def test_a_query_that_is_refused_says_why_and_what_to_do(database: Server, query: str, words: str) -> None:
    assert words in refusal(database, query)


def test_a_wrong_password_user_or_database_says_so(database: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    assert 'database "none" does not exist; correct' in refusal(database, "select 1", database.source(database="none"))
    monkeypatch.setenv("PGPASSWORD", "another-password")
    said = refusal(database, "select 1")
    assert "password authentication failed" in said and "another-password" not in said
    monkeypatch.delenv("PGPASSWORD")
    assert "no password supplied; set PGPASSWORD, or a line in ~/.pgpass with mode 0600" in refusal(
        database, "select 1"
    )


def test_the_password_may_lie_in_a_file_that_nobody_else_reads(
    database: Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("PGPASSWORD")
    file = tmp_path / "passwords"
    file.write_text(f"127.0.0.1:{database.port}:*:{READER}:{database.passwords[READER]}\n")
    monkeypatch.setenv("PGPASSFILE", str(file))
    file.chmod(0o600)
    assert read(database, "select id from stay").height == 2
    file.chmod(0o640)
    assert "no password supplied" in refusal(database, "select 1")


def test_a_server_without_tls_is_refused_where_tls_is_asked_for(database: Server) -> None:
    said = refusal(database, "select 1", f"{database.source()}?sslmode=require")
    assert "server does not support SSL, but SSL was required; correct sslmode" in said


def test_a_server_that_is_down_says_so(database: Server) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    said = refusal(database, "select 1", database.source().replace(str(database.port), str(port)))
    assert "Connection refused" in said and "is the server running, and is that its port?" in said


def test_a_query_that_takes_longer_than_the_database_allows_says_so(database: Server) -> None:
    database.run("alter role reader set statement_timeout = '50ms'")
    try:
        said = refusal(database, "select pg_sleep(60)::text as a")
    finally:
        database.run("alter role reader reset statement_timeout")
    assert "canceling statement due to statement timeout" in said


def test_a_connection_that_is_cut_during_the_query_says_so(database: Server) -> None:
    said = refusal(database, "select pg_terminate_backend(pg_backend_pid()) as a")
    assert "terminating connection due to administrator command" in said


def test_many_rows_arrive_whole_and_leave_no_connection(database: Server) -> None:
    frame = read(database, "select i as id, i / 7.0 as x, 'p' || i as name from generate_series(1, 300000) as i")
    assert frame.height == 300_000 and frame["id"].n_unique() == 300_000 and frame["x"].dtype == pl.Float64
    assert database.run("select count(*) from pg_stat_activity where usename = 'reader'").strip() == "0"
