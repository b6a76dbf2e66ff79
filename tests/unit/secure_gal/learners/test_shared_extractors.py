"""Deep model sharing: one extractor for all rounds."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from secure_gal import GAL
from secure_gal.learners import make_learner
from secure_gal.learners.cnn import ConvBody
from secure_gal.learners.torch_options import TorchOptions
from secure_gal.learners.torch_steps import Inputs
from secure_gal.learners.torch_trainer import TorchLearner, network
from tests.support.deep_data import images, settings
from tests.support.feature_rows import HERE


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
