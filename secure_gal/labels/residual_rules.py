"""What a residual in the clear can be, loss by loss: an assistor checks it before it fits anything to it.

What a party answers is linear in the residual for many learners, so a crafted one reads the party's data: a unit vector
returns a row of its smoothing matrix. An honest r = -dL_1(y, F) / dF lies in the range of its loss, and in round 1 it
is a function of the labels alone, because F^0 is. Every rule here holds for whatever an honest sponsor sends, with room
for float32 and nothing else. What they leave open is in THREAT_MODEL.md: a sponsor may still lie about its labels, and
from round 2 on about the direction.
"""

from __future__ import annotations

import math
from typing import assert_never

import numpy as np
import numpy.typing as npt

from secure_gal.gal.losses import HUBER_DELTA, Array, Loss
from secure_gal.labels.corrected_loss import CorrectedCrossEntropy
from secure_gal.settings.study import Study

ROUNDING = 2.0**-21
"""A value of at most 1 is off by 2**-25 in float32, and a row whose values have sizes that add up to 2 by 2**-23."""
MEAN_ROUNDING = 1e-6
"""The mean of residuals of deviation 1 at most is off by 2**-24; F^0 of Huber's loss is a root to 1e-11."""
SQUARES_ROUNDING = 1e-5
"""Share by which a sum of squares of float32 values may be off, and more."""


def residual_problem(study: Study, round_: int, values: npt.NDArray[np.float32]) -> str:
    """The first rule that a residual breaks, or empty.

    Args:
        values: finite, (n, K): of the training rows of this assistor, all of the study's where rows are common.
    """
    r = values.astype(np.float64)
    match study.task:
        case "classification":
            return _range_of_classes(study, r) or (_first_of_classes(study, r) if round_ == 1 else "")
        case "regression":
            return _of_targets(study, round_, r)
        case _:
            assert_never(study.task)


def _loss(study: Study) -> Loss:
    """The overarching loss of a classification."""
    classes, epsilon = study.protect.classes, study.protect.epsilon
    if classes is None or epsilon is None:
        return Loss(study.loss_name, study.k)
    from crypto.label_privacy import RandomizedResponse

    return CorrectedCrossEntropy(study.loss_name, study.k, RandomizedResponse(len(classes), epsilon).flip)


def _range_of_classes(study: Study, r: Array) -> str:
    """|r| <= 1, at most one value of a row is positive, and rows add up to 0; for one output r is that of class 1.

    On released labels r_y = s (1 - s) q / (1 + q s) for the released class, of share s, with q = e**epsilon - 1: at
    most (e**(epsilon/2) - 1) / (e**(epsilon/2) + 1) = tanh(epsilon / 4); the others add up to its negative.
    """
    epsilon = study.protect.epsilon
    bound = 1.0 if epsilon is None else math.tanh(epsilon / 4)
    if np.abs(r).max() > bound + ROUNDING:
        return f"a value beyond {bound:.4g}"
    if study.k > 1 and np.abs(r.sum(axis=1)).max() > ROUNDING:
        return "a row that does not add up to 0"
    if study.k > 1 and ((r > ROUNDING).sum(axis=1) > 1).any():
        return "a row with two positive values"
    return ""


def _first_of_classes(study: Study, r: Array) -> str:
    """In round 1 a row is one of as many as there are classes; F^0 of all rows, where they are here, says which."""
    if study.row_weights == "sponsor":
        return _first_of_weighted(study, r)
    loss, k = _loss(study), study.k
    y = (r[:, 0] >= 0).astype(np.int64) if k == 1 else r.argmax(axis=1)
    if study.rows == "common":
        expected = loss.residual(y, np.tile(loss.initial(y), (len(y), 1)))
    elif study.protect.privatised:
        _, where, which = np.unique(y, return_index=True, return_inverse=True)
        expected = r[where[which]]
    else:  # the class less the shares of all classes, the same for every row
        codes = y[:, None].astype(np.float64) if k == 1 else np.eye(k)[y]
        expected = codes - (codes - r)[0]
    return "" if np.abs(r - expected).max() <= ROUNDING else "other values than F^0 leaves for any labels"


def _first_of_weighted(study: Study, r: Array) -> str:
    """In round 1 a row of class y is its weight times (onehot(y) - shares of F^0), and all rows add up to 0."""
    if study.rows == "common" and np.abs(r.mean(axis=0)).max() > MEAN_ROUNDING:
        return "a mean other than 0"
    if study.k == 1:
        return ""
    y, peak = r.argmax(axis=1), r.max(axis=1)
    largest = np.zeros((study.k, study.k))
    for row in np.argsort(peak):  # the last one of each class is its largest
        largest[y[row]] = r[row] / max(peak[row], ROUNDING)
    return (
        ""
        if np.abs(r - peak[:, None] * largest[y]).max() <= 2 * ROUNDING
        else "rows of a class that differ in more than their weight"
    )


def _of_targets(study: Study, round_: int, r: Array) -> str:
    """Targets are standardised on the training rows, or under a log link divided by their mean; F^0 is what each loss
    makes of them. A large value of poisson and gamma is honest, for a count has no bound."""
    name, first, common = study.loss_name, round_ == 1, study.rows == "common"
    if why := _of_quantile(study, r, first and common) if name in ("l1", "quantile") else "":
        return why
    if (name == "gamma" or (name == "poisson" and first and study.row_weights == "equal")) and r.min() < -1 - ROUNDING:
        return "a value below -1"
    if name == "huber" and np.abs(r).max() > HUBER_DELTA:
        return f"a value beyond {HUBER_DELTA:g}"
    size = max(1.0, float(np.abs(r).max())) if name in ("gamma", "poisson") else 1.0
    if name not in ("l1", "quantile") and first and common and abs(r.mean()) > MEAN_ROUNDING * size:
        return "a mean other than 0"
    if name == "l2" and (first or study.learning_rate == "search") and np.sum(r**2) > _squares(study, r):
        return "a larger sum of squares than F^0 leaves, which every round lowers"
    return _of_bins(study, r) if first else ""


def _of_quantile(study: Study, r: Array, first_of_all: bool) -> str:
    """One of three values, or one of them times a weight; F^0 leaves no more rows on a side than its share."""
    above, below = (study.quantile_level, 1 - study.quantile_level) if study.loss_name == "quantile" else (1.0, 1.0)
    if study.row_weights == "sponsor" and (r.max() > above + ROUNDING or r.min() < -below - ROUNDING):
        return f"a value beyond {above:g} or -{below:g}"
    if study.row_weights == "equal" and np.abs(r[:, :, None] - [above, -below, 0.0]).min(axis=2).max() > ROUNDING:
        return "a value that is no sign" if above == 1.0 else f"a value other than {above:g}, -{below:g} and 0"
    most = len(r) * above * below / (above + below) * (1 + SQUARES_ROUNDING)
    if first_of_all and max(r[r > 0].sum(), -r[r < 0].sum()) > most:
        return "more than half of the rows on one side of the median" if above == below else "rows on the wrong side"
    return ""


def _squares(study: Study, r: Array) -> float:
    """The most that r^2 may add up to: over all N training rows of a standardised target it is N in round 1."""
    return (len(r) if study.rows == "common" else study.max_ids) * (1 + SQUARES_ROUNDING)


def _of_bins(study: Study, r: Array) -> str:
    """Randomised response releases one of a few bins."""
    if study.protect.epsilon is None:
        return ""
    from crypto.label_privacy import bin_count

    count = bin_count(study.protect.epsilon)
    return "" if len(np.unique(r)) <= count else f"more different values than there are bins, {count}"
