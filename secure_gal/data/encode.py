"""Labels to codes or standardised targets; fitted on training rows only, kept with the model."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, assert_never

import numpy as np
import numpy.typing as npt

from secure_gal.data.notation import MAX_SIZE
from secure_gal.errors import DataError
from secure_gal.gal.links import logistic, softmax
from secure_gal.settings.classes import Class, Label, class_of, outputs_of
from secure_gal.settings.study import Task

MAX_LEVELS = 1000
"""Classes of a label; more is nearly always a target that was meant as regression."""
FEW_LEVELS = 20
"""So many different texts in a column, or numbers as classes, are never taken for identifiers or for a target."""
ROWS_A_CLASS = 10
"""With fewer rows a class on average, numbers are taken for a target that was meant as regression."""


def _classes(labels: Sequence[Label]) -> tuple[Class, ...]:
    classes = tuple(sorted({class_of(label) for label in set(labels)}, key=class_order))
    if len(classes) < 2:
        raise DataError("[data] label", f"the common rows have one class only ({classes[0]!r}); nothing to learn")
    if len(classes) > MAX_LEVELS:
        raise DataError(
            "[data] label",
            f"the label has {len(classes)} different values in {len(labels)} rows (at "
            f'most {MAX_LEVELS} classes); is task = "regression" meant?',
        )
    return classes


def _ordered(classes: tuple[Class, ...], order: Sequence[str]) -> tuple[Class, ...]:
    """The classes as `order` has them; all of it, also those that no row has."""
    wanted = tuple(dict.fromkeys(class_of(label) for label in order))
    if not wanted:
        return classes
    stray = [label for label in classes if label not in wanted]
    if stray:
        raise DataError(
            "[data] label",
            f"has the class {stray[0]!r}, which is not in the schema; correct the rows, or add it to the label's "
            "constraints.enum there (and `outputs` in study.toml)",
        )
    return wanted


@dataclass(frozen=True, slots=True)
class LabelCodec:
    """Labels to what losses take: class codes, or targets in standard deviations."""

    task: Task
    classes: tuple[Class, ...] = ()
    mean: float = 0.0
    scale: float = 1.0

    @property
    def outputs(self) -> int:
        """K: 1 for regression and for two classes, else the number of classes."""
        return outputs_of(len(self.classes))

    @classmethod
    def fit(
        cls, task: Task, labels: Sequence[Label], train: npt.NDArray[np.bool_], order: Sequence[str] = ()
    ) -> LabelCodec:
        """Classes over all rows, or mean and deviation of the training rows.

        Args:
            order: of the classes; ascending where none is given.

        Raises:
            DataError: fewer than two classes, too many, one that is not in `order`, or a target that is no number.
        """
        match task:
            case "classification":
                return cls(task, _ordered(_classes(labels), order))
            case "regression":
                values = _targets(labels)[train]
                if values.min() == values.max():  # a deviation of equal numbers is seldom 0: 36.6 has 7e-15 of it
                    why = "the target is the same on all training rows; there is nothing to learn"
                    raise DataError("[data] label", why)
                return cls(task, (), float(values.mean()), float(values.std()))
            case _:
                assert_never(task)

    def check_classes(self, rows: int) -> None:
        """Refuse classes that look like the numbers of a regression target.

        More than FEW_LEVELS different numbers are refused where one is not whole or a class has fewer than ROWS_A_CLASS
        of the `rows` on average.

        Raises:
            DataError: says how many there are.
        """
        numbers = [c for c in self.classes if not isinstance(c, str)]
        fractions = any(isinstance(c, float) for c in numbers)
        if len(numbers) > FEW_LEVELS and (fractions or rows < ROWS_A_CLASS * len(self.classes)):
            raise DataError(
                "[data] label",
                f"the label has {len(self.classes)} different values in {rows} rows; is task = "
                '"regression" meant? If they are classes, give them names, such as c17',
            )

    def encode(self, labels: Sequence[Label]) -> npt.NDArray[Any]:
        """int64 (N,) class codes, or float64 (N, 1) standardised targets."""
        match self.task:
            case "classification":
                code = {label: i for i, label in enumerate(self.classes)}
                return np.array([code[class_of(label)] for label in labels], dtype=np.int64)
            case "regression":
                return ((_targets(labels) - self.mean) / self.scale)[:, None]
            case _:
                assert_never(self.task)

    def probabilities(self, f: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """Outputs (n, K) to class probabilities (n, classes); no columns for regression."""
        match self.task:
            case "regression":
                return np.zeros((len(f), 0))
            case "classification":
                if self.outputs == 1:
                    return np.concatenate([logistic(-f), logistic(f)], axis=1)
                return softmax(f)
            case _:
                assert_never(self.task)

    def values(self, f: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """Outputs (n, 1) of a regression to values in the label's own unit (n,)."""
        return np.asarray(f[:, 0] * self.scale + self.mean)

    def decode(self, f: npt.NDArray[np.float64], threshold: float = 0.5) -> list[Class]:
        """Outputs (n, K) to classes, or to values in the label's own unit.

        Args:
            threshold: of two classes, the probability of the second above which it is predicted.
        """
        match self.task:
            case "regression":
                return [repr(float(v)) for v in self.values(f)]
            case "classification":
                p = self.probabilities(f)
                codes = p[:, 1] > threshold if self.outputs == 1 else p.argmax(axis=1)
                return [self.classes[int(c)] for c in codes]
            case _:
                assert_never(self.task)


def class_order(label: Class) -> tuple[bool, float, str]:
    """Numbers ascending, then texts."""
    if isinstance(label, str):
        return True, 0.0, label
    return False, float(label), str(label)


def _targets(labels: Sequence[Label]) -> npt.NDArray[np.float64]:
    try:
        values = np.array([x if isinstance(x, float) else _number(x) for x in labels], dtype=np.float64)
    except (TypeError, ValueError) as error:
        row = next(i for i, label in enumerate(labels) if not _is_number(label))
        raise DataError(
            "[data] label",
            f"a regression target must be a number (with a decimal point); row {row + 1} has "
            f"{labels[row]!r}: correct or remove it",
        ) from error
    held = np.abs(values) <= MAX_SIZE
    if not held.all():
        row = int(held.argmin())
        raise DataError(
            "[data] label",
            f"a target beyond {MAX_SIZE:g}, infinite or not a number: row {row + 1} has {labels[row]!r}; correct or "
            "remove it",
        )
    return values


def _number(label: Label) -> float:
    if isinstance(label, dt.date):
        raise TypeError("a day is no number")
    return float(label)


def _is_number(label: Label) -> bool:
    try:
        _number(label)
    except (TypeError, ValueError):
        return False
    return True
