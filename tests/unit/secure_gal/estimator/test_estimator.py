"""scikit-learn's rules: its own checks, and its tools over a study whose parties share one table."""

from __future__ import annotations

import doctest
import pickle
import subprocess
import sys
import warnings
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn import config_context
from sklearn.base import clone, is_classifier, is_regressor
from sklearn.inspection import permutation_importance
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import check_estimator

from secure_gal import GAL
from secure_gal.estimator import gal as module

EXPECTED = {
    "check_sample_weight_equivalence_on_dense_data": "weights scale residuals, F^0, losses and metrics at the sponsor; "
    "the parties' own fits, encoders and folds take every row alike, since a weight would tell them of the label"
}
"""Checks of scikit-learn that GAL does not pass, and why it should not."""
PARTIES = {"hospital": ["age", "bmi"], "lab": ["hb", "wbc"]}


def table(n: int = 90, seed: int = 0) -> tuple[pd.DataFrame, np.ndarray]:
    x = np.random.default_rng(seed).normal(size=(n, 4))
    return pd.DataFrame(x, columns=["age", "bmi", "hb", "wbc"]), np.where(x[:, 0] + x[:, 2] > 0, "ill", "well")


@pytest.mark.parametrize("task", ["classification", "regression"])
def test_all_checks_of_scikit_learn_pass_but_for_those_that_are_named(task: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        results = check_estimator(GAL(task, rounds=2), expected_failed_checks=EXPECTED, on_fail=None)
    assert [found["check_name"] for found in results if found["status"] == "failed"] == []
    assert {found["check_name"] for found in results if found["status"] == "xfail"} == set(EXPECTED)
    assert len(results) > 50


def test_the_example_of_the_class_is_true() -> None:
    found = doctest.testmod(module)
    assert found.failed == 0 and found.attempted > 10


def test_the_task_says_what_it_is() -> None:
    assert is_classifier(GAL()) and is_regressor(GAL("regression"))
    assert not is_classifier(GAL("regression")) and not hasattr(GAL("regression"), "predict_proba")


def test_parameters_come_back_from_a_clone() -> None:
    gal = GAL(rounds=3, parties=PARTIES, learners={"lab": "gb"}, seed=5)
    assert clone(gal).get_params() == gal.get_params()
    assert clone(gal).set_params(rounds=4).rounds == 4 and gal.rounds == 3


def test_one_table_is_divided_for_a_pipeline_a_search_and_importance() -> None:
    x, y = table()
    scaled = make_pipeline(StandardScaler().set_output(transform="pandas"), GAL(rounds=2, parties=PARTIES))
    assert cross_val_score(scaled, x, y, cv=2, scoring="roc_auc").min() > 0.9
    found = GridSearchCV(GAL(parties=PARTIES), {"rounds": [1, 2]}, cv=2).fit(x, y)
    assert found.best_params_["rounds"] in (1, 2) and found.best_estimator_.feature_names_in_.tolist() == [*x.columns]
    drops = permutation_importance(found.best_estimator_, x, y, n_repeats=1, random_state=0).importances_mean
    assert min(drops[0], drops[2]) > 5 * max(drops[1], drops[3])


def test_one_table_is_learnt_from_like_the_blocks_that_it_is_made_of() -> None:
    x, y = table()
    whole = GAL(rounds=2, parties=PARTIES).fit(x, y)
    blocks = GAL(rounds=2, parties=["hospital", "lab"]).fit([x[columns] for columns in PARTIES.values()], y)
    places = GAL(rounds=2, parties={"hospital": [0, 1], "lab": [2, 3]}).fit(x.to_numpy(), y)
    assert np.array_equal(whole.F_, blocks.F_) and np.allclose(whole.F_, places.F_)
    assert blocks.feature_names_in_.tolist() == ["hospital: age", "hospital: bmi", "lab: hb", "lab: wbc"]
    assert blocks.n_features_in_ == 4


@pytest.mark.parametrize(
    ("parties", "why"),
    [
        ({"hospital": ["age", "size"], "lab": ["hb"]}, "has no column 'size'; its columns are age, bmi"),
        ({"hospital": "age", "lab": ["hb"]}, "'age' of hospital; accepted: a list of columns"),
        ({"hospital": ["age", "age"], "lab": ["hb"]}, "each column once"),
        ({"hospital": [["age"], "bmi"], "lab": ["hb"]}, r"\['age'\] of hospital; accepted: names or places of columns"),
        ({"hospital": [0], "lab": [9]}, "has no column"),
        (["hospital", "lab"], "for one table: say whose its columns are"),
    ],
)
def test_columns_that_cannot_be_divided_are_refused(parties: Any, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        GAL(parties=parties).fit(*table())


def test_a_sponsor_may_have_no_columns() -> None:
    x, y = table()
    gal = GAL(rounds=2, parties={"hospital": [], "lab": [*x.columns]}).fit(x, y)
    assert gal.score(x, y) > 0.9 and set(gal.history_[0].weights) == {"lab"}


def test_weights_reach_fit_and_score_where_they_are_routed() -> None:
    x, y = table()
    weights = np.where(y == "ill", 10.0, 1.0)
    plain, weighted = GAL(parties=PARTIES).fit(x, y), GAL(parties=PARTIES).fit(x, y, sample_weight=weights)
    assert (weighted.predict(x) == "ill").sum() >= (plain.predict(x) == "ill").sum()
    assert not np.array_equal(weighted.F_, plain.F_) and weighted.fitted_.study.row_weights == "sponsor"
    left_out = GAL(parties=PARTIES).fit(x, y, sample_weight=(np.arange(90) < 60).astype(float))
    assert np.array_equal(left_out.F_, GAL(parties=PARTIES).fit(x[:60], y[:60]).F_), "weight 0: the row takes no part"
    with config_context(enable_metadata_routing=True):
        routed = GAL(parties=PARTIES).set_fit_request(sample_weight=True).set_score_request(sample_weight=True)
        scores = cross_val_score(routed, x, y, cv=2, params={"sample_weight": weights})
    assert scores.min() > 0.8


def test_a_fitted_estimator_pickles_and_predicting_changes_nothing_of_it() -> None:
    x, y = table()
    gal = GAL(rounds=2, parties=PARTIES).fit(x, y)
    before = pickle.dumps(gal)
    expected = gal.predict_proba(x)
    assert pickle.dumps(gal) == before
    assert np.array_equal(pickle.loads(before).predict_proba(x), expected)  # noqa: S301


def test_staged_predictions_are_those_of_fewer_rounds() -> None:
    x, y = table()
    gal = GAL(rounds=3, parties=PARTIES).fit(x, y)
    stages = list(gal.staged_predict(x))
    assert len(stages) == gal.n_rounds_ + 1 and np.array_equal(stages[-1], gal.predict(x))


def test_rounds_are_printed_and_drawn(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MPLBACKEND", "Agg")
    x, y = table(120)
    gal = GAL(rounds=2, parties=PARTIES, validation=0.2, verbose=1).fit(x, y)
    said = capsys.readouterr().out.splitlines()
    assert len(said) == len(gal.history_) and said[0].startswith("round 1: loss 0.") and "lab 0." in said[0]
    axes = gal.plot_rounds()
    assert axes.get_xlabel() == "round" and [text.get_text() for text in axes.get_legend().get_texts()] == [
        "out of fold",
        "held-out rows",
        "last round kept",
    ]
    assert gal.plot_weights(axes) is axes


def test_importing_the_package_and_the_estimator_imports_no_more_than_they_need() -> None:
    script = (
        "import sys, secure_gal; assert not {'sklearn', 'torch', 'tenseal', 'polars'} & set(sys.modules); "
        "from secure_gal import GAL; assert not {'torch', 'tenseal', 'matplotlib'} & set(sys.modules); "
        "GAL(rounds=1).fit([[0.0], [1.0], [2.0], [3.5]] * 5, [0, 1, 0, 1] * 5); "
        "assert not {'torch', 'tenseal', 'matplotlib'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-W", "ignore", "-c", script], check=True)
