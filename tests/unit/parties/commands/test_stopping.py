"""A command ends promptly when it is asked to, in real processes, and when the machine refuses it memory."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from benchmarks import harness
from parties.commands import demo
from parties.run import ending
from secure_gal.errors import SettingsError
from tests.support.commands import cli, kill, until, without_own_model

SLOW = """
import os, pathlib, sys, threading
from joblib import Parallel, delayed

def block():
    if pathlib.Path("block").exists():
        print("BLOCKED", file=sys.stderr, flush=True)
        return True
    return False

def forever(owner):
    while os.getppid() == owner:
        sum(range(1000))

class Features:
    def fit(self, x):
        if block():
            threading.Event().wait()
        self.spread = x.std(axis=0)
        return self

    def transform(self, x):
        return x / self.spread

class Learner:
    def fit(self, x, y):
        if block():
            Parallel(n_jobs=2)(delayed(forever)(os.getpid()) for i in range(4))
        return self

    def predict(self, x):
        return x[:, 0]
"""
"""Classes of a person's own, plain ones: scikit-learn's would be imported at every start of a process."""


def write(folder: Path, protect: str, learner: str) -> None:
    harness.write_settings(
        folder, harness.breast(folder, 2, 0), study=f"rounds = 2\n[protect]\n{protect}", learner='kind = "linear"'
    )
    without_own_model(folder / "p0" / "p0.toml")
    (folder / "p1" / "slow.py").write_text(SLOW)
    settings = folder / "p1" / "p1.toml"
    settings.write_text(settings.read_text().replace('kind = "linear"', learner))


@pytest.mark.processes
def test_a_stop_is_noticed_while_a_resumed_party_prepares(tmp_path: Path) -> None:
    write(
        tmp_path,
        'ids = "clear"\nresiduals = "ckks"\nparameters = "standard"',
        'kind = "linear"\nfeatures = "python:slow:Features"',
    )
    sponsor, assistor = (
        cli(tmp_path / "p0", "train", "p0.toml"),
        cli(tmp_path / "p1", "assist", "p1.toml", *demo._consent(tmp_path / "p1")),
    )
    try:
        until(assistor, "evaluation keys")
        kill(assistor)
        (tmp_path / "p1" / "block").touch()
        assistor = cli(tmp_path / "p1", "assist", "p1.toml", *demo._consent(tmp_path / "p1"))
        until(assistor, "BLOCKED")
        assistor.terminate()
        assert "the state is saved" in assistor.communicate(timeout=60)[1] and assistor.returncode == 6
        (tmp_path / "p1" / "block").unlink()
        assistor = cli(tmp_path / "p1", "assist", "p1.toml", *demo._consent(tmp_path / "p1"), "--once")
        assert sponsor.communicate(timeout=120) and sponsor.returncode == 0
        assistor.communicate(timeout=60)
        assert assistor.returncode == 0
    finally:
        kill(sponsor, assistor)


@pytest.mark.processes
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_stop_ends_worker_processes_in_the_middle_of_a_job(number: signal.Signals, tmp_path: Path) -> None:
    write(tmp_path, 'ids = "clear"', 'kind = "python:slow:Learner"')
    (tmp_path / "p1" / "block").touch()
    sponsor, assistor = (
        cli(tmp_path / "p0", "train", "p0.toml"),
        cli(tmp_path / "p1", "assist", "p1.toml", *demo._consent(tmp_path / "p1")),
    )
    try:
        until(assistor, "BLOCKED")
        assistor.send_signal(number)
        rest = assistor.communicate(timeout=60)[1]  # ends when no worker holds the other end any more
        assert assistor.returncode == 6 and "the state is saved" in rest and "Traceback" not in rest
    finally:
        kill(sponsor, assistor)


STUCK = """
import ctypes, sys
print("BLOCKED", file=sys.stderr, flush=True)
library, mutex = ctypes.CDLL(None), ctypes.create_string_buffer(64)
library.pthread_mutex_lock(mutex)
library.pthread_mutex_lock(mutex)  # in C for ever: Python's own handlers never run
"""


@pytest.mark.processes
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_stop_before_anything_was_begun_ends_at_once(number: signal.Signals, tmp_path: Path) -> None:
    write(tmp_path, 'ids = "clear"', 'kind = "python:stuck:Learner"')
    (tmp_path / "p1" / "stuck.py").write_text(STUCK)
    assistor = cli(tmp_path / "p1", "assist", "p1.toml", *demo._consent(tmp_path / "p1"))
    try:
        until(assistor, "BLOCKED")
        assistor.send_signal(number)
        err = assistor.communicate(timeout=60)[1]
        assert (assistor.returncode, err) == (-number, "")
    finally:
        kill(assistor)


@pytest.mark.processes
def test_refused_memory_is_named(tmp_path: Path) -> None:
    write(tmp_path, 'ids = "clear"', 'kind = "python:large:Learner"')
    (tmp_path / "p0" / "large.py").write_text(
        "import numpy\nclass Learner:\n    def fit(self, x, y):\n        return numpy.ones(2**50)\n    predict = fit\n"
    )
    settings = tmp_path / "p0" / "p0.toml"
    settings.write_text(settings.read_text().replace('kind = "linear"', 'kind = "python:large:Learner"'))
    (tmp_path / "p1" / "p1.toml").write_text(
        (tmp_path / "p1" / "p1.toml").read_text().replace("python:large:Learner", "linear")
    )
    sponsor, assistor = (
        cli(tmp_path / "p0", "train", "p0.toml"),
        cli(tmp_path / "p1", "assist", "p1.toml", *demo._consent(tmp_path / "p1")),
    )
    try:
        err = sponsor.communicate(timeout=60)[1]
        assert sponsor.returncode == 5 and "memory was refused (Unable to allocate" in err and "Traceback" not in err
    finally:
        kill(assistor)


def test_settings_errors_are_untouched(tmp_path: Path) -> None:
    error = SettingsError("x", "y")
    assert ending.explained(error, tmp_path) is error and not list(tmp_path.iterdir())
