"""What a sponsor learns from instead of its labels: each label released once, and what suits such labels.

Everything that another party can observe, and everything that shapes it (class set, label coding, F^0, residuals,
weights, learning rates, stopping), must come from `training`; true labels may be compared with F at the sponsor and
decide nothing. Classes and range are settings of the study: taken from the labels, they could depend on a single one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from crypto.interval_privacy import IntervalMechanism
from crypto.label_privacy import LabelBins, RandomizedResponse, bin_count
from secure_gal.data.encode import LabelCodec
from secure_gal.errors import DataError, setting
from secure_gal.gal.losses import Loss, get_loss
from secure_gal.labels.corrected_loss import CorrectedCrossEntropy
from secure_gal.settings.classes import Class, Label
from secure_gal.settings.study import LossName

Array = npt.NDArray[np.float64]
IDENTITY = LabelCodec("regression")
_protect = partial(setting, epsilon="[protect] epsilon", values="[protect]", range="[protect] label_range")


class Training(NamedTuple):
    """What an `Ensemble` learns from: label coding, y of all rows, and the loss that suits them."""

    codec: LabelCodec
    y: npt.NDArray[Any]
    loss: Loss


class LabelScheme(Protocol):
    """One way to release labels, made of public settings alone."""

    @property
    def statement(self) -> str:
        """All settings that the release depends on, as the manifest says them."""
        ...

    def check(self, labels: Sequence[Label]) -> str:
        """Refuse labels that cannot be released, before a study starts: later, peers would see it end.

        Returns:
            What the sponsor should know of its labels, or nothing: true labels are behind it, so it is never sent.

        Raises:
            DataError: a label is none of the public classes, or no number.
        """
        ...

    def release(self, labels: Sequence[Label]) -> Array:
        """One fresh release a label, float64 (N,); only `label_release.release_once` should ask for it."""
        ...

    def training(self, released: Array, train: npt.NDArray[np.bool_], loss_name: LossName) -> Training:
        """Coding, y and overarching loss from releases (N,) and the training mask: post-processing, at no cost."""
        ...


@dataclass(frozen=True, slots=True)
class ClassResponse:
    """`residuals = "dp"` for classification: K-ary randomised response, forward-corrected cross-entropy.

    Args:
        epsilon: label differential privacy of every row, for everything that follows.
        classes: all classes, public; labels compare with them as `LabelCodec` compares.

    Attributes:
        codec: the public coding, classes in ascending order; mechanism: randomised response over the classes.

    Raises:
        SettingsError: epsilon out of range, fewer than two classes or too many (`DataError`).
    """

    epsilon: float
    classes: tuple[Class, ...]
    codec: LabelCodec = field(init=False)
    mechanism: RandomizedResponse = field(init=False)

    def __post_init__(self) -> None:
        codec = LabelCodec.fit("classification", self.classes, np.ones(len(self.classes), dtype=np.bool_))
        object.__setattr__(self, "codec", codec)
        with _protect():
            object.__setattr__(self, "mechanism", RandomizedResponse(len(codec.classes), self.epsilon))

    @property
    def statement(self) -> str:
        """See `LabelScheme`."""
        return f"randomised response, epsilon {float(self.epsilon)!r}, classes {list(self.codec.classes)!r}"

    def check(self, labels: Sequence[Label]) -> str:
        """See `LabelScheme`."""
        self._codes(labels)
        return ""

    def release(self, labels: Sequence[Label]) -> Array:
        """See `LabelScheme`; the releases are class codes."""
        return self.mechanism.privatise(self._codes(labels)).astype(np.float64)

    def _codes(self, labels: Sequence[Label]) -> npt.NDArray[np.int64]:
        try:
            return self.codec.encode(labels)
        except KeyError as error:
            raise DataError(
                "[data] label",
                f"a row has label {error.args[0]!r}, which is none of the study's classes {list(self.codec.classes)!r}",
            ) from None

    def training(self, released: Array, train: npt.NDArray[np.bool_], loss_name: LossName) -> Training:
        """See `LabelScheme`."""
        loss = CorrectedCrossEntropy(loss_name, self.codec.outputs, self.mechanism.flip)
        return Training(self.codec, released.astype(np.int64), loss)


@dataclass(frozen=True, slots=True)
class RangeResponse:
    """`residuals = "dp"` for regression: randomised response on bins of a public range.

    Args:
        epsilon: label differential privacy of every row, for everything that follows.
        low, high: public range in the label's own unit.

    Attributes:
        bins: as many as `bin_count` says for this epsilon; mechanism: randomised response over them.

    Raises:
        SettingsError: epsilon out of range, or not a range.
    """

    epsilon: float
    low: float
    high: float
    bins: LabelBins = field(init=False)
    mechanism: RandomizedResponse = field(init=False)

    def __post_init__(self) -> None:
        with _protect():
            count = bin_count(self.epsilon)
            object.__setattr__(self, "bins", LabelBins(self.low, self.high, count))
            object.__setattr__(self, "mechanism", RandomizedResponse(count, self.epsilon))

    @property
    def statement(self) -> str:
        """See `LabelScheme`."""
        return f"randomised response, epsilon {float(self.epsilon)!r}, {self.bins.count} bins of {_range(self)}"

    def check(self, labels: Sequence[Label]) -> str:
        """See `LabelScheme`."""
        return _outside(self, labels)

    def release(self, labels: Sequence[Label]) -> Array:
        """See `LabelScheme`; the releases are numbers of bins."""
        return self.mechanism.privatise(self.bins.codes(IDENTITY.encode(labels)[:, 0])).astype(np.float64)

    def training(self, released: Array, train: npt.NDArray[np.bool_], loss_name: LossName) -> Training:
        """See `LabelScheme`; for l2 unbiased `targets`, for l1 and huber the values of the released bins.

        A median resists changes towards both ends by itself, and would be thrown off by the stretched values.
        """
        values = self.targets(released) if loss_name == "l2" else self.bins.values[released.astype(np.int64)]
        return _regression(values, train, loss_name)

    def targets(self, released: Array) -> Array:
        """Values whose expectation is the value of the true bin (Natarajan et al. 2013: exact for squared loss).

        E[value of the release] = retention * (value of the true bin) + (1 - retention) * (centre of the range).
        """
        retention, centre = self.mechanism.retention, (self.low + self.high) / 2
        return centre + (self.bins.values[released.astype(np.int64)] - centre) / retention


@dataclass(frozen=True, slots=True)
class RangeInterval:
    """`residuals = "ip"` for regression: interval privacy over a public range; no epsilon.

    Args:
        low, high: public range in the label's own unit.
    """

    low: float
    high: float
    mechanism: IntervalMechanism = field(init=False)

    def __post_init__(self) -> None:
        with _protect():
            object.__setattr__(self, "mechanism", IntervalMechanism(self.low, self.high))

    @property
    def statement(self) -> str:
        """See `LabelScheme`."""
        return f"interval privacy, one threshold in {_range(self)}"

    def check(self, labels: Sequence[Label]) -> str:
        """See `LabelScheme`."""
        return _outside(self, labels)

    def release(self, labels: Sequence[Label]) -> Array:
        """See `LabelScheme`; the releases are unbiased estimates, which tell at most a threshold and a side."""
        return self.mechanism.report(IDENTITY.encode(labels)[:, 0]).estimates

    def training(self, released: Array, train: npt.NDArray[np.bool_], loss_name: LossName) -> Training:
        """See `LabelScheme`."""
        return _regression(released, train, loss_name)


def _outside(scheme: RangeResponse | RangeInterval, labels: Sequence[Label]) -> str:
    """A warning where the range cuts labels off, which biases what is learned; DataError where one is no number."""
    values = IDENTITY.encode(labels)[:, 0]
    percent = 100 * float(np.mean((values < scheme.low) | (values > scheme.high))) if len(values) else 0.0
    return (
        f"{percent:.2g}% of the labels lie outside label_range {_range(scheme)} and are clipped to it"
        if percent
        else ""
    )


def _range(scheme: RangeResponse | RangeInterval) -> str:
    return f"[{float(scheme.low)!r}, {float(scheme.high)!r}]"


def _regression(values: Array, train: npt.NDArray[np.bool_], loss_name: LossName) -> Training:
    codec = LabelCodec.fit("regression", values.tolist(), train)
    return Training(codec, codec.encode(values.tolist()), get_loss(loss_name, 1))
