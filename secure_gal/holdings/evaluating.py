"""The sponsor's evaluation of a finished study: from outputs F of all rows to what its report says."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt

from secure_gal.data.encode import LabelCodec
from secure_gal.gal.ensemble import Ensemble
from secure_gal.gal.losses import Weights
from secure_gal.gal.split import derive_seed
from secure_gal.holdings import own_model
from secure_gal.learners.base import EncodedRows, as_table
from secure_gal.learners.cross_fit import FOLDS
from secure_gal.measures.evaluation import Evaluation, Judging, Measured, Rows, evaluate, measured
from secure_gal.measures.metrics import usual_metrics
from secure_gal.measures.ranked import Ranked
from secure_gal.settings.report import MetricName, ReportSettings, cut_of
from secure_gal.settings.study import Study

Array = npt.NDArray[np.float64]


class Held(NamedTuple):
    """What the sponsor holds of the study's rows, in study order.

    Attributes:
        x: encoded features (N, p), or arrays; None where the sponsor has none.
        y: as the ensemble takes them, but true where it learns from released ones; train: mask (N,).
        groups: column -> the group of each row.
        folds: of cross-fitted rounds.
    """

    x: EncodedRows | None
    y: npt.NDArray[Any]
    train: npt.NDArray[np.bool_]
    codec: LabelCodec
    groups: Mapping[str, Sequence[str]]
    folds: int | None

    @property
    def true(self) -> npt.NDArray[Any]:
        """Labels (N,): class codes, or values in the label's own unit."""
        return self.y if self.codec.classes else self.y[:, 0] * self.codec.scale + self.codec.mean


class BestOwn(NamedTuple):
    """The sponsor's best own model.

    Attributes:
        measured: on the rows that judge; None where there is no such model.
        name: what it is, or why there is none.
    """

    measured: Measured | None
    name: str


class Alone(NamedTuple):
    """What the sponsor learnt by itself; `measured` on the rows that judge, None where there are none."""

    ensemble: Ensemble
    measured: Measured | None


def evaluation_of(
    held: Held, made: Ensemble, alone: Alone, own: BestOwn, study: Study, asked: ReportSettings
) -> Evaluation | None:
    """What `made` is worth on the rows that judge; None where there are none.

    Args:
        asked: `[report]` of the sponsor's file.
    """
    judged = made.judged
    if judged is None:
        return None
    codec, rows = held.codec, judged.mask
    y = held.true
    gal, by_alone = (_outputs(codec, each.F_kept) for each in (made, alone.ensemble))
    v = made.weights_of(np.ones(len(y), dtype=np.bool_))
    rule, threshold = _threshold(codec, asked, y[held.train], gal[held.train], None if v is None else v[held.train])
    of: Rows = "out-of-fold" if judged.how == "out-of-fold" else "test" if made.cross_fitted else "chose-rounds"
    chosen = np.flatnonzero(rows).tolist()
    found = evaluate(
        Judging(y[rows], gal[rows], by_alone[rows], own.measured, of, _of_judged(v, rows), alone.measured),
        _metrics(codec, study, asked),
        threshold,
        rule,
        own.name,
        {column: [levels[i] for i in chosen] for column, levels in held.groups.items()},
        _seed(study),
    )
    return found if threshold is None else msgspec.structs.replace(found, positive=str(codec.classes[1]))


def _metrics(codec: LabelCodec, study: Study, asked: ReportSettings) -> tuple[MetricName, ...]:
    return asked.metrics or usual_metrics(study.task, codec.outputs)


def _seed(study: Study) -> int:
    return derive_seed("bootstrap", study.seed)


def _of_judged(v: Weights, rows: npt.NDArray[np.bool_]) -> Weights:
    return None if v is None else v[rows] / v[rows].mean()


def _outputs(codec: LabelCodec, f: Array) -> Array:
    """Probabilities (n, classes), or values (n,) in the label's own unit."""
    return codec.probabilities(f) if codec.classes else codec.values(f)


def _threshold(
    codec: LabelCodec, asked: ReportSettings, y: npt.NDArray[Any], outputs: Array, weights: Weights
) -> tuple[str, float | None]:
    """The rule, where the file gives one, and what it comes to on out-of-fold values of the training rows."""
    if len(codec.classes) != 2:
        return "", None
    cut = cut_of(asked.threshold)
    if isinstance(cut, float):
        return "", cut
    return str(asked.threshold), Ranked(y == 1, outputs[:, 1], weights).threshold(cut)


def measured_alone(held: Held, alone: Ensemble, study: Study, asked: ReportSettings) -> Alone:
    """On the rows that judge: measured already where the file says at which threshold."""
    judged = alone.judged
    if judged is None:
        return Alone(alone, None)
    rows, v = judged.mask, alone.weights_of(np.ones(len(held.train), dtype=np.bool_))
    outputs = _outputs(held.codec, alone.F_kept)[rows]
    found = measured(held.true[rows], outputs, _metrics(held.codec, study, asked), _of_judged(v, rows), _seed(study))
    _at_known(found, asked)
    return Alone(alone, found)


def _at_known(found: Measured, asked: ReportSettings) -> None:
    cut = cut_of(asked.threshold)
    if isinstance(cut, float):
        found(cut)


def best_own(held: Held, weights: Weights, study: Study, asked: ReportSettings) -> BestOwn:
    """The sponsor's best own model of these rows, weighted (N,) by `weights`, on those that judge: measured already
    where the file says at which threshold."""
    if not asked.own_model:
        return BestOwn(None, "none: [report] own_model = false")
    if held.x is None:
        return BestOwn(None, "none: the sponsor has no columns")
    if why := own_model.refused(held.x):
        return BestOwn(None, why)
    codec, loss, folds = held.codec, study.loss_name, held.folds or FOLDS
    x, k = as_table(held.x), len(codec.classes)
    outputs = own_model.own_outputs(x, held.true, held.train, weights, loss, k, folds, study.seed)
    rows = np.ones_like(held.train) if held.train.all() else ~held.train
    found = measured(held.true[rows], outputs, _metrics(codec, study, asked), _of_judged(weights, rows), _seed(study))
    _at_known(found, asked)
    return BestOwn(found, own_model.NAME)
