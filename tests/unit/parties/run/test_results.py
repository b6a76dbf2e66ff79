"""Results outlive whoever was to write them: a sponsor that died or whose disk was full after the end of learning."""

from __future__ import annotations

import csv
import dataclasses
import errno
import functools
import itertools
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import msgspec
import numpy as np
import pytest

from parties.commands import assist as assistor
from parties.commands import demo
from parties.commands.assist import assist as assist_here
from parties.commands.leakage import measure
from parties.commands.train import NO_GAIN, report, train
from parties.report.results import threshold_of, write_results
from parties.run.node import Node
from parties.run.patience import Patience
from parties.run.progress import Progress
from parties.run.session import open_session, open_store
from parties.run.store import RunStore
from parties.run.traffic import Traffic, counts_of
from secure_gal import events
from secure_gal.errors import EnvironmentFailure, Paused, PeerViolation, SettingsError
from secure_gal.messages import Batch, Ending, Finished, PredictReply
from secure_gal.protocol.settled import Settled
from secure_gal.settings.report import ReportSettings
from secure_gal.state import State
from tests.support.commands import assist, ended
from tests.support.simulation import MemoryStore
from tests.support.small_study import failing, write_study
from tests.support.study_in_memory import ROUNDS, context, make_network, make_node, study

pytestmark = pytest.mark.processes
FILES = ("summary.json", "rounds.csv", "report.html", "computing.json", "model_card.json")


@pytest.fixture(scope="module")
def interrupted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study whose sponsor died when it came to write summary.json; its assistors ended, with --once."""
    folder = tmp_path_factory.mktemp("results")
    write_study(folder, "clear", validation=0.2)
    labs = [assist(folder / name, "--once") for name in demo.PARTIES[1:]]
    ended(failing(folder / "hospital", "summary.json", "die", "train", "hospital.toml"), 137)
    for lab in labs:
        ended(lab)
    return folder


@pytest.fixture
def folder(interrupted: Path, tmp_path: Path) -> Path:
    """A copy of it of one's own."""
    return Path(shutil.copytree(interrupted, tmp_path / "study"))


def again(folder: Path, command: Callable[[Path], int] = train) -> dict[str, bytes]:
    """The sponsor's command once more, in this process: what its run directory shows then."""
    assert command(folder / "hospital" / "hospital.toml") == 0
    return {name: (folder / "hospital" / "run" / name).read_bytes() for name in FILES}


@pytest.mark.parametrize("command", [train, report], ids=["train", "report"])
def test_results_are_written_by_the_next_command(
    command: Callable[[Path], int], folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = folder / "hospital" / "run"
    assert not (run / "summary.json").exists() and not (run / "report.html").exists()
    found = again(folder, command)
    said = capsys.readouterr().err
    assert "are written: summary.json, model_card.json, report.html" in said and "held-out auc: GAL 0." in said
    summary = json.loads(found["summary.json"])
    assert summary["rounds"] == 2 and summary["rows"]["train"] == 120 and 0.5 < summary["gal"] <= 1
    assert summary["alone"] is not None and summary["kept"] in (0, 1, 2) and "numpy" in summary["versions"]
    assert summary["seconds"]["total"] > summary["seconds"]["rounds"] > 0
    assert summary["computing"]["kind"] == "linear" and len(summary["computing"]["seconds"]["fit"]) == 2
    assert summary["bytes"]["sent"]["lab-a"]["residual"] > 0 < summary["bytes"]["received"]["lab-b"]["fitted"]
    assert [row["round"] for row in csv.DictReader(found["rounds.csv"].decode().splitlines())] == ["1", "2"]
    assert again(folder, command) == found
    assert "are written" not in capsys.readouterr().err, "nothing was missing any more"


def test_the_model_card_has_digests_protections_metrics_limits_and_no_level(folder: Path) -> None:
    found = again(folder)
    card, summary = json.loads(found["model_card.json"]), json.loads(found["summary.json"])
    assert card["model"]["study_digest"] == summary["digest"] and card["versions"] == summary["versions"]
    assert list(card["data"]["sponsors_columns"]) == ["c0", "c1", "c2"]
    assert all(len(c["digest"]) == 32 for c in card["data"]["sponsors_columns"].values())
    assert len(card["data"]["sponsors_schema_digest"]) == len(card["data"]["sponsors_table_digest"]) == 64
    assert card["protections"]["residuals"] == "none" and card["who_learns_what"][0]["message"]
    assert card["worth"]["metrics"] == summary["evaluation"]["metrics"] and card["worth"]["rows"] == 30
    assert card["limits"][0] == summary["evaluation"]["worth"] and "30" in card["limits"][0]
    page = found["report.html"].decode()
    assert card["data"]["sponsors_table_digest"] in page and "Model card" in page


def test_the_threshold_is_the_models_and_the_files_where_none_was_kept(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    session = open_session(folder / "hospital" / "hospital.toml")
    asked = msgspec.structs.replace(session.party, report=ReportSettings(threshold=0.3))
    session, store = dataclasses.replace(session, party=asked), open_store(session)
    assert threshold_of(session, store, Progress()) == 0.5
    assert "[report] threshold is 0.3 now, and this model was learnt with 0.5" in capsys.readouterr().err
    store.commit({"evaluation": None}, {}, [])
    assert threshold_of(session, store, Progress()) == 0.3 and not capsys.readouterr().err
    store.close()


@pytest.mark.parametrize(
    ("name", "lost"), [*((name, True) for name in FILES), ("summary.json", False), ("rounds.csv", False)]
)
def test_one_file_that_is_missing_or_stale_is_written_again(name: str, lost: bool, folder: Path) -> None:
    found, path = again(folder), folder / "hospital" / "run" / name
    if lost:
        path.unlink()
    else:
        path.write_text("of a run before this one")
    assert again(folder) == found


def test_a_report_that_lay_there_before_is_not_taken_for_this_runs(folder: Path) -> None:
    (folder / "hospital" / "run" / "report.html").write_text("of a run before this one")
    assert b"demo" in again(folder)["report.html"]


@pytest.mark.parametrize("name", ["summary.json", "rounds.csv", "report.html"])
def test_a_full_disk_is_an_error_and_costs_nothing(name: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "hospital" / "run" / "rounds.csv").unlink()
    keep = os.replace

    def replace(part: Path, path: Path) -> None:
        if path.name == name:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        keep(part, path)

    monkeypatch.setattr(os, "replace", replace)
    with pytest.raises(EnvironmentFailure, match="No space left"):
        again(folder)
    monkeypatch.undo()
    assert again(folder).keys() == set(FILES)


def test_a_summary_is_that_of_the_learning_stage_whatever_is_sent_later(folder: Path) -> None:
    found = again(folder)
    store = RunStore(folder / "hospital" / "run")
    store.set_meta("traffic", '{"sent": {"lab-a": {"predict-request": 9}}, "received": {}}')
    store.close()
    (folder / "hospital" / "run" / "summary.json").unlink()
    assert again(folder) == found


def test_bytes_are_counted_on_while_results_are_made_up_for(folder: Path) -> None:
    session = open_session(folder / "hospital" / "hospital.toml")
    store = open_store(session)
    live = Traffic(store)
    write_results(session, store)
    live.count("sent", "lab-a", "predict-request", 7)
    store.commit({"x": b"1"}, {}, [])
    assert counts_of(store)["sent"]["lab-a"] == live.counts["sent"]["lab-a"] and "predict-request" in store.meta(
        "traffic"
    )
    store.close()


def test_what_was_measured_of_leakage_outlives_the_report(folder: Path) -> None:
    again(folder)
    found = measure(folder / "hospital" / "hospital.toml")
    before = (folder / "hospital" / "run" / "report.html").read_bytes()
    assert found.findings and found.findings[0].attack.encode() in before
    (folder / "hospital" / "run" / "report.html").unlink()
    assert again(folder)["report.html"] == before


def test_a_finished_study_says_that_the_table_is_another_one(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Exit code 2, after everything that was missing is made up for: the table was not learnt from."""
    table = folder / "hospital" / "hospital.csv"
    kept = table.read_text()
    header, first, *rows = kept.splitlines()
    flipped = f"{first[:-1]}{1 - int(first[-1])}"
    table.write_text("\n".join([header, flipped, *rows[:-2]]) + "\n")
    with pytest.raises(
        SettingsError, match=r"2 rows removed; the label of 1 row changed.*to learn again: .*empty run_dir"
    ) as error:
        again(folder)
    assert error.value.exit_code == 2 and (folder / "hospital" / "run" / "summary.json").exists()
    table.unlink()
    capsys.readouterr()
    again(folder)
    assert "was not compared" in capsys.readouterr().err
    table.write_text(kept)
    again(folder)


def test_no_results_of_a_learning_stage_that_goes_on(folder: Path) -> None:
    store = RunStore(folder / "hospital" / "run")
    store.commit({"phase": b"learning"}, {}, [])
    store.close()
    with pytest.raises(SettingsError, match="holds no finished learning stage; run: secure-gal train"):
        again(folder, report)


def test_an_assistor_that_ends_once_does_not_wait_for_a_sponsor_that_is_gone(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With every certificate it ends at once; without the last one it waits as long as the study says, and pauses."""
    party = folder / "lab-a" / "lab-a.toml"
    assert assist_here(party, once=True) == 0
    store = RunStore(folder / "lab-a" / "run")
    store.commit({"certify/done": b"1"}, {}, [])
    store.close()
    seconds = itertools.count(0, 100)
    monkeypatch.setattr(assistor, "Patience", functools.partial(Patience, clock=lambda: next(seconds)))
    with pytest.raises(Paused, match=r"hospital did not come within 600 s.*secure-gal assist --once"):
        assist_here(party, once=True)


@pytest.mark.parametrize("late", [False, True])
def test_whatever_dies_after_the_end_everyone_gets_every_certificate(late: bool) -> None:
    """The sponsor that is started again after it has finished asks for nothing, and delivers what died with it."""
    network, points = make_network(), []
    while network.step():
        points.append(network.sponsor.store.values["phase"] == b"finished")
    assert sum(points) > 3
    for at in range(points.index(True), len(points), 2):
        network = make_network()
        for _ in range(at + 1):
            network.step()
        network.sponsor.make = settled
        network.crash("hospital", late)
        network.run()
        assert not network.sponsor.node._certifier.pending
        for party in network.parties.values():
            assert party.store.values["certify/done"] == str(ROUNDS).encode(), f"step {at}: {party.name}"
            assert not party.store.out, f"step {at}: {party.name} has something that was not acknowledged"


def settled(store: MemoryStore) -> Node:
    fixed = context("hospital", study())
    return make_node(Settled(State(store.values)), store, fixed)


def test_after_the_end_only_answers_to_what_was_given_up_are_ignored() -> None:
    role = Settled(State({"phase": b"finished"}))
    stale = PredictReply(Batch(1), np.zeros(0, np.uint8), np.zeros((0, 1), np.float32))
    assert role.receive("lab", stale) == [events.Stale("lab")]
    with pytest.raises(PeerViolation, match="not legal after"):
        role.receive("lab", Finished(Ending("finished")))


def test_require_gain_ends_with_a_code_of_its_own_unless_the_study_is_better(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = folder / "hospital" / "hospital.toml"
    assert train(file, require_gain=True) == 0
    said = capsys.readouterr().err.splitlines()
    verdict = next(i for i, line in enumerate(said) if line.startswith("better than alone: held-out loss of 30 rows"))
    assert verdict < next(i for i, line in enumerate(said) if "held-out auc: GAL" in line), "the verdict comes first"
    store = open_store(open_session(file))
    summary = json.loads(store.meta("summary"))
    for found in (summary["verdict"] | {"word": "no better"}, None):
        store.set_meta("summary", json.dumps(summary | {"verdict": found}))
        store.close()
        assert train(file, require_gain=True) == NO_GAIN and train(file) == 0
        store = open_store(open_session(file))
    store.close()
