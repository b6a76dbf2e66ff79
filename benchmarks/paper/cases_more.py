"""Cases on sets of two houses; the theorems made visible; and experiments on why a figure is not the published one."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any, Literal

from benchmarks.paper import published
from benchmarks.paper.case import CLEAR, Case, Method
from benchmarks.paper.cases_tables import BY_RULE, OURS, SETS
from benchmarks.paper.data.sources import STORED
from benchmarks.paper.data.tables import VERTICAL
from secure_gal.settings.study import LossName

LONG = 200
"""Rounds in which the training loss is followed."""
SPAN: tuple[tuple[str, LossName | Literal["auto"]], ...] = (("Diabetes", "l2"), ("QSAR", "auto"))
"""Sets of theorem 1, and L_1."""
FOLLOWED: tuple[tuple[str, Method], ...] = (("GAL", "gal"), ("AL", "al"), ("Joint", "joint"))
SPLIT: tuple[tuple[str, Method], ...] = (("Joint", "joint"), ("GAL", "gal"), ("AL", "al"))
EARLY: tuple[tuple[str, str, Method, str], ...] = (
    ("Blob", "Alone", "alone", "Blob"),
    (STORED["Diabetes"], "Joint", "joint", "Diabetes"),
    (STORED["BostonHousing"], "Joint", "joint", "BostonHousing"),
    (STORED["QSAR"], "Joint", "joint", "QSAR"),
)
"""Data set, line, method, and the set as the paper names it."""


def houses() -> Iterator[Case]:
    """FATE's vertical sets and two tables cut in half, against models that see everything."""
    lines: dict[str, dict[str, Any]] = {
        "Boosting, pooled": {"method": "central", "learner": "gb"},
        "Logistic regression, pooled": {"method": "central", "learner": "logistic"},
        "Alone, GB": {"method": "alone", "learner": "gb", "mode": "product"},
        "GAL, GB": {"method": "gal", "learner": "gb", "mode": "product"},
        "GAL": {"method": "gal", "learner": "auto", "mode": "product"},
    }
    for name in VERTICAL:
        base: dict[str, Any] = {"group": "houses", "data": name, "parties": 2, "rounds": 20, "seeds": 3}
        base["quick"] = {"seeds": 1} if name == "breast" else None
        for line, settings in lines.items():
            yield Case(**base, **settings, row=line)
        yield Case(**base, row="GAL", method="gal", learner="auto", mode="ckks")  # two houses are too few for sums


def theorem() -> Iterator[Case]:
    """Theorem 1: the training loss tends to the infimum over the span of the parties' functions."""
    for name, loss in SPAN:
        base: dict[str, Any] = {"group": "theorem", "data": name, "loss": loss, "seeds": 2}
        base["quick"] = {"seeds": 1}
        yield Case(**base, row="joint optimum", method="optimum")
        for line, method in FOLLOWED:
            yield Case(**base, row=line, method=method, rounds=LONG, options={"ridge": 0.0})


def boosting() -> Iterator[Case]:
    """M = 1 is gradient boosting."""
    for name in ("Diabetes", "BostonHousing"):
        base: dict[str, Any] = {"group": "boosting", "data": name, "loss": "l2", "rounds": 20}
        base["quick"] = {"seeds": 1}
        yield Case(**base, row="GAL of one organisation, trees", method="joint", learner="tree", local_loss="l2")
        yield Case(**base, row="gradient boosting of scikit-learn", method="boosting", learner="tree")


def assisted_learning() -> Iterator[Case]:
    """Why AL ties or wins here: an exact eta, the sponsor's share of columns, turns, and what the paper's code does."""
    lines: dict[str, dict[str, Any]] = {
        "AL, eta = 1": {"method": "al", "rate": 1.0},
        "AL, one turn a round": {"method": "al", "turns": 1},
        "the last party alone": {"method": "last"},
        "even columns: Alone": {"method": "alone", "even": True},
        "even columns: AL": {"method": "al", "even": True},
        "even columns: GAL": {"method": "gal", "even": True},
    }
    for name in SETS:
        for line, settings in lines.items():
            known = published.LINEAR["AL"][name] if line == "the last party alone" else None
            yield Case(
                group="why-al", row=line, data=name, learner="sgd", published=known, quick={"seeds": 1}, **settings
            )


def trees() -> Iterator[Case]:
    """Why boosted trees and support vectors are worse on small sets by the paper's rule: the least rows of a leaf, the
    implementation."""
    lines: dict[str, dict[str, Any]] = {
        "GB, leaves of 20 rows or more": {"learner": "gb"},
        "GB, leaves of 1 row or more": {"learner": "gb", "options": {"min_samples_leaf": 1}},
        "GB of scikit-learn, as in the paper": {"learner": "sklearn-gb"},
        "SVM": {"learner": "svm"},
    }
    for name in SETS:
        for line, settings in lines.items():
            known = published.OTHERS["SVM" if line == "SVM" else "GB"][name]
            yield Case(
                group="why-trees",
                row=line,
                data=name,
                method="gal",
                local_loss="l2",
                seeds=2,
                published=known,
                quick={"seeds": 1, "rounds": 3} if name == "Blob" else None,
                **settings,
            )


def splits() -> Iterator[Case]:
    """Twenty splits: what the published runs, which share one, do not show."""
    for name in SETS:
        for line, method in SPLIT:
            known = published.LINEAR[line][name]
            yield Case(group="splits", row=line, data=name, method=method, learner="sgd", seeds=20, published=known)


def stored_split() -> Iterator[Case]:
    """The one split that the published runs share: seeds deal out the columns alone, as there."""
    lines: dict[str, dict[str, Any]] = {
        "Joint": {"method": "joint"},
        "Alone": {"method": "alone"},
        "AL": {"method": "al"},
        "GAL": {"method": "gal"},
    }
    for plain, name in STORED.items():
        base: dict[str, Any] = {"group": "stored-split", "data": name}
        base["quick"] = {"seeds": 1} if plain == "BreastCancer" else None
        yield Case(**base, row="Late", method="late", learner="sgd", published=published.LINEAR["Late"][plain])
        for line, settings in lines.items():
            for mode, learner in BY_RULE:
                yield Case(**base, **settings, **learner, row=line, mode=mode, published=published.LINEAR[line][plain])
        last: dict[str, Any] = {"method": "last", "learner": "sgd", "published": published.LINEAR["AL"][plain]}
        yield Case(**base, **last, row="the last party alone")  # what AL of the paper's code comes to: `why-al`
        for kind, mode in itertools.product(("GB", "SVM"), CLEAR):
            own: dict[str, Any] = {"method": "gal", "learner": kind.lower(), "local_loss": "l2"}
            yield Case(**base, **own, row=f"GAL, {kind}", mode=mode, published=published.OTHERS[kind][plain])


def early_end() -> Iterator[Case]:
    """Where a line is worse than published by the product's rule alone: its ridge fits by the paper's rule, which plays
    all rounds, and under l1 also fits by that loss."""
    lines: dict[str, dict[str, Any]] = {
        "kept out of fold": {"mode": "product"},
        "all ten rounds": {},
        "all ten rounds, local loss l1": {"local_loss": "l1"},
    }
    for mode in ("product", "sum"):  # ten rounds of sums go further there (docs/PAPER.md)
        yield Case(
            **OURS | {"group": "why-product", "data": "QSAR", "row": "GAL, twenty rounds", "mode": mode, "rounds": 20},
            method="gal",
        )
    for name, row, method, plain in EARLY:
        base: dict[str, Any] = {"group": "why-product", "data": name, "published": published.LINEAR[row][plain]}
        base["quick"] = {"seeds": 1} if name == "Blob" else None
        for end, changes in lines.items():
            if "local_loss" not in changes or plain in ("Diabetes", "BostonHousing"):
                yield Case(**base | OURS | changes, row=f"{row}, {end}", method=method)
