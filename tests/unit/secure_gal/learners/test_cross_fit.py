"""Values of training rows come from fits that have not seen them: out of bag, folds, shared maps, an ensemble."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.ensemble import BaggingRegressor, RandomForestRegressor
from sklearn.neighbors import KNeighborsRegressor

from secure_gal import GAL
from secure_gal.errors import DataError, SettingsError
from secure_gal.gal.ensemble import Ensemble
from secure_gal.gal.losses import get_loss
from secure_gal.gal.split import fold_numbers
from secure_gal.holdings.local import LocalParty
from secure_gal.learners import make_learner
from secure_gal.learners.cross_fit import LEAVE_ONE_OUT, OUT_OF_BAG, cross_fit, folds_for
from secure_gal.learners.trees import EstimatorLearner
from secure_gal.settings.party import LearnerSettings

Array = np.ndarray[Any, np.dtype[Any]]
N = 60


def data(rows: int = N, columns: int = 4, outputs: int = 2, seed: int = 0) -> tuple[Array, Array]:
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((rows, columns)) + 3.0
    return x, (np.sin(x[:, :outputs]) + rng.standard_normal((rows, outputs))).astype(np.float32)


# --- out of bag --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "make",
    [
        lambda: RandomForestRegressor(80, random_state=0),
        lambda: BaggingRegressor(KNeighborsRegressor(1), 80, random_state=0),
        lambda: RandomForestRegressor(80, random_state=0, oob_score=True),
    ],
)
def test_a_bagged_estimator_gives_out_of_bag_values_of_one_fit(make: Any) -> None:
    x, r = data(outputs=1)
    found = cross_fit(EstimatorLearner(lambda seed: make()), x, r, 0, fold_numbers(N, 5, 0))
    assert found.how == OUT_OF_BAG
    expected = make().set_params(oob_score=True).fit(x, r[:, 0].astype(np.float64))
    np.testing.assert_array_equal(found.values[:, 0], expected.oob_prediction_)
    np.testing.assert_array_equal(found.model.predict(x)[:, 0], expected.predict(x))


@pytest.mark.filterwarnings("error")
def test_a_forest_with_rows_never_out_of_bag_goes_by_folds_and_says_so() -> None:
    x, r = data(outputs=1)
    learner = EstimatorLearner(lambda seed: RandomForestRegressor(3, random_state=0))
    found = cross_fit(learner, x, r, 0, fold_numbers(N, 4, 0))
    assert "4 folds" in found.how and "use more trees" in found.how


def test_an_estimator_without_bootstrap_goes_by_folds() -> None:
    x, r = data(outputs=1)
    learner = EstimatorLearner(lambda seed: RandomForestRegressor(30, bootstrap=False, random_state=0))
    assert cross_fit(learner, x, r, 0, fold_numbers(N, 5, 0)).how == "out-of-fold values, 5 folds"


# --- folds -------------------------------------------------------------------------------------------------------


def test_folds_are_even_the_same_for_the_same_rows_and_drawn_from_the_seed() -> None:
    assert np.bincount(fold_numbers(103, 5, 0)).tolist() == [21, 21, 21, 20, 20]
    assert np.array_equal(fold_numbers(103, 5, 0), fold_numbers(103, 5, 0))
    assert not np.array_equal(fold_numbers(103, 5, 0), fold_numbers(103, 5, 1))
    assert sorted(fold_numbers(3, 5, 0)) == [0, 1, 2], "fewer folds where rows are fewer"


class Remembering:
    """1-NN that notes which rows it was fitted to."""

    def __init__(self) -> None:
        self.seen: list[set[float]] = []

    def fit(self, x: Array, residual: Array, seed: int) -> Any:
        self.seen.append(set(x[:, 0]))
        return KNeighborsRegressor(1).fit(x, residual)


def test_no_fold_model_has_seen_the_rows_that_it_answers_for() -> None:
    x, r = data()
    learner, folds = Remembering(), fold_numbers(N, 5, 0)
    found = cross_fit(learner, x, r, 0, folds)
    assert len(learner.seen) == 5
    for fold, seen in enumerate(learner.seen):
        assert seen == set(x[folds != fold, 0])
    assert not np.isclose(found.values, r).any(), "1-NN would give every row its own residual"
    mean = np.mean([model.predict(x) for model in found.model.models], axis=0)  # type: ignore[attr-defined]
    np.testing.assert_allclose(found.model.predict(x), mean)


def test_one_training_row_cannot_be_cross_fitted() -> None:
    x, r = data(rows=1)
    with pytest.raises(DataError, match=r"1 training rows; .* need 2 or more"):
        cross_fit(EstimatorLearner(lambda seed: KNeighborsRegressor(1)), x, r, 0, fold_numbers(1, 5, 0))


@pytest.mark.parametrize(("rows", "of_networks"), [(1, 5), (4999, 5), (5000, 2), (10**6, 2)])
def test_folds_are_five_unless_asked_and_two_for_networks_of_many_rows(rows: int, of_networks: int) -> None:
    def of(**settings: Any) -> int:
        return folds_for(make_learner(LearnerSettings(**settings), Path()), None, rows)

    assert (of(kind="gb"), of(features="auto"), of(kind="mlp", device="cpu")) == (5, 5, of_networks)
    assert of(kind="mlp", device="cpu", options={"share_extractor": True}) == of_networks
    assert folds_for(make_learner(LearnerSettings(kind="gb"), Path()), 3, rows) == 3


# --- maps for all rounds -----------------------------------------------------------------------------------------


def settings(**values: Any) -> LearnerSettings:
    return LearnerSettings(device="cpu", **values)


@pytest.mark.parametrize(
    ("learner", "how"),
    [
        (settings(features="fourier"), LEAVE_ONE_OUT),
        (settings(features="fourier", fresh_features=True), LEAVE_ONE_OUT),
        (settings(features="fourier", loss="l4", options={"ridge": 0.1}), "out-of-fold values, 5 folds"),
        (
            settings(kind="mlp", folds=2, options={"share_extractor": True, "epochs": 2}),
            "out-of-fold values, 2 folds with an extractor each",
        ),
        (settings(kind="mlp", folds=2, options={"epochs": 2}), "out-of-fold values, 2 folds"),
    ],
)
def test_a_value_does_not_change_with_its_own_residual(learner: LearnerSettings, how: str) -> None:
    x, r = data(outputs=1)
    changed = r.copy()
    changed[3] += 5
    found = []
    for residual in (r, changed):
        made = make_learner(learner, Path(), seed=1, secret=lambda: bytes(32))
        folds = fold_numbers(N, folds_for(made, learner.folds, N), 0)
        found.append(cross_fit(made, x, residual, 0, folds))
    assert found[0].how == how
    np.testing.assert_allclose(found[0].values[3], found[1].values[3], atol=1e-9)
    assert np.abs(found[0].values - found[1].values).max() > 1e-3
    assert np.abs(found[0].model.predict(x)[3] - found[1].model.predict(x)[3]) > 1e-3, (
        "the control: this one has seen it"
    )


def test_an_extractor_of_every_fold_serves_all_rounds() -> None:
    x, r = data(outputs=1)
    learner = make_learner(settings(kind="mlp", options={"share_extractor": True, "epochs": 2}), Path())
    folds = fold_numbers(N, 2, 0)
    first = cross_fit(learner, x, r, 0, folds)
    second = cross_fit(learner, x, 2 * r, 1, folds)
    np.testing.assert_allclose(second.values, 2 * first.values, rtol=1e-9)
    np.testing.assert_allclose(second.model.predict(x[:5]), 2 * first.model.predict(x[:5]), rtol=1e-6)


# --- a party, and the ensemble -----------------------------------------------------------------------------------


def test_a_party_answers_with_unseen_values_for_training_rows_and_the_model_for_the_rest() -> None:
    x, r = data(outputs=1)
    train = np.arange(N) % 4 != 0
    learner = EstimatorLearner(lambda seed: KNeighborsRegressor(1))
    model, values = LocalParty("lab", x, train, learner, 0, folds=3).fit_round(1, r[train])
    np.testing.assert_array_equal(values[~train], model.predict(x[~train]).astype(np.float32))
    assert not np.isclose(values[train], r[train]).any()
    _, fitted = LocalParty("lab", x, train, learner, 0).fit_round(1, r[train])
    np.testing.assert_array_equal(fitted[train], r[train])  # the paper's rule: 1-NN explains all


def ensemble(y: Array, rate: str | float = "search", patience: int = 3, train: Array | None = None) -> Ensemble:
    rows = np.ones(len(y), dtype=np.bool_) if train is None else train
    return Ensemble(
        get_loss("l2", 1), y, rows, "regression", ("a",), "fitted", rate, patience, 20, "l2", cross_fitted=True
    )


def test_a_step_back_is_none_and_ends_learning() -> None:
    y = data(outputs=1)[1].astype(np.float64)
    made = ensemble(y)
    record = made.commit({"a": -made.residual()})
    assert (record.eta, made.kept, made.finished) == (0.0, 0, True)
    np.testing.assert_array_equal(made.F_kept, np.tile(made.F0, (N, 1)))


def test_held_out_rows_choose_nothing() -> None:
    rng = np.random.default_rng(0)
    y = data(outputs=1)[1].astype(np.float64)
    train = np.arange(N) % 2 == 0
    made = ensemble(y, rate=0.5, train=train)
    for _ in range(4):
        values = rng.standard_normal((N, 1)).astype(np.float32) * 5  # makes held-out rows worse
        values[train] = made.residual()
        made.commit({"a": values})
    assert made.initial_losses[1] is not None and made.history[-1].valid_loss > made.initial_losses[1]  # type: ignore[operator]
    assert made.kept == 4, "out of fold every round was better"
    assert made.judged is not None and made.judged.how == "held-out"


def test_patience_acts_on_the_out_of_fold_loss_and_the_best_round_is_kept() -> None:
    y = data(outputs=1)[1].astype(np.float64)
    made = ensemble(y, rate=1.0, patience=2)
    made.commit({"a": made.residual() / 2})
    best = made.F.copy()
    while not made.finished:
        made.commit({"a": -made.residual()})
    assert (made.kept, len(made.history)) == (1, 3)
    np.testing.assert_array_equal(made.F_kept, best)
    assert made.judged is not None and made.judged.how == "out-of-fold" and made.judged.mask.all()
    assert made.kept_metric() == made.history[0].train_metric


# --- collapse ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("learner", [KNeighborsRegressor(1), RandomForestRegressor(40, random_state=0)])
def test_a_learner_that_explains_its_rows_no_longer_ends_learning(learner: Any) -> None:
    """Seen with the paper's rule: nothing is kept, and predictions are the prior."""
    rng = np.random.default_rng(3)
    x = rng.standard_normal((1120, 8))
    y = (x[:, 0] + x[:, 4] + rng.standard_normal(1120) > 0).astype(int)
    blocks, new = [x[:120, :4], x[:120, 4:]], [x[120:, :4], x[120:, 4:]]

    def accuracy(**rule: Any) -> float:
        gal = GAL(rounds=4, learners=["linear", learner], **rule).fit(blocks, y[:120])
        return float((gal.predict(new) == y[120:]).mean())

    assert accuracy() > 0.68
    assert accuracy(weights="paper", validation=0.2) < 0.62


def test_a_wrong_shape_names_the_party() -> None:
    class Flat:
        def fit(self, x: Array, residual: Array, seed: int) -> Any:
            return self

        def predict(self, x: Array) -> Array:
            return np.ones(len(x))

    x, r = data(outputs=1)
    with pytest.raises(SettingsError, match=r"learners \(party-1\): predict returned shape"):
        GAL("regression", learners=["linear", Flat()]).fit([x, x], r[:, 0])
