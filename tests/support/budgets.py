"""Budgets of a home's tables."""

from __future__ import annotations

from pathlib import Path

from parties.run.budget import DataBudget
from secure_gal.holdings.budget import Charge
from tests.support.study_in_memory import table_of

IDS = [f"P-{i:04d}" for i in range(1, 51)]


def opened(home: Path, ids: list[str] = IDS, file: str = "lab.csv") -> DataBudget:
    """The budget of a process that works on this table."""
    budget = DataBudget(home)
    budget.admit(table_of(ids, home / file))
    return budget


def spend(budget: DataBudget, amount: int, limit: int | None = None, run: str = "run") -> bool:
    """Whether so many rows could be spent."""
    return budget.spend(run, [Charge("rows", amount, limit)]) is None
