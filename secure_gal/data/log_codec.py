"""Targets of losses with a log link: in units of their mean, never centred, and predicted as exp(F) times that mean."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import assert_never

import numpy as np
import numpy.typing as npt

from secure_gal.data.encode import LabelCodec
from secure_gal.errors import DataError
from secure_gal.settings.classes import Label
from secure_gal.settings.study import LossName, Task

ABOVE_ZERO = {"poisson": "0 or more", "gamma": "above 0"}


@dataclass(frozen=True, slots=True)
class LogCodec(LabelCodec):
    """`scale` is the mean of the training rows' targets, so that residuals are about 1 in size; `mean` is 0.

    With y / scale in place of y the losses of poisson and gamma change by a factor and a constant alone once F is
    shifted by log(scale), so nothing is learnt otherwise.
    """

    def values(self, f: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """Outputs (n, 1) to values in the label's own unit (n,)."""
        return np.asarray(np.exp(f[:, 0]) * self.scale)


def fit_codec(
    task: Task, loss: LossName, labels: Sequence[Label], train: npt.NDArray[np.bool_], order: Sequence[str] = ()
) -> LabelCodec:
    """The coding of labels that a loss takes, fitted to the training rows; `order`: of the classes.

    Raises:
        DataError: as `LabelCodec.fit`; or a target that the loss has no value for: below 0, or not above 0.
    """
    codec = LabelCodec.fit(task, labels, train, order)
    match loss:
        case "poisson" | "gamma":
            targets = LabelCodec(task).encode(labels)[:, 0]
            bad = targets < 0 if loss == "poisson" else targets <= 0
            if bad.any():
                row = int(bad.argmax())
                raise DataError(
                    "[data] label",
                    f"a target of loss {loss!r} must be {ABOVE_ZERO[loss]}; row {row + 1} has {labels[row]!r}: correct "
                    "or remove it, or choose another loss in study.toml",
                )
            return LogCodec(task, (), 0.0, float(targets[train].mean()))
        case "cross_entropy" | "l2" | "l1" | "huber" | "quantile":
            return codec
        case _:
            assert_never(loss)
