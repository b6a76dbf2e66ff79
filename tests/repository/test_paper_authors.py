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


def test_runs_that_the_json_has_are_not_done_again(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    done: list[tuple[str, str, int]] = []

    def played(who: str, name: str, seed: int) -> dict[str, float]:
        done.append((who, name, seed))
        return {"value": 97.0, "cpu_seconds": 1.0, "seconds": 1.0}

    monkeypatch.setattr(authors.Environment, "interpreter", lambda self, home: Path("python"))
    monkeypatch.setattr(authors, "checkout", lambda code, folder: folder)
    monkeypatch.setattr(authors, "theirs", lambda python, code, name, seed: played("authors", name, seed))
    monkeypatch.setattr(authors, "ours", lambda name, seed: played("ours", name, seed))
    asked = ["authors", "--home", str(tmp_path), "--out", str(tmp_path / "a.json"), "--seeds"]
    for seeds in ("1", "2"):
        monkeypatch.setattr("sys.argv", [*asked, seeds])
        authors.main()
    every = [(who, data, seed) for seed in (0, 1) for data in authors.SETS for who in ("authors", "ours")]
    warm = ("ours", authors.SETS[0], 0)  # libraries are loaded by a run that does not count
    assert done == [warm, *every[:4], warm, *every[4:]]
    runs = json.loads((tmp_path / "a.json").read_text())["runs"]
    assert [(run["who"], run["data"], run["seed"]) for run in runs] == every
