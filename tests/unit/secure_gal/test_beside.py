"""The sponsor's best own model is fitted in a thread beside others: nothing is imported there, and cores are shared."""

from __future__ import annotations

import subprocess
import sys

import joblib
import pytest
from threadpoolctl import threadpool_info

from secure_gal.holdings.own_model import half_of_the_cores

SCRIPT = """
import sys, threading
import numpy
from secure_gal.holdings import own_model
own_model.load()
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


def test_fits_import_nothing_that_another_thread_may_be_importing() -> None:
    done = subprocess.run([sys.executable, "-c", SCRIPT], check=True, capture_output=True, text=True)
    assert done.stdout.strip() == "[True] []"


def test_fits_leave_half_of_the_cores_to_others(monkeypatch: pytest.MonkeyPatch) -> None:
    import sklearn.ensemble  # noqa: F401  (whose OpenMP is looked at)

    def threads() -> list[int]:
        return [library["num_threads"] for library in threadpool_info() if library["user_api"] == "openmp"]

    before = threads()
    monkeypatch.setattr(joblib, "cpu_count", lambda: 1)
    with half_of_the_cores():
        assert threads() and set(threads()) == {1}
    assert threads() == before
