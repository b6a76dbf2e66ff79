"""The file of counts: damaged, foreign, vanished or of an earlier release, and where a process meets it."""

from __future__ import annotations

import dataclasses
import json
import sqlite3
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from parties.commands import doctor
from parties.commands.assist import _model
from parties.commands.setup import check_party
from parties.run.budget import BEFORE, FILE, DataBudget, look
from parties.run.progress import Progress
from parties.run.session import check_same_budget, open_store
from parties.run.store import RunStore
from secure_gal.errors import EnvironmentFailure, SettingsError
from secure_gal.holdings.budget import Charge
from secure_gal.settings.limits import OWN_LIMIT
from tests.support.budgets import IDS, opened, spend
from tests.support.lab_session import session_of
from tests.support.study_in_memory import table_of

# --- the file ---------------------------------------------------------------------------------------------------------


def test_a_file_that_vanishes_under_a_run_stops_it(tmp_path: Path) -> None:
    budget = opened(tmp_path)
    assert spend(budget, 10)
    (tmp_path / FILE).rename(tmp_path / "away")
    with pytest.raises(EnvironmentFailure, match="deleted or replaced while this run goes on"):
        spend(budget, 1)
    opened(tmp_path)  # another process makes a new one
    with pytest.raises(EnvironmentFailure, match="deleted or replaced"):
        spend(budget, 1)
    (tmp_path / "away").replace(tmp_path / FILE)
    assert spend(budget, 1) and budget.spent("rows") == 11


def test_a_run_that_began_with_one_file_does_not_go_on_with_another(tmp_path: Path) -> None:
    store = RunStore(tmp_path / "run")
    check_same_budget(store, opened(tmp_path))
    (tmp_path / FILE).unlink()
    check_same_budget(store, opened(tmp_path))  # no run was agreed yet
    store.commit({"agreement": b"{}"}, {}, [])
    check_same_budget(store, opened(tmp_path))
    (tmp_path / FILE).unlink()
    with pytest.raises(SettingsError, match="is not the file that this run began to count in"):
        check_same_budget(store, opened(tmp_path))
    store.close()


@pytest.mark.parametrize("raw", [b"x" * 100, b"SQLite format 3\0" + bytes(4000)])
def test_a_damaged_file_is_no_new_one(raw: bytes, tmp_path: Path) -> None:
    (tmp_path / FILE).write_bytes(raw)
    for read in (lambda: opened(tmp_path), lambda: look(tmp_path, table_of(IDS, tmp_path / "t.csv"))):
        with pytest.raises(EnvironmentFailure, match=r"budget\.db: .*Restore it from a copy"):
            read()
    assert (tmp_path / FILE).read_bytes() == raw


def test_another_format_and_another_programs_file_are_refused(tmp_path: Path) -> None:
    db = sqlite3.connect(tmp_path / FILE)
    db.execute("CREATE TABLE theirs (x)")
    db.close()
    with pytest.raises(SettingsError, match="has format 0"):
        opened(tmp_path)
    (tmp_path / FILE).unlink()
    opened(tmp_path)
    db = sqlite3.connect(tmp_path / FILE)
    db.execute("PRAGMA user_version=7")
    db.close()
    with pytest.raises(SettingsError, match="has format 7"):
        opened(tmp_path)


def test_a_home_that_cannot_be_written_ends_it(tmp_path: Path) -> None:
    (tmp_path / "home").write_text("a file")
    with pytest.raises(EnvironmentFailure, match="cannot be written"):
        opened(tmp_path / "home")
    (tmp_path / FILE).mkdir()
    with pytest.raises(EnvironmentFailure):
        opened(tmp_path)


def test_looking_makes_nothing_and_counts_what_assisting_would(tmp_path: Path) -> None:
    table = table_of(IDS[:3], tmp_path / "t.csv")
    assert set(look(tmp_path, table).values()) == {0} and not (tmp_path / FILE).exists()
    assert spend(opened(tmp_path, IDS[:1], "1.csv"), 1) and spend(opened(tmp_path, IDS[1:2], "2.csv"), 20)
    assert spend(opened(tmp_path, ["other"], "3.csv"), 300)
    raw = (tmp_path / FILE).read_bytes()
    assert look(tmp_path, table)["rows"] == 21, "this table would link two"
    assert (tmp_path / FILE).read_bytes() == raw


# --- counts of an earlier release -------------------------------------------------------------------------------------


def test_sums_of_an_earlier_release_count_for_every_table(tmp_path: Path) -> None:
    (tmp_path / BEFORE).write_text(json.dumps({"ab" * 32: {"r1": 10, "r2": 5}, "cd" * 32: {"r3": 2}}))
    table = table_of(IDS, tmp_path / "lab.csv")
    assert look(tmp_path, table)["sums"] == 17
    for ids, file in ((IDS, "lab.csv"), (["x"], "x.csv")):
        assert opened(tmp_path, ids, file).spent("sums") == 17
    assert look(tmp_path, table)["sums"] == 17
    assert opened(tmp_path).spend("r", [Charge("sums", 4, 20)], once=True) is not None


@pytest.mark.parametrize("raw", [b"", b"[]", b'{"a": 1}', b'{"a": {"b": "c"}}', b"\xff", b"{}" + bytes(1 << 22)])
def test_a_damaged_file_of_an_earlier_release_is_refused(raw: bytes, tmp_path: Path) -> None:
    (tmp_path / BEFORE).write_bytes(raw)
    read: list[Callable[[], object]] = [
        lambda: opened(tmp_path),
        lambda: look(tmp_path, table_of(IDS, tmp_path / "t")),
    ]
    for attempt in read:
        with pytest.raises(SettingsError, match="not a readable budget of sums"):
            attempt()
    (tmp_path / BEFORE).write_bytes(b"{}")
    assert opened(tmp_path).spent("sums") == 0


# --- where a process meets it -----------------------------------------------------------------------------------------


def test_every_table_that_an_assistor_reads_is_counted_for(tmp_path: Path) -> None:
    session, budget = session_of(tmp_path), DataBudget(tmp_path / "keys")
    store, table = open_store(session), (tmp_path / "lab.csv").read_text()
    model = _model(session, store, Progress(), budget)
    assert spend(budget, 10) and opened(tmp_path / "keys", ["8"], "other.csv").spent("rows") == 10
    (tmp_path / "lab.csv").write_text("id,a\n007,1\nnew,2\n")
    model.current_ids()
    assert opened(tmp_path / "keys", ["new"], "new.csv").spent("rows") == 10
    (tmp_path / "lab.csv").write_text(table)
    store.commit({"agreement": b"{}"}, {}, [])
    (tmp_path / "keys" / FILE).unlink()
    with pytest.raises(SettingsError, match="is not the file that this run began to count in"):
        _model(session, store, Progress(), DataBudget(tmp_path / "keys"))
    store.close()


def test_check_shows_what_is_left_of_each_budget(tmp_path: Path) -> None:
    session = session_of(tmp_path, '[protect]\nresiduals = "ckks"\n')
    assert "- reply ciphertexts: 0 of 65,536 (tau)" in check_party(session.file)
    assert not (tmp_path / "keys" / FILE).exists(), "looking makes nothing"
    budget = opened(tmp_path / "keys", ["8"])
    budget.spend("r", [Charge("rows", 3, None), Charge("queries", 1000, None), Charge("replies", 20, None)])
    shown = check_party(session.file)
    for line in (
        "- ids that were asked about: 1,000 of 10,000,000 (max_queries)",
        "- rows predicted: 3; no max_rows is set",
        "- reply ciphertexts: 20 of 65,536 (tau)",
    ):
        assert line in shown
    session.file.write_text("max_rows = 50\n" + session.file.read_text())
    assert "- rows predicted: 3 of 50 (max_rows)" in check_party(session.file)


def test_check_shows_the_ratio_of_sums_and_whether_it_is_beyond_the_limit(tmp_path: Path) -> None:
    """And nothing of ciphertexts where none are made."""
    session = session_of(tmp_path, others=("insurer", "clinic"))
    assert "reply ciphertexts" not in check_party(session.file) and "T*K" not in check_party(session.file)
    session = session_of(tmp_path, '[protect]\npredictions = "sum"\n', others=("insurer", "clinic"))
    rounds, columns = session.study.rounds, 1
    assert rounds / columns > OWN_LIMIT
    shown = check_party(session.file)
    assert f"T*K = {rounds} equations, against 1 columns here" in shown
    assert f"a ratio of {rounds:.2f}, which is beyond it" in shown
    wide = "id," + ",".join(f"c{i}" for i in range(400)) + "\n"
    rows = "".join(f"{i}," + ",".join([str(i % 3)] * 400) + "\n" for i in range(20))
    (tmp_path / "lab.csv").write_text(wide + rows)
    (tmp_path / "lab.schema.toml").unlink()
    shown = check_party(session.file)
    assert f"a ratio of {rounds / 400:.2f}, and those of the other" in shown and "beyond it" not in shown


def test_doctor_looks_whether_counts_can_be_written(tmp_path: Path) -> None:
    session = session_of(tmp_path)
    assert "can be written" in doctor._home(session)
    gone = msgspec.structs.replace(session.party, home=tmp_path / "gone")
    with pytest.raises(OSError, match="could not be counted"):
        doctor._home(dataclasses.replace(session, party=gone))
