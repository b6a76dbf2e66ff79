"""Saved models are data: what comes back is what was kept, and what is not known is refused."""

from __future__ import annotations

import json
import pickle
from collections import OrderedDict, defaultdict
from datetime import date
from decimal import Decimal
from enum import IntEnum
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import numpy as np
import pytest
import torch
from safetensors.numpy import load, save
from sklearn.linear_model import Ridge
from sklearn.preprocessing import FunctionTransformer
from torch import nn

from secure_gal import GAL
from secure_gal.errors import SettingsError
from secure_gal.estimator import saving
from secure_gal.learners import storage


class Own:
    """A model of a person's own code."""

    def __init__(self, slope: float) -> None:
        self.slope = slope


@pytest.mark.parametrize(
    "value",
    [
        None,
        [True, -1, 2**70, 0.1, float("inf"), "é", b"\x00\xff", (1, [2]), {"a": {3: None}}, {1, 2}, slice(0, 2)],
        {"x": np.arange(6.0).reshape(2, 3), "f": np.float32(0.1), "empty": np.zeros((0, 2)), "mask": np.array([True])},
    ],
)
def test_values_come_back(value: Any) -> None:
    raw = storage.dump(value)
    assert raw == storage.dump(value), "the same bytes"
    assert repr(storage.load(raw)) == repr(value)


def test_networks_come_back_with_their_weights_and_layout() -> None:
    made = nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(4 * 36, 2))
    made = made.to(memory_format=torch.channels_last).eval()  # type: ignore[call-overload]
    x = torch.randn(5, 1, 8, 8)
    again = storage.load(storage.dump(made))
    assert torch.equal(again(x), made(x)) and not any(p.requires_grad for p in again.parameters())
    deep = nn.Sequential(*(nn.Linear(width, width + 1) for width in range(1, 13))).eval()
    assert torch.equal(storage.load(storage.dump(deep))(x[:, 0, 0, :1]), deep(x[:, 0, 0, :1])), "12 layers in order"
    cells = nn.GRU(3, 4, 2, batch_first=True).eval()
    s = torch.randn(5, 6, 3)
    read = storage.load(storage.dump(cells))
    assert all(torch.equal(value, read.state_dict()[name]) for name, value in cells.state_dict().items())
    torch.testing.assert_close(read(s)[0], cells(s)[0])


def test_what_is_no_data_is_not_kept() -> None:
    class Local:
        pass

    holds: list[Any] = []
    holds.append(holds)
    for value, why in (
        (lambda: 1, "is no data"),
        (open, "is no data"),
        (Local(), "inside a function"),
        (holds, "itself"),
    ):
        with pytest.raises(SettingsError, match=f"cannot be kept: .*{why}"):
            storage.dump(value)


class Pair(NamedTuple):
    """A class that keeps what it holds elsewhere than in its state."""

    low: float
    high: float


class Half(float):
    """A number with more to it than its value."""


HIDDEN = [
    Pair(0.0, 1.0),
    OrderedDict(a=1),
    defaultdict(list, a=[1]),
    date(2020, 1, 1),
    Decimal("1.5"),
    partial(int, "3"),
    np.random.default_rng(0),
    Half(0.5),
    IntEnum("Kind", "A", module=__name__).A,  # type: ignore[attr-defined]
    np.ma.masked_equal([1.0, 2.0], 1.0),
    {1, "a"},
    "\ud800",
]


@pytest.mark.parametrize("value", HIDDEN, ids=lambda value: type(value).__name__)
def test_what_would_not_come_back_is_not_kept(value: Any) -> None:
    """A study that learnt for hours must not find out at its first prediction that its models cannot be read."""
    with pytest.raises(SettingsError, match="cannot be kept: "):
        storage.dump({"held": value})


def test_arrays_that_a_disk_backs_and_texts_of_numpy_come_back_as_what_they_hold(tmp_path: Path) -> None:
    held = np.memmap(tmp_path / "x", dtype=np.float32, mode="w+", shape=(2, 2))
    held[:] = 3.0
    again = storage.load(storage.dump([held, np.str_("a")]))
    assert again[0].tolist() == [[3.0, 3.0], [3.0, 3.0]] and again[1] == "a"


def test_classes_that_are_not_known_are_refused() -> None:
    raw = storage.dump(Own(2.0))
    with pytest.raises(SettingsError, match="test_storage:Own', whose module is not trusted"):
        storage.load(raw)
    assert storage.load(raw, (Own.__module__,)).slope == 2.0
    assert storage.load(storage.dump(Ridge(2.0))).alpha == 2.0


def forged(tree: object) -> bytes:
    """A file whose tree is this, with one array."""
    text = np.frombuffer(json.dumps(tree).encode(), dtype=np.uint8)
    return storage.FORMAT + bytes(save({"tree": text, "0": np.zeros(2)}))


@pytest.mark.parametrize(
    "tree",
    [
        {"class": "os:system", "state": None},
        {"class": "secure_gal.learners.storage:load", "state": None},
        {"class": "secure_gal.learners.nothing:Head", "state": None},
        {"class": "secure_gal.learners.ridge:HeadLearner", "state": 3},
        {"struct": "secure_gal.settings.party:PartySettings", "value": {}},
        {"module": {"of": "subprocess:Popen", "settings": {"dict": []}, "weights": [], "buffers": [], "layers": []}},
        {"array": 7},
        {"float": "1.5"},
        {"reduce": ["os:system", "true"]},
        [1],
        {"tensor": 0, "strides": [10**9]},
        {"estimator": 0},
        {"int": "x"},
        {"int": "9" * 5000},
        {"dict": [[1]]},
        {"dict": [[{"list": []}, 1]]},
        {"class": "secure_gal.learners.linear:LinearModel", "state": 5},
        {"module": {"of": "torch.nn.modules.linear:Linear", "settings": 3, "weights": [], "buffers": [], "layers": []}},
    ],
)
def test_a_forged_file_is_refused_in_words(tree: object) -> None:
    with pytest.raises(SettingsError, match=r"a saved model is (not read|damaged)"):
        storage.load(forged(tree))


@pytest.mark.parametrize(
    "name", ["secure_gal.data.contained:subprocess.Popen", "secure_gal.learners.storage:np.ndarray"]
)
def test_a_class_that_a_trusted_module_has_only_imported_is_refused(name: str) -> None:
    """By way of `subprocess`, which a module of ours imports, a file could have made objects of any class."""
    state: object = {"dict": [["returncode", 1]]}
    with pytest.raises(SettingsError, match="which is a name of"):
        storage.load(forged({"class": name, "state": state}))


def test_nodes_that_are_nested_without_end_are_refused_in_words() -> None:
    deep = b'{"list":[' * 5000 + b"]}" * 5000
    raw = storage.FORMAT + bytes(save({storage.TREE: np.frombuffer(deep, dtype=np.uint8)}))
    with pytest.raises(SettingsError, match="a saved model is damaged"):
        storage.load(raw)


def test_every_truncated_file_is_refused_in_words() -> None:
    raw = storage.dump({"x": np.arange(3.0), "model": Ridge()})
    for end in range(0, len(raw), 97):
        with pytest.raises(SettingsError, match=r"another format|damaged|not read"):
            storage.load(raw[:end])


def test_a_pickle_is_never_read(tmp_path: Path) -> None:
    path = tmp_path / "study.gal"
    path.write_bytes(pickle.dumps({"a": 1}))
    with pytest.raises(SettingsError, match="is no estimator of the format 'secure-gal estimator 1'"):
        GAL.load(path)
    with pytest.raises(SettingsError, match="another format"):
        storage.load(pickle.dumps(1))


class Slope:
    """A learner of a person's own."""

    def fit(self, x: np.ndarray, residual: np.ndarray, seed: int) -> Sloped:
        return Sloped(residual.mean(axis=0))


class Sloped:
    """Its model."""

    def __init__(self, mean: np.ndarray) -> None:
        self.mean = mean

    def predict(self, x: np.ndarray) -> np.ndarray:
        return x[:, :1] * 0.1 + self.mean


def test_an_estimator_with_models_of_ones_own_is_read_where_their_module_is_trusted(tmp_path: Path) -> None:
    x, y = np.random.default_rng(0).normal(size=(40, 2)), np.arange(40.0)
    gal = GAL("regression", rounds=1, learners=[Slope(), "linear"]).fit([x, x], y)
    gal.save(path := tmp_path / "study.gal")
    with pytest.raises(SettingsError, match=r"party-0, model/0001.*Sloped', whose module is not trusted"):
        GAL.load(path)
    again = GAL.load(path, trusted=[Slope.__module__])
    assert np.array_equal(again.predict([x, x]), gal.predict([x, x]))
    with pytest.raises(SettingsError, match="exists"):
        gal.save(path)


def test_an_estimator_of_another_release_is_refused(tmp_path: Path) -> None:
    x, y = np.random.default_rng(0).normal(size=(40, 2)), np.arange(40) % 2
    GAL(rounds=1).fit(x, y).save(path := tmp_path / "study.gal")
    raw = path.read_bytes()
    tensors = load(raw[len(saving.FORMAT) + 32 :])
    head = msgspec.json.decode(tensors[saving.HEAD].tobytes())
    for change in ({"more": 1}, {"key": {"k": 999}}, {"study": {"name": "x"}}):
        changed = np.frombuffer(msgspec.json.encode(head | change), dtype=np.uint8)
        path.write_bytes(saving.framed(bytes(save(tensors | {saving.HEAD: changed}))))
        with pytest.raises(SettingsError, match="is damaged"):
            GAL.load(path)
    for at in (len(saving.FORMAT), len(saving.FORMAT) + 40, len(raw) // 2, len(raw) - 1):
        path.write_bytes(raw[:at] + bytes([raw[at] ^ 1]) + raw[at + 1 :])
        with pytest.raises(SettingsError, match="is not as it was written"):
            GAL.load(path)


class Tuned(Ridge):
    """An estimator of a person's own."""


@pytest.mark.parametrize("function", [np.load, np.testing.measure])
def test_an_estimator_that_calls_a_function_of_numpy_is_refused(function: Any) -> None:
    """NumPy and SciPy have functions that open files or run text; `predict` would call what a file names."""
    raw = storage.dump(FunctionTransformer(function))
    with pytest.raises(SettingsError, match=f"{function.__name__}', (which is no class|whose module is not trusted)"):
        storage.load(raw)
    assert storage.load(storage.dump(FunctionTransformer(np.log1p))).func is np.log1p


def test_estimators_of_ones_own_are_read_where_their_module_is_trusted() -> None:
    raw = storage.dump(Tuned(3.0))
    with pytest.raises(SettingsError, match=r"test_storage.Tuned', whose module is not trusted"):
        storage.load(raw)
    assert storage.load(raw, (Tuned.__module__,)).alpha == 3.0
