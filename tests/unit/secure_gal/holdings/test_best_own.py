"""The best that the sponsor does without anybody: what is fitted, on which rows, when, and what it imports."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sklearn.metrics as reference
from sklearn.ensemble import HistGradientBoostingClassifier

from secure_gal.gal import coefficients
from secure_gal.gal.split import fold_numbers, split_rows
from secure_gal.holdings import own_model
from secure_gal.holdings.own_model import own_outputs
from secure_gal.holdings.sponsor import SponsorData
from secure_gal.measures import evaluation
from secure_gal.measures.bootstrap import Drawn
from secure_gal.settings.report import ReportSettings
from tests.support.judged_study import SICK, N, X, evaluated, of_classes, prepared_model


def test_the_best_own_model_is_fitted_once_whenever_it_is_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fits: list[int] = []

    def counted(*args: Any) -> Any:
        fits.append(1)
        return own_outputs(*args)

    monkeypatch.setattr(own_model, "own_outputs", counted)
    late = evaluated(tmp_path, ReportSettings(), of_classes(validation=0.3))
    prepare = SponsorData.prepare

    def prepared(model: SponsorData, *rows: Any) -> bytes:
        encoder = prepare(model, *rows)
        model.by_itself()
        return encoder

    monkeypatch.setattr(SponsorData, "prepare", prepared)
    assert evaluated(tmp_path, ReportSettings(), of_classes(validation=0.3)) == late and len(fits) == 2


@pytest.mark.parametrize(
    ("own", "learner", "libraries"),
    [
        (True, "linear", own_model.LIBRARIES),
        (True, "svm", own_model.LIBRARIES),
        (False, "linear", coefficients.LIBRARIES),
        (False, "svm", ()),
    ],
)
def test_libraries_are_named_of_what_the_sponsor_does_beside_the_rounds(
    tmp_path: Path, own: bool, learner: str, libraries: tuple[str, ...]
) -> None:
    assert prepared_model(tmp_path, ReportSettings(own_model=own), learner).own_libraries == libraries


def test_a_sponsors_fit_imports_what_weights_are_searched_for_with(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the thread that computes, before the loop's thread needs it."""
    loads: list[int] = []
    monkeypatch.setattr(coefficients, "load", lambda: loads.append(1))
    model = prepared_model(tmp_path, ReportSettings())
    model.fit_round(1, model.ensemble(("hospital",)).residual())
    assert loads


def test_other_rows_are_learnt_from_anew(tmp_path: Path) -> None:
    model = prepared_model(tmp_path, ReportSettings())
    model.by_itself()
    first = model.alone()
    model.prepare(np.arange(0, N, 2), split_rows(N // 2, 0.3, 0))
    model.by_itself()
    assert (len(first.F), len(model.alone().F)) == (N, N // 2)
    assert model.evaluate(model.alone(), model.alone()) is not None


@pytest.mark.parametrize("learner", ["linear", "svm"])
def test_a_sponsor_learns_alone_beside_the_rounds_where_its_fits_leave_others_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, learner: str
) -> None:
    fitted: list[int] = []
    learn = SponsorData.learn_alone
    monkeypatch.setattr(SponsorData, "learn_alone", lambda *args: fitted.append(1) or learn(*args))
    model, other = (prepared_model(tmp_path, ReportSettings(own_model=False), learner) for _ in range(2))
    model.fit_round(1, model.ensemble(("hospital",)).residual())
    model.by_itself()
    assert len(fitted) == (learner == "linear")
    np.testing.assert_array_equal(model.alone().F, other.alone().F)
    assert len(fitted) == 2, "and once"


@pytest.mark.parametrize(("threshold", "ahead"), [(0.5, True), ("f1", False)])
def test_the_best_own_model_is_measured_ahead_where_its_threshold_is_known(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, threshold: float | str, ahead: bool
) -> None:
    drawn: list[int] = []

    class Counted(Drawn):
        def __init__(self, *args: Any) -> None:
            drawn.append(1)
            super().__init__(*args)

    monkeypatch.setattr(evaluation, "Drawn", Counted)
    model = prepared_model(tmp_path, ReportSettings(threshold=threshold))
    model.by_itself()
    assert len(drawn) == (2 if ahead else 0), "and so is what the sponsor learnt alone"
    model.evaluate(model.ensemble(("hospital",)), model.alone())
    assert len(drawn) == 3, "each once"


def test_the_best_own_model_is_scikit_learns_on_the_studys_folds() -> None:
    y, every = SICK.astype(np.int64), np.ones(N, dtype=bool)
    found = own_outputs(X, y, every, None, "cross_entropy", 2, 5, 3)
    held = fold_numbers(N, 5, 3) == 2
    fitted = HistGradientBoostingClassifier(random_state=own_model.derive_seed("own model", 3)).fit(X[~held], y[~held])
    np.testing.assert_allclose(found[held], fitted.predict_proba(X[held]))


def test_where_rows_were_held_out_they_take_one_fit_and_training_rows_none(monkeypatch: pytest.MonkeyPatch) -> None:
    y, train, seen = SICK.astype(np.int64), np.arange(N) % 4 != 0, []

    def fitted(x: Any, y: Any, v: Any, new: Any, *about: Any) -> Any:
        seen.append((x, new))
        return HistGradientBoostingClassifier(random_state=about[-1]).fit(x, y, sample_weight=v).predict_proba(new)

    monkeypatch.setattr(own_model, "fitted", fitted)
    found = own_outputs(X, y, train, None, "cross_entropy", 2, 5, 3)
    ((x, new),) = seen
    assert x.tolist() == X[train].tolist() and new.tolist() == X[~train].tolist()
    assert reference.roc_auc_score(y[~train], found[:, 1]) > 0.8


def test_a_class_that_a_fold_lacks_gets_no_probability_there() -> None:
    y = np.zeros(N, dtype=np.int64)
    y[:3], y[100:] = 2, 1
    found = own_outputs(X, y, np.ones(N, dtype=bool), None, "cross_entropy", 4, 5, 0)
    np.testing.assert_allclose(found.sum(axis=1), 1)
    assert not found[:, 3].any()
    one = own_outputs(X, np.ones(N, dtype=np.int64), np.ones(N, dtype=bool), None, "cross_entropy", 2, 5, 0)
    assert (one[:, 1] == 1).all()


def test_what_the_best_own_model_does_not_take_is_said() -> None:
    assert "arrays" in own_model.refused(np.zeros((2, 3, 4))) and not own_model.refused(X)
    assert "cells are more than" in own_model.refused(
        np.lib.stride_tricks.as_strided(np.zeros(1), (10**6, 100), (0, 0))
    )
