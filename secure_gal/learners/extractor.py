"""Deep model sharing (GAL, section on DMS): one extractor for all rounds, a new linear head a round.

Round 1 trains a network end to end on r^1 and keeps its body. That round and every later one fit a ridge head on the
frozen body's features, so a later round costs two matrix products, what is kept grows by one head a round, and
earlier rounds' predictions stay what they were. The head is `learners.ridge` in the clear: the encrypted heads of an
encrypted study differ only in that their extractor has not seen a residual.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from torch import nn

from secure_gal.errors import SettingsError
from secure_gal.learners.base import EncodedRows, Learner, Placement
from secure_gal.learners.declare import Asked
from secure_gal.learners.devices import choose_device, placement, uses_bfloat16
from secure_gal.learners.ridge import HeadLearner, RidgeBasis
from secure_gal.learners.shared import SharedLearner
from secure_gal.learners.torch_options import TorchOptions
from secure_gal.learners.torch_trainer import Build, TorchLearner, forward_all

RIDGE = 1e-3
"""Of the mean squared error, as a share of the mean variance of the extractor's features."""


class Extractor:
    """A frozen body with its ridge basis: x (n, ...) to U (n, width)."""

    def __init__(self, body: nn.Module, x: EncodedRows, device: str, precision: str) -> None:
        """Freeze the body and learn the ridge basis of its features on training rows x."""
        self._body, self._device, self._precision = body.eval().requires_grad_(False), device, precision
        features = self._features(x)
        self._basis = RidgeBasis.fit(features, RIDGE * float(features.var(axis=0).mean()))

    @property
    def width(self) -> int:
        """Columns of U, the intercept's included."""
        return self._basis.width

    @property
    def placement(self) -> Placement:
        """Where the body is run, and how exactly."""
        device = choose_device(self._device)
        return placement(device, uses_bfloat16(self._precision, device))

    @property
    def description(self) -> str:
        """In words."""
        return f"one extractor for all rounds, {self._basis.width - 1} features and the intercept"

    def transform(self, x: EncodedRows) -> npt.NDArray[np.float64]:
        """x (n, ...) to U float64 (n, width)."""
        return self._basis.basis(self._features(x))

    def _features(self, x: EncodedRows) -> npt.NDArray[np.float64]:
        device = choose_device(self._device)
        return forward_all(self._body, x, device, uses_bfloat16(self._precision, device)).astype(np.float64)


def shared_or_not(build: Build, asked: Asked, options: TorchOptions) -> Learner:
    """A network that is trained anew every round, or one extractor and a new head a round.

    Raises:
        SettingsError: a device that is not there, or an extractor with another loss than l2.
    """
    if options.share_extractor and asked.loss != "l2":
        raise SettingsError(
            "[learner.options] share_extractor",
            f'true with loss {asked.loss!r}; every round\'s head is a ridge fit: set [learner] loss = "l2"',
        )
    inner = TorchLearner(build, asked.loss, asked.settings.device, options)
    return sharing(inner) if options.share_extractor else inner


def sharing(inner: TorchLearner) -> SharedLearner:
    """`share_extractor = true`: trains as `inner` does in round 1, then fits heads.

    Args:
        inner: its modules are `torch_trainer.network`s; l2 loss.
    """

    def train(x: EncodedRows, residual: npt.NDArray[np.float32], seed: int) -> Extractor:
        body = inner.fit(x, residual, seed).module.get_submodule("0")
        return Extractor(body, x, inner.device, inner.precision)

    return SharedLearner(train, HeadLearner(), sees_labels=True)
