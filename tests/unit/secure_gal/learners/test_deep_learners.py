"""Torch learners: they learn, repeat themselves, respect padding, stop early, and name what would fit."""

from __future__ import annotations

import logging

import numpy as np
import pytest
import torch
from torch import nn

from secure_gal import GAL
from secure_gal.data.arrays import ArrayRows
from secure_gal.errors import SettingsError
from secure_gal.learners import make_learner, storage, torch_steps
from secure_gal.learners.cnn import ConvBody
from secure_gal.learners.devices import compiler
from secure_gal.learners.recurrent import RecurrentBody
from secure_gal.learners.torch_options import TorchOptions
from secure_gal.learners.torch_steps import Inputs
from secure_gal.learners.torch_trainer import TorchLearner, network
from secure_gal.settings.party import LearnerSettings
from tests.support.deep_data import CNN, images, series, settings
from tests.support.feature_rows import HERE

LSTM = settings("lstm", hidden=16, epochs=25, batch=32, rate=2e-2)
GRU = settings("gru", hidden=16, epochs=25, batch=32, rate=2e-2)


@pytest.mark.parametrize(("chosen", "data", "column"), [(CNN, images, 0), (LSTM, series, 0), (GRU, series, 0)])
def test_it_learns_what_can_be_learnt_and_repeats_itself(chosen, data, column) -> None:  # type: ignore[no-untyped-def]
    x, r = data()
    new, expected = data(seed=1)
    learner = make_learner(chosen, HERE)
    model = learner.fit(x, r, seed=3)
    f = model.predict(new)
    assert f.shape == expected.shape
    assert f.dtype == np.float64
    assert np.corrcoef(f[:, column], expected[:, column])[0, 1] > 0.8
    if r.shape[1] > 1:  # the other column is a coin: nothing to learn, so nothing is learnt
        assert abs(np.corrcoef(f[:, 1], expected[:, 1])[0, 1]) < 0.3
    np.testing.assert_array_equal(make_learner(chosen, HERE).fit(x, r, seed=3).predict(new), f)
    assert (learner.fit(x, r, seed=4).predict(new) != f).any()
    np.testing.assert_array_equal(storage.load(storage.dump(model)).predict(new), f)


def test_rows_that_are_read_by_batch_give_the_same_model(monkeypatch: pytest.MonkeyPatch) -> None:
    x, r = images()
    one = make_learner(CNN, HERE).fit(x.astype(np.float32), r, 0).predict(x)
    monkeypatch.setattr(torch_steps, "RESIDENT_BYTES", 0)
    rows = ArrayRows(x.astype(np.float32))
    assert Inputs(rows, torch.device("cpu"))._all is None
    np.testing.assert_array_equal(make_learner(CNN, HERE).fit(rows, r, 0).predict(rows), one)


def test_the_random_stream_of_the_program_is_left_alone() -> None:
    x, r = images(40)
    torch.manual_seed(5)
    expected = torch.rand(1)
    torch.manual_seed(5)
    make_learner(settings("cnn", blocks=1, width=4, epochs=1), HERE).fit(x, r, 0)
    assert torch.rand(1) == expected


@pytest.mark.parametrize("shape", [(1, 1, 1), (3, 14, 7), (3, 16, 8)])
def test_four_blocks_take_images_of_any_size(shape: tuple[int, ...]) -> None:
    body = ConvBody(shape[0], (64, 128, 256, 512)).eval()
    assert [m.out_channels for m in body.blocks if isinstance(m, nn.Conv2d)] == [64, 128, 256, 512]
    assert body(torch.zeros(2, *shape)).shape == (2, 512)


def test_views_are_taken_in_any_order() -> None:
    body = ConvBody(1, (4, 8)).eval()
    x = torch.randn(3, 4, 1, 6, 5)
    torch.testing.assert_close(body(x), body(x.flip(1)))
    torch.testing.assert_close(body(x[:, :1]), body(x[:, 0]))


@pytest.mark.parametrize("kind", ["lstm", "gru"])
@pytest.mark.parametrize("output", ["last", "mean"])
def test_padding_changes_nothing(kind: str, output: str) -> None:
    body = RecurrentBody(kind, 2, 8, 2, 0.0, output).eval()
    x = torch.randn(5, 4, 2)
    padded = torch.cat([x, torch.full((5, 3, 2), torch.nan)], dim=1)
    torch.testing.assert_close(body(padded), body(x))
    assert (body(x) != body(x[:, :3])).any()


def test_a_target_at_every_step_is_an_id_a_step_with_what_came_before_as_its_series() -> None:
    """Did the running sum rise above zero by step t? No message and no loss needs to know that rows are steps."""
    rng, steps = np.random.default_rng(0), 6
    x = rng.normal(size=(120, steps, 1))
    y = (x.cumsum(axis=1)[:, :, 0] > 0).astype(int)  # (n, L)
    prefixes = np.repeat(x, steps, axis=0)  # (n L, L, 1)
    prefixes[np.arange(steps) > np.tile(np.arange(steps), 120)[:, None]] = np.nan
    gal = GAL(rounds=1, learners=settings("gru", hidden=16, epochs=15, rate=1e-2)).fit([prefixes], y.reshape(-1))
    right = (gal.predict([prefixes]) == y.reshape(-1)).reshape(120, steps).mean(axis=0)
    assert (right > 0.85).all(), right  # the last value alone is right in about three of four
    assert ((x[:, -1, 0] > 0) == y[:, -1]).mean() < 0.75


class Noise(nn.Module):
    """Overfits: one free number a row is impossible, but many epochs on noise are not."""

    def __init__(self, columns: int) -> None:
        super().__init__()
        self.net = network(nn.Sequential(nn.Linear(columns, 256), nn.ReLU()), 256, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.net(x)  # type: ignore[no-any-return]


def test_it_stops_early_on_the_held_out_tenth_and_says_so(caplog: pytest.LogCaptureFixture) -> None:
    rng = np.random.default_rng(0)
    x, r = rng.normal(size=(200, 20)), rng.normal(size=(200, 1)).astype(np.float32)
    with caplog.at_level(logging.INFO, logger="secure_gal.learners.torch_trainer"):
        model = TorchLearner(lambda inner, k: Noise(inner[0]), "l2", "cpu", TorchOptions(epochs=200, patience=3)).fit(
            x, r, 0
        )
    assert 3 < len(caplog.records) < 100
    assert "epoch 1 of 200: held-out loss" in caplog.text
    assert float(np.mean((model.predict(x) - r) ** 2)) > 0.5  # of 1: noise was not learnt by heart


def test_a_cosine_schedule_ends_near_zero_and_clipping_bounds_the_step() -> None:
    x, r = images(64)
    bounded = TorchLearner(
        lambda inner, k: network(nn.Flatten(), 30, k),
        "l4",
        "cpu",
        TorchOptions(epochs=2, clip=1e-9, schedule="cosine", rate=1e-3),
    )
    assert np.isfinite(bounded.fit(x * 1e3, r * 1e3, 0).predict(x)).all()


@pytest.mark.parametrize(
    ("chosen", "message"),
    [
        (settings("cnn", blocks=0), "blocks: 0; accepted: a whole number, 1 to 8"),
        (settings("cnn", width=1.5), "width: 1.5"),
        (settings("cnn", rate=-1.0), "rate: -1.0"),
        (settings("cnn", epochs=True, hidden=3), "unknown hidden for 'cnn'"),
        (settings("lstm", output="first"), "accepted: last, mean"),
        (settings("lstm", dropout=1.0), "below 1"),
        (settings("gru", schedule="step"), "accepted: constant, cosine"),
        (settings("cnn", precision="float16"), "accepted: auto, float32, bfloat16"),
        (settings("mlp", batch=0), "batch: 0"),
        (settings("mlp", batch=True), "batch: True"),
        (settings("mlp", weight_decay="none"), "weight_decay: 'none'; accepted: a number, 0 or more"),
        (settings("mlp", rate=True), "rate: True; accepted: a number above 0"),
        (settings("mlp", compile="yes"), "compile: 'yes'; accepted: true, false"),
        (settings("cnn", share_extractor="yes"), "accepted: true, false"),
        (LearnerSettings(kind="cnn", loss="l1", device="cpu", options={"share_extractor": True}), 'loss = "l2"'),
        (LearnerSettings(kind="cnn", device="cuda:99"), "is not there"),
        (LearnerSettings(features="encoder", device="cuda:99"), "is not there"),
        (LearnerSettings(kind="lstm", device="tpu"), "accepted: auto, cpu, cuda"),
    ],
)
def test_bad_options(chosen: LearnerSettings, message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        make_learner(chosen, HERE)


def test_numbers_of_numpy_are_numbers() -> None:
    make_learner(settings("mlp", rate=np.float64(0.01), weight_decay=np.float64(0)), HERE)


def test_compiling_needs_a_compiler(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CXX", "no-such-compiler")
    with pytest.raises(SettingsError, match=r"no C\+\+ compiler is here: install g"):
        make_learner(settings("mlp", compile=True), HERE)


@pytest.mark.slow
@pytest.mark.skipif(compiler() is None, reason="no C++ compiler is here")
def test_a_compiled_network_computes_the_same() -> None:
    x, r = images(40)
    plain, compiled = (
        make_learner(settings("cnn", width=4, epochs=1, compile=c), HERE).fit(x, r, 0) for c in (False, True)
    )
    np.testing.assert_allclose(compiled.predict(x), plain.predict(x), atol=1e-4)
