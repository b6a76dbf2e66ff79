"""The authors' code beside ours: the same rows on both sides, and a table made of the JSON alone."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks.paper import authors
from benchmarks.paper.data.split import eighty_twenty
from benchmarks.paper.data.tables import uci

ROOT = Path(__file__).parent.parent.parent


@pytest.mark.parametrize("name", authors.SETS)
def test_their_cut_of_the_rows_is_where_ours_is(name: str) -> None:
    """They take the first int(0.8 N) rows of an order to train on: so many must be ours, and nobody's twice."""
    rows = len(uci(name, Path())[1])
    test, train = eighty_twenty(rows, seed=3)
    assert len(train) == int(rows * 0.8)
    assert sorted([*train, *test]) == list(range(rows))


def test_the_table_has_means_and_deviations_of_each_code() -> None:
    runs = [
        {"who": who, "data": data, "value": value + add, "cpu_seconds": 2.0, "seconds": 3.0}
        for data, value in (("Wine", 95.0), ("BreastCancer", 97.0))
        for who, add in (("authors", 0.0), ("authors", 2.0), ("ours", 1.0), ("ours", 1.0))
    ]
    assert authors.markdown(runs).splitlines()[2:4] == [
        "| Wine | authors | 96.0 (1.4) | 2.00 | 3.00 | 2 |",
        "| Wine | ours | 96.0 (0.0) | 2.00 | 3.00 | 2 |",
    ]


def test_the_page_has_the_table_of_the_results() -> None:
    runs = json.loads((ROOT / "benchmarks" / "results" / "authors.json").read_text())["runs"]
    assert authors.markdown(runs) in (ROOT / "docs" / "PAPER.md").read_text()
