"""The benchmark of devices measures the one that is asked for, so that a GPU's minutes are not spent on its CPU."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from benchmarks import gpu, gpu_all, gpu_former
from secure_gal.learners import make_learner
from secure_gal.learners.kinds.cnn import Options
from secure_gal.settings.party import LearnerSettings


def test_one_device_is_measured_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpu, "REPEATS", 1)
    monkeypatch.setattr(gpu, "SHAPES", {"mlp": (98,)})
    monkeypatch.setattr(gpu, "ENCODERS", {"denoising": "mlp"})
    gpu.main(["--device", "cpu", "--rows", "64", "--epochs", "1", "--out", str(tmp_path / "found.json")])
    found = json.loads((tmp_path / "found.json").read_text())
    names = ["mlp, plain PyTorch", "mlp", "mlp, not deterministic", "mlp"]
    assert [record["what"] for record in found["networks"]] == names
    assert [record["precision"] for record in found["networks"]] == [*["float32"] * 3, "bfloat16"]
    assert {record["device"] for record in found["networks"] + found["encoders"]} == {"cpu"}
    assert all(record["samples_per_s"] > 0 and record["cpu_seconds_round"] > 0 for record in found["networks"])


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_device_that_is_not_there_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        gpu.main(["--device", "cuda"])
    assert "--device cuda: there is none on this machine" in capsys.readouterr().err


def everything(out: Path, parts: dict[str, gpu_all.Part], monkeypatch: pytest.MonkeyPatch, seconds: float) -> Any:
    monkeypatch.setattr(gpu_all, "parts", lambda data, device, size: parts)
    gpu_all.run(Path(), "cpu", seconds, True, {"gpu": "none"}, out)
    return json.loads(out.read_text())


def test_what_was_measured_is_kept_when_the_minutes_are_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = tmp_path / "all.json"

    def first(tell: Callable[[Any], None]) -> None:
        tell(1)
        logging.getLogger("secure_gal.learners.cuda_graphs").warning("no graph, since %s", "so")

    def endless(tell: Callable[[Any], None]) -> None:
        assert json.loads(out.read_text())["parts"]["first"]["found"] == [1]  # written before the next one begins
        tell(2)
        while True:
            time.monotonic()

    def never(tell: Callable[[Any], None]) -> None:
        while True:
            time.monotonic()

    found = everything(out, {"first": first, "endless": endless, "never": never}, monkeypatch, 0.2)
    assert {name: (part["ended"], part["found"]) for name, part in found["parts"].items()} == {
        "first": ("finished", [1]),
        "endless": ("stopped: out of time", [2]),
        "never": ("stopped: out of time", []),
    }
    assert [part["warnings"] for part in found["parts"].values()] == [["no graph, since so"], [], []]
    assert found["gpu"] == "none"


def test_a_part_that_fails_leaves_the_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(tell: Callable[[Any], None]) -> None:
        raise RuntimeError("an illegal memory access was encountered")

    found = everything(tmp_path / "o", {"a": fails, "b": lambda tell: tell(3)}, monkeypatch, 60)
    ended = [(part["ended"], part["found"]) for part in found["parts"].values()]
    assert ended == [("failed: an illegal memory access was encountered", []), ("finished", [3])]


def test_every_way_of_training_is_compared_with_the_default_and_with_the_former_loop() -> None:
    found: list[Any] = []
    gpu_all.cnn("cpu", gpu_all.Size(rows=64, epochs=1, width=1), found.append)
    former, *ways = found[1:]
    assert former["way"] == gpu_all.FORMER and former["samples_per_s"] > 0
    assert [record["way"] for record in ways] == list(gpu_all.WAYS)
    assert all(record["same_bits_again"] and record["largest_difference_to_default"] == 0 for record in ways)
    assert all(record["times_former"] == record["samples_per_s"] / former["samples_per_s"] for record in ways)


def test_the_former_loop_trains_the_network_that_the_present_one_does() -> None:
    """On a CPU both draw the same rows in the same order: only rounding of AdamW's two forms is between them."""
    rng = np.random.default_rng(0)
    x, r = (rng.normal(size=shape).astype(np.float32) for shape in ((300, 3, 6, 5), (300, 2)))
    options: dict[str, Any] = {"epochs": 4, "batch": 32, "width": 2, "blocks": 2, "rate": 0.02, "patience": 2}
    settings = LearnerSettings(kind="cnn", device="cpu", options=options)
    now = make_learner(settings, Path.cwd()).fit(x, r, 7).predict(x)
    before = gpu_former.fit(x, r, 7, "cpu", Options(**options)).predict(x)
    assert np.abs(before - now).max() < 1e-3 * np.abs(now).max()
    other = gpu_former.fit(x, r, 8, "cpu", Options(**options)).predict(x)
    assert np.abs(other - now).max() > 0.1 * np.abs(now).max()


def test_all_needs_data(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        gpu.main(["--all"])
    assert "--all needs --data DIR" in capsys.readouterr().err
