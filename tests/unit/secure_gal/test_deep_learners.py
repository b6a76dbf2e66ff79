"""Torch learners: they learn, repeat themselves, respect padding, stop early, and name what would fit."""

from __future__ import annotations

import logging
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from secure_gal import GAL
from secure_gal.data.arrays import ArrayRows
from secure_gal.errors import EnvironmentFailure, SettingsError
from secure_gal.learners import make_learner, storage, torch_trainer
from secure_gal.learners.base import Placement, placement_of
from secure_gal.learners.cnn import ConvBody
from secure_gal.learners.devices import choose_device, compiler, out_of_memory, uses_bfloat16
from secure_gal.learners.recurrent import RecurrentBody
from secure_gal.learners.torch_options import TorchOptions
from secure_gal.learners.torch_trainer import Inputs, TorchLearner, network
from secure_gal.settings.party import LearnerSettings
from tests.unit.secure_gal.test_features import HERE


def settings(kind: str, **options: float | int | str | bool) -> LearnerSettings:
    return LearnerSettings(kind=kind, device="cpu", options=options)


def images(n: int = 200, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """x (n, 1, 6, 5) and r (n, 2): r[:, 0] is the sign of a vertical edge, which no single pixel tells."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, 1, 6, 5))
    r = rng.choice([-1.0, 1.0], size=(n, 2))
    x[:, 0, :, :2] += 1.5 * r[:, :1, None]
    x[:, 0, :, 3:] -= 1.5 * r[:, :1, None]
    return x, r.astype(np.float32)


def series(n: int = 200, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """x (n, 8, 2) with NaN padding and r (n, 1): the sign of the last real step's first column."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, 8, 2))
    lengths = rng.integers(3, 9, n)
    r = np.sign(x[np.arange(n), lengths - 1, 0])[:, None].astype(np.float32)
    x[np.arange(8) >= lengths[:, None]] = np.nan
    return x, r


CNN = settings("cnn", blocks=2, width=8, epochs=12, batch=64, rate=5e-3)
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
    monkeypatch.setattr(torch_trainer, "RESIDENT_BYTES", 0)
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


# --- devices -----------------------------------------------------------------------------------------------------


def test_precision_follows_the_device() -> None:
    cpu = choose_device("cpu")
    assert not uses_bfloat16("auto", cpu)
    assert uses_bfloat16("bfloat16", cpu)
    threads = f"CPU, {torch.get_num_threads()} threads"
    for chosen, precision in ((CNN, "float32"), (settings("gru", precision="bfloat16"), "bfloat16 autocast")):
        assert placement_of(make_learner(chosen, HERE)) == Placement(threads, precision)


class Full(nn.Module):
    """Runs out of memory above so many rows, as a GPU does."""

    def __init__(self, most: int) -> None:
        super().__init__()
        self.most, self.layer = most, nn.Linear(3, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if len(x) > self.most:
            raise torch.cuda.OutOfMemoryError("CUDA out of memory")
        return self.layer(x)  # type: ignore[no-any-return]


@pytest.mark.parametrize(("most", "named"), [(40, "batch = 32"), (1, "batch = 1"), (0, "even at one row")])
def test_out_of_memory_names_a_batch_that_was_tried(most: int, named: str) -> None:
    rng = np.random.default_rng(0)
    x, r = rng.normal(size=(200, 3)), rng.normal(size=(200, 1)).astype(np.float32)
    with pytest.raises(EnvironmentFailure, match=named):
        TorchLearner(lambda inner, k: Full(most), "l2", "cpu", TorchOptions(batch=128)).fit(x, r, 0)


class Homeless(Full):
    """A network that does not fit on the device by itself, whatever the batch."""

    def to(self, *args: Any, **kwargs: Any) -> Any:
        raise torch.cuda.OutOfMemoryError("CUDA out of memory")


def test_a_network_that_does_not_fit_by_itself_is_said_to_be_too_large() -> None:
    x, r = np.zeros((40, 3)), np.ones((40, 1), dtype=np.float32)
    with pytest.raises(EnvironmentFailure, match="choose a smaller network"):
        TorchLearner(lambda inner, k: Homeless(9), "l2", "cpu", TorchOptions(batch=8)).fit(x, r, 0)


def test_out_of_memory_tries_no_batch_that_is_larger() -> None:
    tried = []

    def attempt(rows: int) -> None:
        tried.append(rows)
        if rows > 10:
            raise torch.cuda.OutOfMemoryError

    assert "8 rows fits" in str(out_of_memory(64, attempt))
    assert tried == [32, 16, 8]


def test_out_of_memory_while_predicting() -> None:
    with pytest.raises(EnvironmentFailure, match="while predicting"):
        torch_trainer.forward_all(Full(0), np.zeros((2, 3)), torch.device("cpu"), False)


# --- deep model sharing ------------------------------------------------------------------------------------------


def classes(n: int = 240) -> tuple[list[np.ndarray], np.ndarray]:
    x, r = images(n)
    wrong = np.random.default_rng(4).random(n) < 0.2  # else one round is enough
    return [x[:, :, :, :3], x[:, :, :, 2:]], ((r[:, 0] > 0) ^ wrong).astype(int)


def test_a_shared_extractor_needs_no_more_room_with_more_rounds() -> None:
    blocks, y = classes()
    options = {"blocks": 2, "width": 8, "epochs": 3}
    saved = {}
    for shared in (True, False):
        gal = GAL(rounds=4, patience=9, learners=settings("cnn", **options, share_extractor=shared)).fit(blocks, y)
        assert (gal.predict(blocks) == y).mean() > 0.7
        state = gal.fitted_.sponsor.state
        saved[shared] = [len(value) for key, value in state.items() if key.startswith("model/")]
    assert max(saved[True][1:]) < 0.2 * saved[True][0]
    assert saved[False][1] > 0.9 * saved[False][0]
    assert sum(saved[True]) < 0.6 * sum(saved[False])


def test_shared_rounds_do_not_change_earlier_ones_and_repeat_themselves() -> None:
    x, r = images()
    chosen = settings("cnn", blocks=1, width=4, epochs=2, share_extractor=True)
    learner = make_learner(chosen, HERE)
    first = learner.fit(x, r, 1)
    before = first.predict(x).copy()
    second = learner.fit(x, -r[:, ::-1].copy(), 2)
    np.testing.assert_array_equal(first.predict(x), before)
    np.testing.assert_allclose(second.predict(x), -before[:, ::-1], atol=1e-5)  # the head is linear in the residual
    np.testing.assert_array_equal(make_learner(chosen, HERE).fit(x, r, 1).predict(x), before)


def test_other_rows_get_an_extractor_of_their_own() -> None:
    chosen = settings("cnn", blocks=1, width=4, epochs=2, share_extractor=True)
    learner, (x, r) = make_learner(chosen, HERE), images()
    learner.fit(x, r, 1)
    y, q = images(seed=7)
    np.testing.assert_array_equal(learner.fit(y, q, 1).predict(y), make_learner(chosen, HERE).fit(y, q, 1).predict(y))


def test_inputs_that_do_not_fit_on_the_device_are_read_by_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    read, x = Inputs._read, np.arange(12, dtype=np.float32).reshape(4, 3)

    def full(self: Inputs, rows: object) -> torch.Tensor:
        if isinstance(rows, slice):
            raise torch.cuda.OutOfMemoryError
        return read(self, rows)

    monkeypatch.setattr(Inputs, "_read", full)
    np.testing.assert_array_equal(Inputs(x, torch.device("cpu"))[torch.tensor([2, 0])].numpy(), x[[2, 0]])


def test_batch_norm_evaluates_with_the_statistics_of_the_rows_not_with_lagging_ones() -> None:
    x, r = images(64)
    shifted = 50 + 10 * x
    learner = TorchLearner(
        lambda inner, k: network(ConvBody(1, (4,)), 4, k), "l2", "cpu", TorchOptions(epochs=1, batch=64, rate=1e-6)
    )
    blocks = learner.fit(shifted, r, 0).module[0].blocks  # type: ignore[index]
    seen = blocks[0](torch.from_numpy(shifted).float()).mean(dim=(0, 2, 3))
    assert blocks[1].momentum == nn.BatchNorm2d(4).momentum
    # Running averages would have come a tenth of the way in this fit's one step.
    torch.testing.assert_close(blocks[1].running_mean, seen.detach(), rtol=0.05, atol=0.1)
