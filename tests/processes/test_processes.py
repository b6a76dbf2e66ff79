"""Real processes over real CURVE sockets: the demo, a kill -9 in the middle, and bit-for-bit agreement."""

from __future__ import annotations

import csv
import json
import os
import random
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from parties.cli import app
from parties.commands import demo
from parties.run.store import RunStore
from tests.support.commands import assist, cli, ended, until, without_lab_b, without_own_model

pytestmark = pytest.mark.processes


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("demo") / "d"
    assert demo.run(folder, clear=True) == 0
    return folder


def final_f(folder: Path) -> np.ndarray:
    store = RunStore(folder / "hospital" / "run")
    value = np.asarray(store.state()["ensemble/F"])
    store.close()
    return value


def test_the_demo_is_true(finished: Path) -> None:
    summary = json.loads((finished / "hospital/run/summary.json").read_text())
    assert (
        summary["rows"]["aligned"] == 455
        and summary["rows"]["validation"] == 0
        and summary["judged"] == "out-of-fold"
        and summary["metric"] == "auc"
    )
    assert summary["gal"] > summary["alone"]
    with (finished / "hospital/run/rounds.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == summary["rounds"] and {"w_hospital", "w_lab-a", "bytes_sent"} <= rows[0].keys()
    with (finished / "hospital/predictions.csv").open() as file:
        predictions = list(csv.DictReader(file))
    assert list(predictions[0]) == ["patient", "prediction", "p_0", "p_1"] and len(predictions) == 114
    assert predictions[0]["patient"].startswith("0"), "ids are verbatim"


def test_every_party_keeps_what_it_computed_with(finished: Path) -> None:
    summary = json.loads((finished / "hospital/run/summary.json").read_text())
    for name in demo.PARTIES:
        own = json.loads((finished / name / "run" / "computing.json").read_text())
        assert (own["kind"], own["device"], own["precision"]) == ("linear", "CPU", "float64")
        assert len(own["seconds"]["fit"]) == summary["rounds"] and own["seconds"]["prepare"] > 0
    assert summary["computing"]["seconds"]["alone"] > 0
    assert summary["seconds"]["sponsor_fit"] == pytest.approx(sum(summary["computing"]["seconds"]["fit"]), abs=0.01)
    assert "The sponsor's own learner" in (finished / "hospital/run/report.html").read_text()


def test_agrees_with_the_estimator_bit_for_bit(finished: Path) -> None:
    from secure_gal import GAL
    from secure_gal.data.table import read_table
    from secure_gal.settings.party import DataSettings

    tables = {p: read_table(DataSettings(finished / p / f"{p}.csv", "patient", "benign")) for p in demo.PARTIES}
    sponsor = tables["hospital"]
    frames = []
    for table in tables.values():
        where = {entity: i for i, entity in enumerate(table.ids)}
        frames.append(table.frame[[where[e] for e in sponsor.ids]])
    gal = GAL(parties=demo.PARTIES).fit(frames, sponsor.labels)
    assert np.array_equal(gal.F_, final_f(finished))


def test_training_again_changes_nothing(finished: Path) -> None:
    before = (finished / "hospital/run/summary.json").read_bytes()
    again = demo._start(finished / "hospital", "train", "hospital.toml")
    assert again.wait(timeout=60) == 0
    assert (finished / "hospital/run/summary.json").read_bytes() == before


def test_kill_and_resume_gives_the_same_f(finished: Path, tmp_path: Path) -> None:
    folder = tmp_path / "d"
    demo._write_tables(folder)
    demo._write_settings(folder, demo._free_port())
    without_own_model(folder / "hospital" / "hospital.toml")
    labs = {name: assist(folder / name, "--once") for name in demo.PARTIES[1:]}
    sponsor = cli(folder / "hospital", "train", "hospital.toml")
    until(sponsor, "round 2/10")
    os.kill(labs["lab-b"].pid, signal.SIGKILL)
    os.kill(sponsor.pid, signal.SIGKILL)
    for dead in (labs["lab-b"], sponsor):
        dead.communicate()
    labs["lab-b"] = assist(folder / "lab-b", "--once")
    sponsor = cli(folder / "hospital", "train", "hospital.toml")
    assert sponsor.communicate(timeout=120) and sponsor.returncode == 0
    for lab in labs.values():
        lab.communicate(timeout=60)
        assert lab.returncode == 0
    assert np.array_equal(final_f(folder), final_f(finished))


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(6))
def test_kills_at_random_moments_give_the_same_f(seed: int, finished: Path, tmp_path: Path) -> None:
    """Whoever writes the n-th progress line dies right after it, four times in a study."""
    chance = random.Random(seed)
    folder = tmp_path / "d"
    demo._write_tables(folder)
    demo._write_settings(folder, demo._free_port())
    commands = {"hospital": ("train", "hospital.toml")} | {
        lab: ("assist", f"{lab}.toml", "--once", *demo._consent(folder / lab)) for lab in demo.PARTIES[1:]
    }
    running = {name: cli(folder / name, *command) for name, command in commands.items()}
    for _ in range(4):
        victim = chance.choice(demo.PARTIES)
        stream = running[victim].stderr
        assert stream is not None
        for _ in range(chance.randint(1, 6)):
            stream.readline()
        running[victim].kill()
        running[victim].communicate()
        running[victim] = cli(folder / victim, *commands[victim])
    for name, process in running.items():
        process.communicate(timeout=120)
        assert process.returncode == 0, f"seed {seed}: {name}"
    assert np.array_equal(final_f(folder), final_f(finished)), f"seed {seed}"


def test_a_polite_stop_is_resumable_and_a_differing_study_is_named(tmp_path: Path) -> None:
    folder = tmp_path / "d"
    demo._write_tables(folder)
    demo._write_settings(folder, demo._free_port())
    without_own_model(folder / "hospital" / "hospital.toml")
    without_lab_b(folder)
    text = (folder / "lab-a/study.toml").read_text()
    (folder / "lab-a/study.toml").write_text("rounds = 3\n" + text)
    sponsor = cli(folder / "hospital", "train", "hospital.toml")
    lab = assist(folder / "lab-a", "--once")
    assert "`rounds` is 3 here and 10 there" in lab.communicate(timeout=60)[1] and lab.returncode == 2
    sponsor.terminate()
    assert "the state is saved" in sponsor.communicate(timeout=60)[1] and sponsor.returncode == 6
    (folder / "lab-a/study.toml").write_text(text)  # mended: the same folders go on
    sponsor = cli(folder / "hospital", "train", "hospital.toml")
    for process in (sponsor, assist(folder / "lab-a", "--once")):
        ended(process)


def test_an_emptied_run_directory_and_a_changed_id_begin_no_budget_anew(tmp_path: Path) -> None:
    folder = tmp_path / "d"
    demo._write_tables(folder)
    demo._write_settings(folder, demo._free_port(), ids="psi")
    without_lab_b(folder)
    for name in ("hospital", "lab-a"):
        study = folder / name / "study.toml"
        study.write_text(f"max_queries = 800\nrounds = 1\n{study.read_text()}")
    without_own_model(folder / "hospital" / "hospital.toml")
    lab = folder / "lab-a"
    assistor = assist(lab, "--once")
    ended(cli(folder / "hospital", "train", "hospital.toml"))
    ended(assistor)
    shown = CliRunner().invoke(app, ["check", str(lab / "lab-a.toml")]).output
    assert "- ids that were asked about: 455 of 800 (max_queries)" in shown
    for name in ("hospital", "lab-a"):
        shutil.rmtree(folder / name / "run")
    (lab / "moved.csv").write_text((lab / "lab-a.csv").read_text().replace("0000,", "9999,"))
    (lab / "lab-a.toml").write_text((lab / "lab-a.toml").read_text().replace("lab-a.csv", "moved.csv"))
    assistor = assist(lab, "--once")
    sponsor = cli(folder / "hospital", "train", "hospital.toml")
    assert "455 ids that were asked about, after the 455 of all keys" in ended(assistor, 3)
    sponsor.terminate()
    sponsor.communicate(timeout=60)


@pytest.mark.slow
def test_ids_that_do_not_match_are_told_to_both_sides(tmp_path: Path) -> None:
    folder = tmp_path / "d"
    demo._write_tables(folder)
    demo._write_settings(folder, demo._free_port(), ids="psi")
    table = folder / "lab-a" / "lab-a.csv"
    table.write_text(table.read_text().rstrip().replace("\n", "\nA-") + "\n")
    labs = [assist(folder / name) for name in demo.PARTIES[1:]]
    processes = [cli(folder / "hospital", "train", "hospital.toml"), *labs]
    said = [process.communicate(timeout=120)[1] for process in processes]
    assert [process.returncode for process in processes] == [2, 2, 2]
    assert all("`id_form`" in text and "`secure-gal check`" in text for text in said)
    assert "the sponsor shares 0 with lab-a, 455 with lab-b" in said[0]
    assert said[1].splitlines()[-1] == said[2].splitlines()[-1], "which of them has none, neither hears"
    again = cli(folder / "lab-b", "assist", "lab-b.toml", *demo._consent(folder / "lab-b"))
    assert "`id_form`" in again.communicate(timeout=60)[1] and again.returncode == 2
    again = cli(folder / "hospital", "train", "hospital.toml")
    assert "0 with lab-a" in again.communicate(timeout=60)[1] and again.returncode == 2


def test_light_start() -> None:
    code = (
        "import sys, secure_gal, parties.cli; heavy = {'torch', 'sklearn', 'numpy', 'zmq', 'polars', 'tenseal'};"
        "print(sorted(heavy & sys.modules.keys()))"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"


def test_a_linear_party_imports_no_torch_no_scikit_learn_and_no_scipy_before_its_first_round() -> None:
    code = (
        "import sys, parties.commands.assist, parties.commands.train, secure_gal.holdings.sponsor, transport.curve\n"
        "import parties.report.rounds, secure_gal.protocol.roles, numpy, pathlib, polars\n"
        "from secure_gal.data.encode import LabelCodec\n"
        "from secure_gal.data.encode_table import TableEncoder\n"
        "from secure_gal.gal.losses import get_loss\n"
        "from secure_gal.learners import make_learner, storage\n"
        "from secure_gal.settings.party import LearnerSettings\n"
        "labels = [0, 1, 1, 0] * 10\n"
        "frame = polars.DataFrame({'age': [1.0, 2.0, None, 4.0] * 10, 'town': ['a', 'b', 'a', None] * 10})\n"
        "encoder = TableEncoder.fit(frame)\n"
        "codec = LabelCodec.fit('classification', labels, numpy.ones(40, bool))\n"
        "residual = get_loss('cross_entropy', 1).residual(codec.encode(labels), numpy.zeros((40, 1)))\n"
        "learner = make_learner(LearnerSettings(), pathlib.Path('.'))\n"
        "storage.dump((encoder, learner.fit(encoder.transform(frame)[0], residual.astype('f4'), 1)))\n"
        "print(sorted({'torch', 'sklearn', 'scipy'} & sys.modules.keys()))\n"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"
