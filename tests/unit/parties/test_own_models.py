"""Mistakes in a person's own model are named with the fix."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from secure_gal.errors import SettingsError
from secure_gal.learners import make_learner
from secure_gal.settings.party import LearnerSettings

MODULE = """
class Model:
    def __init__(self, depth=1): pass
    def fit(self, x, r): raise ValueError("boom")
    def predict(self, x): return x[:5, 0]
class Short(Model):
    def fit(self, x, r): pass
class Nan(Short):
    def predict(self, x): return x[:, 0] * float("nan")
class Good(Short):
    def predict(self, x): return x[:, :1]
def fails(): return {}["x"]
"""


@pytest.mark.parametrize(
    ("kind", "options", "message"),
    [
        ("python:broken_one:make", {}, r"\[learner\] kind: .*cannot be imported: SyntaxError: .*broken_one.py, line 1"),
        ("python:broken_two:make", {}, r"cannot be imported: ZeroDivisionError.*\(broken_two.py, line 2\)"),
        ("python:own_models:fails", {}, r"failed: KeyError: 'x' \(own_models.py, line 11\)"),
        ("python:own_models:Model", {"dept": 3}, r"\[learner.options\]: .*'dept'; it is defined as \(depth=1\)"),
        ("python:own_models:Model", {}, r"fit of Model failed: ValueError: boom \(own_models.py, line 3\)"),
        ("python:own_models:Short", {}, r"predict of Short returned shape \(5,\); expected \(30,\)"),
        ("python:own_models:Nan", {}, "predict of Nan returned infinite values or nan"),
        ("gb", {"max_iter": -3}, "'max_iter' parameter .* Got -3"),
    ],
)
def test_errors_of_a_persons_own_model(tmp_path: Path, kind: str, options: dict[str, Any], message: str) -> None:
    (tmp_path / "own_models.py").write_text(MODULE.lstrip())
    (tmp_path / "broken_one.py").write_text("def make(:\n")
    (tmp_path / "broken_two.py").write_text("x = 1\n1 / 0\n")
    x = np.random.default_rng(0).normal(size=(30, 3))
    target = x[:, :1].astype(np.float32)

    def use(settings: LearnerSettings) -> Any:
        return make_learner(settings, tmp_path).fit(x, target, 0).predict(x)

    with pytest.raises(SettingsError, match=message) as error:
        use(LearnerSettings(kind=kind, options=options))
    if "Short" not in kind and "Nan" not in kind:
        assert error.value.__cause__ is not None
    assert use(LearnerSettings(kind="python:own_models:Good", options={"depth": 2})).tolist() == x[:, :1].tolist()


def test_errors_of_a_persons_own_torch_module(tmp_path: Path) -> None:
    (tmp_path / "own_nets.py").write_text("import torch\ndef net(k=4): return torch.nn.Linear(3, k)\n")
    x = np.random.default_rng(0).normal(size=(30, 3))
    few = {"epochs": 1}
    with pytest.raises(SettingsError, match="'epochs'; it is defined as"):
        make_learner(LearnerSettings(kind="python:own_nets:net", options=few), tmp_path)
    learner = make_learner(LearnerSettings(kind="python:own_nets:net"), tmp_path)
    with pytest.raises(SettingsError, match="training 'python:own_nets:net' failed: RuntimeError: shape"):
        learner.fit(x, x[:, :1].astype(np.float32), 0)
