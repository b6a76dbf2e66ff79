"""The file of what a table gave away: which tables are the same data, nothing is lost or given back, whoever spends."""

from __future__ import annotations

import multiprocessing
import sqlite3
import stat
from pathlib import Path

import pytest

from parties.run.budget import FILE, DataBudget
from secure_gal.data.table import Table, read_table
from secure_gal.holdings.budget import Charge
from secure_gal.settings.party import DataSettings
from tests.support.budgets import IDS, opened, spend
from tests.support.study_in_memory import table_of


@pytest.mark.parametrize(
    ("ids", "file"),
    [
        (IDS, "lab.csv"),
        (IDS, "copy.csv"),
        ([*IDS, "P-0051"], "more.csv"),
        (["changed", *IDS[1:]], "one_changed.csv"),
        ([f"new-{i}" for i in range(50)], "lab.csv"),
        ([IDS[7], *(f"new-{i}" for i in range(50))], "mostly_new.csv"),
        ([i.lower() for i in IDS], "lower.csv"),
        ([f" p{i} " for i in range(1, 51)], "zeros_and_dashes.csv"),
        (["Ｐ０００１"], "full_width.csv"),
        (IDS[::-1], "other_order.csv"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_the_same_data_begins_no_new_count(ids: list[str], file: str, tmp_path: Path) -> None:
    assert spend(opened(tmp_path), 10)
    again = opened(tmp_path, ids, file)
    assert again.spent("rows") == 10
    assert not spend(again, 1, 10) and spend(again, 5, 15, "another run")
    assert opened(tmp_path).spent("rows") == 15 and opened(tmp_path).spent("rows", "another run") == 5


def test_a_table_that_shares_nothing_has_counts_of_its_own(tmp_path: Path) -> None:
    assert spend(opened(tmp_path), 10)
    other = opened(tmp_path, [f"Q-{i}" for i in range(50)], "other.csv")
    assert other.spent("rows") == 0 and spend(other, 3)
    assert opened(tmp_path).spent("rows") == 10
    assert opened(tmp_path / "another-home").spent("rows") == 0, "what the text says of another home"


def test_tables_that_a_third_one_links_are_the_same_data(tmp_path: Path) -> None:
    """A quarter's table overlaps with the next: counts add up over all of them, also where they were apart before."""
    first, last = opened(tmp_path, ["a", "b"], "1.csv"), opened(tmp_path, ["y", "z"], "3.csv")
    assert spend(first, 1) and spend(last, 20)
    far = opened(tmp_path, ["q"], "4.csv")
    assert spend(far, 300)
    assert (first.spent("rows"), last.spent("rows")) == (1, 20)
    between = opened(tmp_path, ["b", "y"], "2.csv")
    assert between.spent("rows") == first.spent("rows") == last.spent("rows") == 21, (
        "in processes that run already, too"
    )
    assert spend(last, 4000)
    assert opened(tmp_path, ["a"], "5.csv").spent("rows") == 4021 and far.spent("rows") == 300


def test_a_table_that_changes_under_a_process_is_counted_as_well(tmp_path: Path) -> None:
    other = opened(tmp_path, ["x"], "x.csv")
    assert spend(other, 7)
    budget = opened(tmp_path)
    budget.admit(table_of([*IDS, "x"], tmp_path / "lab.csv"))
    assert budget.spent("rows") == 7
    budget.admit(table_of(["new"], tmp_path / "lab.csv"))
    assert spend(budget, 1) and opened(tmp_path, ["new"], "new.csv").spent("rows") == 8


@pytest.mark.parametrize("form", ["text", "lower", "digits", None])
def test_how_a_study_compares_ids_makes_no_other_data(form: str | None, tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("id,a\n" + "".join(f"{i},1\n" for i in IDS))
    (tmp_path / "copy.csv").write_bytes((tmp_path / "t.csv").read_bytes())
    assert spend(DataBudgetOf(tmp_path, read_table(DataSettings(tmp_path / "t.csv", "id"))), 10)
    again = DataBudgetOf(tmp_path, read_table(DataSettings(tmp_path / "copy.csv", "id"), form=form))  # type: ignore[arg-type]
    assert again.spent("rows") == 10


class DataBudgetOf(DataBudget):
    def __init__(self, home: Path, table: Table) -> None:
        super().__init__(home)
        self.admit(table)


def test_all_of_a_charge_is_spent_or_nothing(tmp_path: Path) -> None:
    budget = opened(tmp_path)
    both = [Charge("rows", 5, 100), Charge("replies", 2, 3)]
    assert budget.spend("r", both) is None
    assert budget.spend("r", both) == both[1]
    assert (budget.spent("rows"), budget.spent("replies")) == (5, 2)
    assert (
        budget.spend("r", [Charge("rows", 96, 100)]) is not None
        and budget.spend("r", [Charge("rows", 95, 100)]) is None
    )
    assert budget.spend("r", [Charge("rows", 0, 100)]) is None, "nothing is always possible"
    assert budget.spend("r", [Charge("rows", 10**9, None)]) is None


def test_what_a_run_spends_once_it_spends_once(tmp_path: Path) -> None:
    budget = opened(tmp_path)
    for run, amount, fits in (
        ("a", 6, True),
        ("a", 6, True),
        ("b", 6, False),
        ("b", 4, True),
        ("a", 6, True),
        ("a", 7, False),
    ):
        assert (budget.spend(run, [Charge("sums", amount, 10)], once=True) is None) == fits
    assert (budget.spent("sums"), budget.spent("sums", "a"), budget.spent("sums", "b")) == (10, 6, 4)


def _spender(home: str, run: str) -> None:
    budget = opened(Path(home))
    for _ in range(40):
        spend(budget, 1, 100, run)


def test_processes_of_one_home_lose_nothing_and_spend_no_more_than_there_is(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    processes = [context.Process(target=_spender, args=(str(tmp_path), f"run-{i}")) for i in range(3)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
        assert process.exitcode == 0
    budget = opened(tmp_path)
    assert budget.spent("rows") == sum(budget.spent("rows", f"run-{i}") for i in range(3)) == 100


def test_entries_are_only_added(tmp_path: Path) -> None:
    spend(opened(tmp_path), 10)
    assert stat.S_IMODE((tmp_path / FILE).stat().st_mode) == 0o600
    db = sqlite3.connect(tmp_path / FILE)
    for statement in (
        "DELETE FROM spent",
        "UPDATE spent SET amount = 1",
        "REPLACE INTO spent SELECT seq, 0, kind, run, -1 FROM spent",
    ):
        with pytest.raises(sqlite3.IntegrityError):
            db.execute(statement)
    db.close()


def test_no_id_and_no_path_stands_in_the_file(tmp_path: Path) -> None:
    opened(tmp_path, ["somebody@example.org"], "secret_name.csv")
    raw = (tmp_path / FILE).read_bytes()
    assert b"somebody" not in raw and b"example" not in raw and b"secret_name" not in raw
