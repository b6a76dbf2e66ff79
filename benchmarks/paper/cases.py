"""All experiments, in the order in which tables list them."""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatchcase

from benchmarks.paper import cases_deep, cases_more, cases_tables
from benchmarks.paper.case import Case

CASES: tuple[Case, ...] = (
    *cases_tables.linear(),
    *cases_tables.noisy(),
    *cases_tables.learners(),
    *cases_tables.local_losses(),
    *cases_tables.sizes(),
    *cases_tables.noised_residuals(),
    *cases_deep.networks(),
    *cases_deep.small(),
    *cases_deep.cifar_costs(),
    *cases_more.houses(),
    *cases_more.theorem(),
    *cases_more.boosting(),
    *cases_more.assisted_learning(),
    *cases_more.trees(),
    *cases_more.splits(),
    *cases_more.stored_split(),
    *cases_more.early_end(),
)


def chosen(patterns: Sequence[str]) -> list[Case]:
    """Cases whose name matches one of the patterns, or begins with it up to a slash.

    Raises:
        ValueError: a pattern that no case has.
    """
    for pattern in patterns:
        if not any(_matches(case.name, pattern) for case in CASES):
            raise ValueError(f"no case is called {pattern!r}; --list names them")
    return [case for case in CASES if any(_matches(case.name, pattern) for pattern in patterns)]


def _matches(name: str, pattern: str) -> bool:
    return fnmatchcase(name, pattern) or name.startswith(f"{pattern.rstrip('/')}/")


def in_short(cases: Sequence[Case]) -> list[Case]:
    """Those that `--quick` has, as it runs them."""
    return [short for case in cases if (short := case.in_short()) is not None]
