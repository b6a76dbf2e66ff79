"""What stands of the paper's cases: by which code, what is done again, and folders of runs that may take hours."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from benchmarks.paper import cases, party_folders, results, run, running, standing
from benchmarks.paper.case import Case
from secure_gal.settings.load import load_party
from secure_gal.settings.party import LearnerSettings

WINE = Case(group="g", row="GAL", data="Wine", method="gal", rounds=1, seeds=2)
BURN = "import time\nwhile time.process_time() < 0.2: pass\n"
HEADS = replace(WINE, learner="heads", mode="sum", patience=2)


def test_a_result_says_which_code_made_it(tmp_path: Path) -> None:
    assert run.run([replace(WINE, seeds=1)], Path(), tmp_path, False) == 0
    (record,) = results.read(tmp_path)
    head = subprocess.run(["git", "rev-parse", "HEAD"], cwd=Path(__file__).parent, capture_output=True, text=True)
    made = record["commit"].removesuffix("-dirty")
    if head.returncode:
        assert made == ""
    else:
        assert made and head.stdout.startswith(made.rpartition("-g")[2])
    (line,) = standing.lines([WINE], tmp_path, False)
    stands = f"1 of 2 runs, {record['date']} {record['commit']}".rstrip()
    assert line == f"g/Wine/GAL/paper  (gal, linear, M = 8, T = 1): {stands}"


def test_without_git_a_result_names_no_code(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(results, "ROOT", tmp_path)
    assert results.commit.__wrapped__() == ""
    monkeypatch.setenv("PATH", "")
    assert results.commit.__wrapped__() == ""


def test_again_runs_what_stands_and_leaves_one_line_a_run(tmp_path: Path) -> None:
    run.run([WINE], Path(), tmp_path, False)
    path = tmp_path / "g.jsonl"
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    old = [line | {"date": "2020-01-01", "commit": "old"} for line in lines]
    path.write_text("".join(json.dumps(line) + "\n" for line in old) + '{"torn')
    assert run.due([WINE], tmp_path, False) == [] and len(run.due([WINE], tmp_path, False, True)) == 2
    assert run.run([replace(WINE, seeds=1)], Path(), tmp_path, False, again=True) == 0
    left, new = (json.loads(line) for line in path.read_text().splitlines())
    assert (left["seed"], left["commit"], new["seed"]) == (1, "old", 0) and new["commit"] == results.commit()
    assert [one.name for one in tmp_path.iterdir()] == ["g.jsonl"]


def test_the_list_tells_an_older_release_and_runs_that_were_begun(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run.run([WINE], Path(), tmp_path, False)
    running.place(tmp_path, replace(WINE, seeds=3), 2, False).mkdir(parents=True)
    (line,) = standing.lines([replace(WINE, seeds=3)], tmp_path, False)
    assert ": 2 of 3 runs, " in line and line.endswith(", 1 begun") and "release" not in line
    monkeypatch.setattr(results, "versions", lambda: {"secure-gal": "9.9"})
    (line,) = standing.lines([WINE], tmp_path, False)
    assert line.endswith("(release 0.3.0, to do again)")


def test_what_was_spent_before_a_kill_counts(tmp_path: Path) -> None:
    path = running.place(tmp_path, WINE, 0, False)
    first = running.Running(path)
    assert not first.begun
    path.mkdir(parents=True)
    with subprocess.Popen([sys.executable, "-c", BURN]) as child:
        child.wait()
    first.note(now=True)
    second = running.Running(path)
    second.spent.stop()
    assert second.begun and second.spent.cpu >= first.spent.cpu >= 0.2 and second.spent.wall >= first.spent.wall > 0


def test_a_run_that_other_code_goes_on_with_names_both(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = running.place(tmp_path, WINE, 0, False)
    path.mkdir(parents=True)
    monkeypatch.setattr(results, "commit", lambda: "aaa")
    first = running.Running(path)
    first.note(now=True)
    assert first.commit == "aaa"
    monkeypatch.setattr(results, "commit", lambda: "bbb")
    assert running.Running(path).commit == "aaa..bbb"


def test_workers_that_live_on_count_as_well(tmp_path: Path) -> None:
    spent, burnt = results.Spent(), f"{BURN}print(flush=True)\ninput()"
    with subprocess.Popen([sys.executable, "-c", burnt], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        child.stdout.readline()
        spent.stop()
        child.communicate(b"\n")
    assert spent.cpu >= 0.15  # clock ticks are of 10 ms


def test_a_folder_is_of_one_case_seed_and_release_and_a_removal_is_finished(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = running.place(tmp_path, WINE, 0, False)
    others = [(replace(WINE, rounds=2), 0, False), (WINE, 1, False), (WINE, 0, True)]
    assert len({path, *(running.place(tmp_path, *other) for other in others)}) == 4
    (path.with_name(f"{path.name}.done") / "party-0").mkdir(parents=True)
    path.mkdir()
    running.sweep(tmp_path)
    assert list((tmp_path / "running").iterdir()) == [path]
    running.remove(path)
    assert list(tmp_path.iterdir()) == []
    monkeypatch.setattr(results, "versions", lambda: {"secure-gal": "9.9"})
    assert running.place(tmp_path, WINE, 0, False) != path


def test_cases_that_may_take_hours_are_played_by_processes() -> None:
    known = [case for case in cases.CASES if running.goes_on(case, quick=False)]
    assert {case.group for case in known} == {"images", "objects", "clinical", "houses"}
    assert {case.mode for case in known} == {"ckks", "sum"}
    assert not any(running.goes_on(case, quick=True) for case in cases.CASES)


def test_folders_of_parties_are_read_as_the_case_has_it(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    old, new = ([rng.normal(size=(n, *shape)) for shape in ((2,), (1, 4, 4), (3,))] for n in (5, 3))
    y = np.array([0, 1, 2, 0, 1])
    auto = LearnerSettings(features="auto")
    learners = [auto, LearnerSettings(features="encoder", loss="l2", options={"ridge": 1.0}), auto]
    party_folders.write_tables(tmp_path, old, y, new)
    party_folders.write_settings(tmp_path, HEADS, learners, old, y, 7)
    for m, learner in enumerate(learners):
        name = f"party-{m}"
        party, study = load_party(tmp_path / name / f"{name}.toml")
        assert (party.party, party.learner.options, party.learner.loss) == (name, learner.options, learner.loss)
        assert party.learner.maps == learner.maps and party.data.path.exists()
    assert (study.outputs, study.rounds, study.seed, study.patience, study.loss) == (3, 1, 7, 2, "cross_entropy")
    assert study.protect.encrypted and study.protect.summed and study.parties == ("party-0", "party-1", "party-2")
    with np.load(tmp_path / "party-1/data.npz", allow_pickle=False) as file:
        np.testing.assert_array_equal(file["x"], np.concatenate([old[1], new[1]]))
        assert file["id"].tolist() == list("01234567") and "y" not in file
