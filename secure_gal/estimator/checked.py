"""X by scikit-learn's own checks: numbers, number and names of features."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from sklearn.utils.validation import check_array, validate_data

from secure_gal.data.arrays import SERIES
from secure_gal.errors import DataError
from secure_gal.estimator.blocks import Block, Check, is_list_of_blocks
from secure_gal.estimator.fitted import Fitted
from secure_gal.estimator.frames import is_frame

if TYPE_CHECKING:
    from secure_gal.estimator.after_fit import AfterFit


def checked_by(estimator: AfterFit, x: object, *, reset: bool) -> Check:
    """How arrays are checked for this X; one table's features are compared with those of `fit`, or kept for it.

    Raises:
        ValueError: one frame has other columns than in `fit`.
    """
    options: dict[str, object] = {
        "ensure_all_finite": "allow-nan",
        "allow_nd": True,
        "ensure_min_samples": 2 * int(reset),
        "dtype": "numeric",
    }
    if is_list_of_blocks(x):
        return lambda block, where: _named(block, where, options)
    if is_frame(x):
        validate_data(estimator, x, reset=reset, skip_check_array=True)
    return lambda table, where: np.asarray(validate_data(estimator, unmasked(table), reset=reset, **options))


def unmasked(x: object) -> object:
    """A masked array with missing values where it is masked; scikit-learn's checks would take what lies below."""
    return np.ma.asarray(x, dtype=np.float64).filled(np.nan) if np.ma.isMaskedArray(x) else x


def _named(block: object, where: str, options: dict[str, object]) -> npt.NDArray[Any]:
    try:
        return np.asarray(check_array(unmasked(block), **options))
    except ValueError as error:
        raise DataError(where, str(error)) from error


def remember_features(estimator: AfterFit, x: object, blocks: Sequence[Block]) -> None:
    """`n_features_in_` and `feature_names_in_` of a list of blocks; one table's are known already."""
    if not is_list_of_blocks(x):
        return
    estimator.n_features_in_ = sum(block.width for block in blocks)
    if all(map(is_frame, x)):
        names = [f"{block.party}: {column}" for block in blocks for column in block.columns]
        estimator.feature_names_in_ = np.array(names, dtype=object)


def refuse_other_blocks(fitted: Fitted, blocks: Sequence[Block]) -> None:
    """Refuse blocks of other parties than in `fit`, and arrays of another shape; columns of frames go by their schema.

    Raises:
        DataError: names the block.
    """
    names, found = [part.name for part in fitted.parties], [block.party for block in blocks]
    if names != found:
        raise DataError("X", f"blocks of {', '.join(found)}; accepted: {len(names)}, of {', '.join(names)}")
    for part, block in zip(fitted.parties, blocks, strict=True):
        skipped = 1 if len(part.inner) == len(block.inner) == SERIES - 1 else 0  # a series may be longer or shorter
        if block.keys is None and block.inner[skipped:] != part.inner[skipped:]:
            raise DataError(block.where, f"has rows of shape {block.inner}, but {part.inner} was trained on")
