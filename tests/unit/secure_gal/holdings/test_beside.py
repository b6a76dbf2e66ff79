"""Threads beside one another: who has imported what before another thread may import it, and how cores are shared.

Two threads that import one library at once may each find half of it: so the thread of the sponsor's own model imports
nothing, and the loop's thread nothing for weights and rates that the thread of its fits may be importing.
"""

from __future__ import annotations

import subprocess
import sys

import joblib
import pytest
from threadpoolctl import threadpool_info

from secure_gal.holdings.own_model import half_of_the_cores

SCRIPT = """
import sys, threading
from importlib import import_module
import numpy
from secure_gal.holdings import own_model
for library in own_model.LIBRARIES:
    import_module(library)
before = set(sys.modules)
x = numpy.random.default_rng(0).standard_normal((400, 3))
half = numpy.arange(400) < 200
def fit():
    with own_model.half_of_the_cores():
        for loss, classes, y in (("l2", 0, x[:, 0]), ("l1", 0, x[:, 0]), ("cross_entropy", 2, (x[:, 0] > 0) + 0)):
            for train in (half, half | True):
                for weights in (None, 1 + half):
                    own_model.own_outputs(x, y, train, weights, loss, classes, 2, 0)
    done.append(True)
done = []
thread = threading.Thread(target=fit)
thread.start(); thread.join()
print(done, sorted(set(sys.modules) - before))
"""

COMMITS = """
import itertools, sys
from typing import get_args
import numpy
from secure_gal.gal import coefficients
from secure_gal.gal.ensemble import Ensemble
from secure_gal.gal.losses import get_loss
from secure_gal.settings.party import LocalLoss
from secure_gal.settings.study import LossName
coefficients.load()
before = set(sys.modules)
rng = numpy.random.default_rng(0)
train = numpy.arange(60) < 45
rounds = []
for loss, local, cross, weights in itertools.product(
    get_args(LossName), get_args(LocalLoss), (True, False), ("fitted", "uniform", "paper")
):
    classes = loss == "cross_entropy"
    y = rng.integers(0, 2, 60) if classes else rng.poisson(3.0, (60, 1)).astype(float)
    made = Ensemble(
        get_loss(loss, 1), y, train, "classification" if classes else "regression", ("a", "b"), weights, "search", 5,
        2, local, cross, 1.0 + train, ("b",), cross, train,
    )
    while not made.finished:
        fits = made.residual() + rng.standard_normal((2, 45, 1)).astype(numpy.float32)
        rest = numpy.zeros((15, 1), numpy.float32)
        made.withheld("a")
        made.commit({party: numpy.concatenate([fit, rest]) for party, fit in zip("ab", fits)})
        rounds.append(made.kept_metric())
print(len(rounds) > 20, sorted(set(sys.modules) - before))
"""


def alone(script: str) -> str:
    """What a process of its own says."""
    return subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True).stdout.strip()


def test_rounds_are_committed_without_an_import_that_another_thread_may_be_at() -> None:
    assert alone(COMMITS) == "True []"


def test_the_best_own_model_imports_nothing_that_another_thread_may_be_importing() -> None:
    assert alone(SCRIPT) == "[True] []"


def test_fits_leave_half_of_the_cores_to_others(monkeypatch: pytest.MonkeyPatch) -> None:
    import sklearn.ensemble  # noqa: F401  (whose OpenMP is looked at)

    def threads() -> list[int]:
        return [library["num_threads"] for library in threadpool_info() if library["user_api"] == "openmp"]

    before = threads()
    monkeypatch.setattr(joblib, "cpu_count", lambda: 1)
    with half_of_the_cores():
        assert threads() and set(threads()) == {1}
    assert threads() == before
