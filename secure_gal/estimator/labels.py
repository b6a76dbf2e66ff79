"""y and weights as the sponsor's label column and weights: one a row, in the order of the first block."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import narwhals.stable.v2 as nw
import numpy as np
import numpy.typing as npt

from secure_gal.errors import DataError
from secure_gal.estimator.blocks import Block, order_of
from secure_gal.estimator.frames import INDEX, Keys
from secure_gal.settings.classes import Class, Label, class_of, outputs_of
from secure_gal.settings.study import Task


@dataclass(frozen=True, slots=True)
class Labels:
    """The target.

    Attributes:
        column: (N,) what the sponsor's table holds: classes as text, or numbers.
        classes: in ascending order and in the type of y; none for a regression.
    """

    column: list[Label]
    classes: npt.NDArray[Any]

    @property
    def outputs(self) -> int:
        """K."""
        return outputs_of(len(self.classes))


def read_labels(y: object, task: Task, first: Block) -> Labels:
    """y by the rows of the sponsor's block.

    Raises:
        DataError: not one label a row, one that is missing, or an index that does not fit to the block's.
        ValueError: as scikit-learn's own checks.
    """
    from sklearn.utils.multiclass import check_classification_targets
    from sklearn.utils.validation import check_array, column_or_1d

    if y is None:
        raise DataError("y", "requires y to be passed, but the target y is None")
    _refuse_masked(y, "y")
    values = column_or_1d(_array(y), warn=True)
    _refuse_missing(values)
    values = check_array(values, ensure_2d=False, dtype=None, input_name="y", ensure_min_samples=0)
    values = by_keys(y, values, first, "y")
    if len(values) != first.count:
        raise DataError(first.where, f"has {first.count} rows, y has {len(values)}")
    if task == "regression":
        numbers = check_array(values, ensure_2d=False, dtype=np.float64, input_name="y")
        return Labels(numbers.tolist(), np.zeros(0))
    check_classification_targets(values)
    return _classes(values)


def _array(y: object) -> npt.NDArray[Any]:
    try:
        return np.asarray(y)
    except ValueError as error:
        raise DataError("y", f"is not one label a row: {error}") from error


def _refuse_missing(values: npt.NDArray[Any]) -> None:
    if values.dtype.kind != "O":
        return
    for row, value in enumerate(values):
        if value is None or _differs_from_itself(value):
            raise DataError("y", f"row {row + 1} is {value}: there is no label to learn from; leave that row out")


def _differs_from_itself(value: object) -> bool:
    """As missing values alone do; of that of pandas there is no telling."""
    try:
        return bool(value != value)
    except TypeError:
        return True


def _refuse_masked(values: object, name: str) -> None:
    if np.ma.isMaskedArray(values) and np.ma.is_masked(values):
        raise DataError(name, "has masked values; leave their rows out")


def by_keys(given: object, values: npt.NDArray[Any], first: Block, name: str) -> npt.NDArray[Any]:
    """One value a row in the order of the block's rows, where both have an index.

    Args:
        given: what the caller gave for `name`, with an index or without.
        values: the same as an array.

    Raises:
        DataError: its index does not fit to the block's.
    """
    if first.keys is None or first.keys.what != INDEX:
        return values
    series = nw.from_native(given, allow_series=True, pass_through=True)
    index = nw.maybe_get_index(series) if isinstance(series, nw.DataFrame | nw.Series) else None
    if index is None or len(values) != first.count:
        return values
    order = order_of(Keys(INDEX, list(index)), first.keys, name, first.where)
    return values if order is None else values[order]


def _classes(values: npt.NDArray[Any]) -> Labels:
    classes, codes = np.unique(values, return_inverse=True)
    texts = [str(each) for each in classes.tolist()]
    if len({class_of(text) for text in texts}) < len(texts):
        raise DataError("y", f"has classes that are written alike: {', '.join(map(repr, classes.tolist()[:20]))}")
    return Labels([texts[code] for code in codes.tolist()], classes)


def class_columns(classes: npt.NDArray[Any], coded: Sequence[Class]) -> npt.NDArray[np.int64]:
    """Which column of a study's probabilities each class of y is; the study orders classes by its own rule."""
    place = {label: column for column, label in enumerate(coded)}
    return np.array([place[class_of(str(each))] for each in classes.tolist()], dtype=np.int64)


def read_weights(sample_weight: object, first: Block) -> npt.NDArray[np.float64] | None:
    """Weights (N,) by the rows of the sponsor's block, 0 or more; None where there are none.

    Raises:
        ValueError: as scikit-learn's own checks.
        DataError: all are 0, or an index that does not fit to the block's.
    """
    from sklearn.utils.validation import _check_sample_weight

    if sample_weight is None:
        return None
    _refuse_masked(sample_weight, "sample_weight")
    weights = _check_sample_weight(sample_weight, np.zeros(first.count), dtype=np.float64, ensure_non_negative=True)
    if not weights.any():
        raise DataError("sample_weight", "is 0 for all rows: there is nothing to learn from")
    return by_keys(sample_weight, np.asarray(weights, dtype=np.float64), first, "sample_weight")
