"""What `audit show` prints of a ledger, cell by cell."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest
from rich.table import Table

from parties.audit.ledger import verify_ledger
from parties.audit.reconcile import reconcile
from parties.audit.views import Contents, Filter, agreements, as_json, entries_table, totals_table
from secure_gal.errors import SettingsError
from tests.support.ledger_study import LedgerStudy, study, whole_study
from transport.ledger_entries import BeyondEntry, ConsentEntry, LedgerError

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def cells(table: Table) -> list[list[str]]:
    """The heads, and each row."""
    columns = [list(column.cells) for column in table.columns]
    return [[str(column.header) for column in table.columns], *map(list, zip(*columns, strict=True))]


def contents() -> Contents:
    found = Contents(Filter(round=2))
    found.study = study()
    found.totals = {
        ("received", "hospital", "residual", "residual", "clear"): (2, 4_000),
        ("sent", "insurer", "fitted", "values", "clear"): (1, 10),
        ("sent", "hospital", "fitted", "values", "clear"): (1_500, 12_000),
    }
    return found


@pytest.mark.parametrize(
    ("direction", "title", "head", "rows", "total"),
    [
        (
            "sent",
            "What left this house",
            "to",
            [["hospital", "fitted", "values", "1,500", "12,000"], ["insurer", "fitted", "values", "1", "10"]],
            "12,010",
        ),
        ("received", "What came in", "from", [["hospital", "residual", "residual", "2", "4,000"]], "4,000"),
    ],
)
def test_totals_by_direction(direction: str, title: str, head: str, rows: list[list[str]], total: str) -> None:
    table = totals_table(contents(), direction)
    heads, *found = cells(table)
    assert (table.title, table.show_footer, table.title_justify) == (title, True, "left")
    assert heads == [head, "message", "field", "class", "messages", "bytes"]
    assert [row[:3] + row[4:] for row in found] == rows and all("clear" in row[3] for row in found)
    assert [str(column.footer) for column in table.columns] == ["", "", "", "", "", total]
    assert [(c.justify, c.no_wrap) for c in table.columns] == [
        ("left", False),
        ("left", True),
        ("left", True),
        ("left", False),
        ("right", True),
        ("right", True),
    ]


def test_messages_one_by_one() -> None:
    found = contents()
    field: Any = SimpleNamespace(name="values", protection="clear", shape=(3, 1), dtype="float32", nbytes=1_200)
    text: Any = SimpleNamespace(name="step", protection="public", shape=(), dtype="json", nbytes=9)
    header: Any = SimpleNamespace(round=2, kind="fitted", fields=(field, text))
    entry: Any = SimpleNamespace(seq=7, time=NOW, direction="sent", peer="hospital", header=header)
    found.kept = [entry]
    table = entries_table(found)
    heads, row = cells(table)
    assert heads == ["line", "time (UTC)", "direction", "peer", "round", "message", "fields: class, shape, bytes"]
    assert row[:6] == ["7", "2026-01-02 03:04:05", "sent", "hospital", "2", "fitted"]
    first, second = row[6].split("; ")
    assert first.startswith("values: ") and first.endswith(", 3x1, 1,200")
    assert second.startswith("step: ") and second.endswith(", json, 9")
    assert [(c.justify, c.no_wrap) for c in table.columns] == [
        ("right", True),
        ("left", False),
        ("left", False),
        ("left", False),
        ("right", False),
        ("left", True),
        ("left", False),
    ]


def test_consents_and_limits_gone_beyond() -> None:
    found = contents()
    found.agreed = [
        ConsentEntry(2, "ab" * 32, NOW, "cd" * 32),
        BeyondEntry(3, "ab" * 32, NOW, "sums", 0.1, 0.25),
    ]
    assert agreements(found) == [
        "line 2, 2026-01-02 03:04:05 UTC: consented to the study",
        "line 3, 2026-01-02 03:04:05 UTC: went beyond the limit sums of 0.1, up to 0.25",
    ]
    shown: Any = as_json(found)
    assert shown["agreed"] == [msgspec.to_builtins(entry) for entry in found.agreed] and shown["messages"] == []
    first = shown["totals"][0]
    assert (first["direction"], first["peer"], first["messages"], first["bytes"]) == ("received", "hospital", 2, 4_000)
    assert "label" in first["infers"] or "target" in first["infers"]
    found.filter = Filter()
    assert set(as_json(found)) == {"agreed", "totals"}


@pytest.mark.parametrize(
    ("chosen", "kept"),
    [
        (Filter(), True),
        (Filter(2, "hospital", "fitted"), True),
        (Filter(round=0), False),
        (Filter(peer="lab"), False),
        (Filter(kind="residual"), False),
    ],
)
def test_what_a_filter_keeps(chosen: Filter, kept: bool) -> None:
    entry: Any = SimpleNamespace(peer="hospital", header=SimpleNamespace(round=2, kind="fitted"))
    assert chosen.keeps(entry) is kept


def test_only_ledgers_of_one_study_and_run_are_held_against_each_other(tmp_path: Path) -> None:
    one, other_study = whole_study(tmp_path / "one"), whole_study(tmp_path / "study", seed=1)
    other_run = LedgerStudy(tmp_path / "run", run="ef" * 32)
    other_run.agree()
    lab = one.path("lab")
    with pytest.raises(SettingsError, match="reconcile: the ledgers are of different runs"):
        reconcile([lab, other_run.path("hospital")])
    with pytest.raises(SettingsError, match=rf"is of another study than {lab}"):
        reconcile([lab, other_study.path("hospital")])
    with pytest.raises(SettingsError, match="is a second ledger of lab"):
        reconcile([lab, lab])


def test_a_ledger_begins_with_its_opening_and_nothing_before_it(tmp_path: Path) -> None:
    path = whole_study(tmp_path).path("lab")
    lines = path.read_bytes().splitlines(keepends=True)
    first = lines[0].replace(b'"prev":""', b'"prev":"' + b"ab" * 32 + b'"', 1)
    assert first != lines[0]
    path.write_bytes(b"".join([first, *lines[1:]]))
    with pytest.raises(LedgerError, match="must be the opening, with nothing before it") as found:
        verify_ledger(path)
    assert found.value.line == 1
