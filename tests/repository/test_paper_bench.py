"""Cases are valid, runs go on where they stopped, and tables and figures are made of the lines of results alone."""

from __future__ import annotations

import json
from dataclasses import fields, replace
from operator import itemgetter
from pathlib import Path
from typing import Any

import pytest

from benchmarks.paper import cases, cases_deep, plot, results, run, table
from benchmarks.paper.case import Case
from benchmarks.paper.learners import LEARNERS

WINE = Case(group="g", row="GAL", data="Wine", method="gal", rounds=2, seeds=2, published=(96.5, 3.0))


def record(row: str, mode: str, seed: int, value: float, **changes: Any) -> results.Record:
    case = {"group": "uci", "data": "Wine", "row": row, "mode": mode}
    made: results.Record = {
        "name": f"uci/Wine/{row}/{mode}",
        "quick": False,
        "seed": seed,
        "metric": "accuracy",
        "trail": [40.0, value],
        "train_loss": [1.0, 0.5],
        "eta": [2.0],
        "weights": [[0.5, 0.5]],
        "kept": 1,
        "value": value,
        "seconds": 1.0,
        "cpu_seconds": 0.5,
        "published": [96.5, 3.0],
        "case": case,
        "date": "2026-11-28",
        "machine": {"cpu": "a processor", "cores": 2, "python": "3.11"},
        "versions": {"secure-gal": "0.3.0"},
    }
    return made | changes


def test_every_case_has_a_name_of_its_own_and_known_parts() -> None:
    names = [case.name for case in cases.CASES]
    assert len(set(names)) == len(names)
    for case in cases.CASES:
        assert case.source.task in ("classification", "regression")
        assert case.learner in (*LEARNERS, "logistic")
        assert case.group in table.TITLES
        json.dumps(case.declared())


def test_quick_cases_are_no_larger_and_have_no_full_name_twice() -> None:
    for case in cases.CASES:
        short = case.in_short()
        if short is not None:
            assert short.seeds <= case.seeds and short.rounds <= case.rounds
            assert short.name == case.name and short.in_short() is None


def test_every_method_of_the_paper_is_among_the_cases() -> None:
    assert {case.method for case in cases.CASES} == {
        "gal",
        "alone",
        "last",
        "joint",
        "al",
        "late",
        "interm",
        "central",
        "boosting",
        "optimum",
    }
    assert {case.mode for case in cases.CASES} == {"paper", "product", "ckks", "sum"}
    assert {case.noise for case in cases.CASES} == {0.0, 1.0, 5.0}
    assert {case.local_loss for case in cases.CASES if case.group == "local-loss"} == {"l1", "l1.5", "l2", "l4"}


def test_what_stands_beside_ciphertexts_in_the_clear_plays_as_many_rounds_of_the_same_fits() -> None:
    """`ckks - product` is of the same study, but for encryption: its difference is none of rounds or of learners."""
    apart = {"mode", "seeds", "quick"}
    clear = {(c.group, c.data, c.row): c for c in cases.CASES if c.mode == "product"}
    encrypted = [case for case in cases.CASES if case.mode in table.BESIDE]
    assert {case.group for case in encrypted} >= {"uci", "images", "clinical"}
    for case in encrypted:
        beside = clear[case.group, case.data, case.row]
        for field in fields(Case):
            if field.name not in apart:
                assert getattr(case, field.name) == getattr(beside, field.name), (case.name, field.name)


@pytest.mark.parametrize("data", sorted({study.data for study in cases_deep.STUDIES}))
def test_every_method_with_networks_is_run_in_small_of_the_same_rows_and_sizes(data: str) -> None:
    """Methods are compared there: no line may have more rows, rounds, epochs or seeds than another."""
    small = cases.chosen([f"small-*/{data}/*"])
    full = {case.row for case in cases.CASES if case.group in ("images", "objects", "clinical") and case.data == data}
    full = {row for row in full if "heads" not in row and "(" not in row}
    assert full <= {case.row for case in small if case.mode == "paper"}
    assert len({(c.rows, c.test_rows, c.rounds, c.seeds, json.dumps(c.options)) for c in small}) == 1
    assert min(case.seeds for case in small) >= 2


def test_names_are_chosen_whole_by_beginning_and_by_pattern() -> None:
    whole = cases.chosen(["uci/Wine/GAL/paper"])
    assert [case.name for case in whole] == ["uci/Wine/GAL/paper"]
    assert {case.data for case in cases.chosen(["uci/Wine"])} == {"Wine"}
    assert {case.mode for case in cases.chosen(["uci/*/ckks"])} == {"ckks"}
    with pytest.raises(ValueError, match="no case is called 'uci/Whine'"):
        cases.chosen(["uci/Wine", "uci/Whine"])


def test_a_stopped_run_goes_on_and_does_nothing_twice(tmp_path: Path) -> None:
    assert run.run([replace(WINE, seeds=1)], Path(), tmp_path, False) == 0
    assert [one.seed for one in run.due([WINE], tmp_path, False)] == [1]
    assert run.run([WINE], Path(), tmp_path, False) == 0
    assert run.due([WINE], tmp_path, False) == []
    assert len((tmp_path / "g.jsonl").read_text().splitlines()) == 2


def test_a_changed_case_another_release_and_a_quick_run_are_still_due(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run.run([WINE], Path(), tmp_path, False)
    assert len(run.due([replace(WINE, rounds=3)], tmp_path, False)) == 2
    assert len(run.due([WINE], tmp_path, True)) == 2
    monkeypatch.setattr(results, "versions", lambda: {"secure-gal": "9.9"})
    assert len(run.due([WINE], tmp_path, False)) == 2


def test_a_line_that_was_torn_is_told_and_done_again(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run.run([WINE], Path(), tmp_path, False)
    path = tmp_path / "g.jsonl"
    path.write_text(path.read_text()[:-40])
    assert [one.seed for one in run.due([WINE], tmp_path, False)] == [1]
    assert "line 2 is torn" in capsys.readouterr().err
    run.run([WINE], Path(), tmp_path, False)
    assert len(results.read(tmp_path)) == 2


def test_the_same_seed_gives_the_same_result(tmp_path: Path) -> None:
    for name in ("a", "b"):
        run.run([replace(WINE, seeds=1)], Path(), tmp_path / name, False)
    (a,), (b,) = (results.read(tmp_path / name) for name in ("a", "b"))
    assert {**a, "seconds": 0, "cpu_seconds": 0} == {**b, "seconds": 0, "cpu_seconds": 0}


def test_a_case_that_fails_is_counted_and_the_others_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    broken = replace(WINE, row="broken", parties=99)
    assert run.run([broken, replace(WINE, seeds=1)], Path(), tmp_path, False) == 2
    assert len(results.read(tmp_path)) == 1
    said = capsys.readouterr().err
    assert "13 columns cannot be dealt out to 99 parties" in said
    named = "g/Wine/broken/paper, seed"
    assert said.splitlines()[-1] == f"2 of 3 runs failed: {named} 0; {named} 1", "also after hours of others"


def test_two_runs_at_a_time_give_what_one_gives(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    broken = replace(WINE, row="broken", parties=99, seeds=1)
    for name, jobs in (("one", 1), ("two", 2)):
        assert run.run([WINE, broken], Path(), tmp_path / name, False, jobs=jobs) == 1
    one, two = (
        sorted(({**r, "seconds": 0, "cpu_seconds": 0} for r in results.read(tmp_path / name)), key=itemgetter("seed"))
        for name in ("one", "two")
    )
    assert one == two and len(one) == 2
    said = capsys.readouterr().err
    assert "13 columns cannot be dealt out to 99 parties" in said
    assert said.splitlines()[-1] == "1 of 3 runs failed: g/Wine/broken/paper, seed 0"
    assert said.count("    g/Wine/GAL/paper, seed 1: accuracy ") == 1, "with its name, as another may have begun since"


def test_time_left_is_told_from_runs_of_the_same_case() -> None:
    clock = run.Clock([record("GAL", "paper", 0, 97.0, seconds=30.0)])
    gal = replace(WINE, group="uci", seeds=3)
    assert clock.left([run.Due(gal, 1), run.Due(gal, 2)]) == "00:01:00"
    assert run.Clock([]).left([run.Due(gal, 1)]) == "not known how much is"


def test_a_table_has_published_beside_ours_and_paired_differences() -> None:
    records = [record("GAL", "paper", s, v) for s, v in ((0, 97.0), (1, 99.0))]
    records += [record("GAL", "product", s, v) for s, v in ((0, 96.0), (1, 98.0), (2, 50.0))]
    records += [record("GAL", "ckks", s, v) for s, v in ((0, 96.5), (1, 98.5))]
    text = table.markdown(records)
    assert "## Linear models (`uci`)" in text
    assert "| Wine (accuracy, %) | GAL | 96.5 (3.0) | 98.0 (1.4) | 81.3 (27.2) | 97.5 (1.4) | +0.5 ± 0.0 |" in text


def test_what_is_worse_than_published_by_two_standard_errors_is_marked() -> None:
    def cell(values: list[float], metric: str = "accuracy") -> str:
        known = [record("GAL", "paper", s, v, metric=metric) for s, v in enumerate(values)]
        return table.lines(known)[0].mean("paper")

    assert cell([92.0, 92.2, 91.8, 92.0]).endswith(table.WORSE)
    assert not cell([94.0, 94.2, 93.8, 94.0]).endswith(table.WORSE)
    assert not cell([92.0, 92.2, 91.8, 92.0], "mad").endswith(table.WORSE)
    assert cell([101.0, 101.2, 100.8, 101.0], "mad").endswith(table.WORSE)


def test_a_quick_result_stands_only_where_no_full_one_does_and_is_not_judged() -> None:
    quick = record("GAL", "paper", 0, 60.0, quick=True)
    assert "GAL (quick) | 96.5 (3.0) | 60.0 |" in table.markdown([quick])
    assert "60.0" not in table.markdown([quick, record("GAL", "paper", 0, 97.0)])


def test_no_results_make_no_table(tmp_path: Path) -> None:
    assert table.markdown(results.read(tmp_path)) == "No results."


def test_figures_are_drawn_of_what_is_there(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="matplotlib, of the extra bench, is not installed")
    records = [record(row, "paper", s, 97.0) for row in ("GAL", "Joint") for s in (0, 1)]
    written = plot.write(records, tmp_path)
    assert {path.name for path in written} == {
        f"{name}.{suffix}" for name in ("accuracy-over-rounds", "learning-rates") for suffix in ("png", "svg")
    }
    assert all(path.stat().st_size > 1000 for path in written)


def of_case(case: Case) -> results.Record:
    """A made-up result of a real case."""
    parties = 1 if case.method in ("alone", "last", "joint") else case.parties
    weights = [[1 / parties] * parties] * 2
    return record(case.row, case.mode, 0, 97.0, weights=weights, trail=[40.0, 90.0, 97.0]) | {"case": case.declared()}


def test_every_figure_is_drawn_of_results_that_cases_give(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="matplotlib, of the extra bench, is not installed")
    made = [of_case(case) for case in cases.CASES]
    drawn = []
    for name, (wanted, _) in plot.FIGURES.items():
        found = [one for one in made if wanted(one)]
        assert found, name
        drawn += [one for one in found if one["case"]["data"] == found[0]["case"]["data"]]  # one panel is enough
    assert len(plot.write(drawn, tmp_path)) == 2 * len(plot.FIGURES)


def test_weights_of_patches_are_those_of_kept_rounds_through_ciphertexts_where_there_are_any() -> None:
    figure = pytest.importorskip("matplotlib.figure", reason="matplotlib, of the extra bench, is not installed")
    centre, even, nothing = [0.0, 0.25, 0.25, 0.0] * 2, [0.125] * 8, [1.0] + [0.0] * 7
    encrypted, clear, old = (
        of_case(cases.chosen([f"images/MNIST/GAL-heads/{m}"])[0]) for m in ("ckks", "product", "paper")
    )
    encrypted |= {"weights": [centre, even, nothing], "kept": 2}
    clear |= {"weights": [nothing], "kept": 1}
    old |= {"weights": [], "kept": 0}  # as releases before 0.2.0 wrote it
    wanted, draw = plot.FIGURES["weights-of-patches"]
    assert [wanted(one) for one in (encrypted, clear, old)] == [True, True, False]
    axes = figure.Figure().subplots()
    draw(axes, [clear, encrypted])
    assert [text.get_text() for text in axes.texts[:4]] == [
        "0.06\n(0.00)",
        "0.19\n(0.25)",
        "0.19\n(0.25)",
        "0.06\n(0.00)",
    ]


def test_a_series_that_ended_is_held_at_its_last_value() -> None:
    assert plot.held([[1.0, 2.0], [3.0]], 3).tolist() == [[1.0, 2.0, 2.0], [3.0, 3.0, 3.0]]


def test_the_documents_tables_are_those_of_the_results() -> None:
    root = Path(__file__).parents[2]
    text = table.markdown(results.read(root / "benchmarks/results/paper"))
    assert (root / "docs/PAPER_TABLES.md").read_text() == f"{text}\n"
