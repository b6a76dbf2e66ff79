"""The benchmark of devices measures the one that is asked for, so that a GPU's minutes are not spent on its CPU."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from benchmarks import gpu


def test_one_device_is_measured_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpu, "REPEATS", 1)
    monkeypatch.setattr(gpu, "SHAPES", {"mlp": (98,)})
    monkeypatch.setattr(gpu, "ENCODERS", {"denoising": "mlp"})
    gpu.main(["--device", "cpu", "--rows", "64", "--epochs", "1", "--out", str(tmp_path / "found.json")])
    found = json.loads((tmp_path / "found.json").read_text())
    assert [record["what"] for record in found["networks"]] == ["mlp, plain PyTorch", "mlp", "mlp"]
    assert {record["device"] for record in found["networks"] + found["encoders"]} == {"cpu"}
    assert all(record["samples_per_s"] > 0 for record in found["networks"])


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_device_that_is_not_there_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        gpu.main(["--device", "cuda"])
    assert "--device cuda: there is none on this machine" in capsys.readouterr().err
