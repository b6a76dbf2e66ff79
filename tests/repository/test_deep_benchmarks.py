"""The cases of `benchmarks.deep`: what they load and whom they give which learner, on made-up data."""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import pytest

from benchmarks import deep, deep_costs, deep_data
from secure_gal.learners import check_shape, encryptable, make_learner

QUICK = argparse.Namespace(
    quick=True, epochs=0, batch=0, width=0, precision="", rounds=2, device="cpu", ciphertexts=False, seed=0
)


def test_patches_are_dealt_out_row_by_row() -> None:
    x = np.random.default_rng(0).normal(size=(6, 1, 28, 28)) + np.arange(28)[:, None]
    split = deep_data.patches(x, np.arange(6), x[:2], np.arange(2))
    assert [block.shape for block in split.blocks] == [(6, 1, 14, 7)] * 8
    one = (x[:, :, 14:, 7:14] - x[:, :, 14:, 7:14].mean()) / x[:, :, 14:, 7:14].std()
    np.testing.assert_allclose(split.blocks[5], one, rtol=1e-3, atol=1e-4)
    assert split.joint.shape == (6, 1, 28, 28)


def test_an_object_looks_the_same_from_opposite_sides_of_a_mirror() -> None:
    voxels = np.zeros((1, 32, 32, 32), dtype=np.int32)
    voxels[0, 10:22, 4:8, :5] = 1  # a low wall, off the centre
    views = deep_data._render(voxels)
    assert [view.shape for view in views] == [(1, 1, 32, 32)] * 12
    front, side, back = (views[k][0, 0] for k in (0, 3, 6))
    assert set(np.flatnonzero(front.any(axis=1))) == set(range(5))  # height stays height from every side
    assert (front > 0).sum() == (back > 0).sum() == 12 * 5
    assert (side > 0).sum() == 4 * 5
    assert front.max() != back.max()  # near from one side, far from the other


def test_a_patient_is_read_by_the_hour() -> None:
    raw = (
        "Time,Parameter,Value\n00:00,Age,76\n00:00,Height,-1\n00:10,HR,80\n00:50,HR,90\n02:00,pH,7.4\n"
        "03:00,HR,-1\n48:00,K,4"
    )
    hourly, seen, person = deep_data._patient(raw)
    assert hourly[0, 0] == 85
    assert np.isnan(hourly[1:, 0]).all()
    assert seen[0].tolist() == [2, 0, 0]
    assert seen[2].tolist() == [0, 0, 1]
    assert seen[47].tolist() == [0, 1, 0]  # the last minute belongs to the last hour
    assert person[0] == 76
    assert np.isnan(person[2])


@pytest.mark.parametrize("name", deep.CASES)
@pytest.mark.parametrize("quick", [True, False])
def test_every_party_of_every_case_gets_a_learner_that_takes_its_rows(name: str, quick: bool) -> None:
    case = deep.CASES[name]
    chosen = argparse.Namespace(**{**vars(QUICK), "quick": quick})
    blocks = [np.zeros((4, 5, 3))] if case.network == "lstm" else [np.zeros((4, 1, 6, 6)), np.zeros((4, 2, 1, 6, 6))]
    for method in deep.METHODS:
        for block in [*blocks, np.zeros((4, 3))]:
            settings = deep._learner(case, chosen, method, block)
            check_shape(settings, block.ndim)
            make_learner(settings, Path.cwd())
            assert (encryptable(settings) == "") == method.endswith("heads")


def test_what_is_reduced_is_asked_for_by_name_and_stands_in_the_result() -> None:
    chosen = argparse.Namespace(
        **{**vars(QUICK), "quick": False, "epochs": 1, "batch": 64, "width": 16, "precision": "bfloat16"}
    )
    for name, width in (("mnist", "width"), ("stay", "hidden")):
        block = np.zeros((4, 5, 3)) if name == "stay" else np.zeros((4, 1, 6, 6))
        options = deep._learner(deep.CASES[name], chosen, "gal", block).options
        assert (options["epochs"], options["batch"], options[width], options["precision"]) == (1, 64, 16, "bfloat16")


def test_a_copy_loses_little_on_its_own_grid_and_as_much_again_on_another() -> None:
    pytest.importorskip("PIL", reason="pillow, of the extra bench, is not installed")
    x, y = np.meshgrid(np.arange(32), np.arange(32))
    wave = np.sin(x * y / 20) * 60 + 128 + np.random.default_rng(0).normal(size=(4, 3, 32, 32)) * 10
    original = wave.clip(0, 255).astype(np.uint8)
    once = deep_costs.compressed(original, (0, 0))

    def change(a: np.ndarray, b: np.ndarray) -> float:
        return float(np.sqrt(np.mean((a.astype(float) - b) ** 2)))

    first, same = change(original, once), change(once, deep_costs.compressed(once, (0, 0)))
    shifted = [change(once, deep_costs.compressed(once, shift)) for shift in deep_costs.SHIFTS]
    assert same < 0.3 * first
    assert min(shifted) > 0.5 * first


@pytest.mark.parametrize("method", ["alone", "dms", "heads"])
def test_a_case_runs(method: str) -> None:
    rng = np.random.default_rng(0)
    y = rng.integers(0, 2, 120)
    x = rng.normal(size=(120, 1, 28, 28)) + y[:, None, None, None]
    split = deep_data.patches(x[:80], y[:80], x[80:], y[80:])
    case = deep.CASES["mnist"]
    result = deep.run(case, method, QUICK, split)
    assert result["parties"] == (1 if method == "alone" else 8)
    assert result["accuracy"] > 90
    assert result["after_round"][-1] == result["accuracy"]
