"""The mathematics: M=1 is gradient boosting, training loss never rises, Theorem 1 on a linear problem."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.ensemble import GradientBoostingRegressor
from sklearn.tree import DecisionTreeRegressor

from secure_gal import GAL
from secure_gal.errors import DataError


class Tree:
    """A regression tree of depth 3, as scikit-learn's boosting uses it."""

    def fit(self, x, residual, seed):
        tree = DecisionTreeRegressor(max_depth=3, random_state=0)
        tree.fit(x, residual)
        return Reshaped(tree, residual.shape[1])


class Reshaped:
    def __init__(self, estimator, outputs):
        self.estimator, self.outputs = estimator, outputs

    def predict(self, x):
        return self.estimator.predict(x).reshape(len(x), self.outputs)


class LeastSquares:
    """Ordinary least squares with an intercept."""

    def fit(self, x, residual, seed):
        design = np.column_stack([np.ones(len(x)), x])
        return Affine(np.linalg.lstsq(design, residual.astype(float), rcond=None)[0])


class Affine:
    def __init__(self, coefficients):
        self.coefficients = coefficients

    def predict(self, x):
        return np.column_stack([np.ones(len(x)), x]) @ self.coefficients


def regression(n=300, seed=0):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, 6))
    return x, np.sin(2 * x[:, 0]) + x[:, 1] * x[:, 2] + 0.1 * rng.normal(size=n)


@pytest.mark.parametrize("rate", [1.0, 0.1])
def test_one_party_is_scikit_learns_gradient_boosting(rate):
    x, y = regression()
    ours = GAL("regression", rounds=8, learners=Tree(), learning_rate=rate, weights="paper").fit([x], y)
    theirs = GradientBoostingRegressor(n_estimators=8, learning_rate=rate, max_depth=3, random_state=0).fit(x, y)
    for mine, stage in zip(list(ours.staged_predict([x]))[1:], theirs.staged_predict(x), strict=True):
        np.testing.assert_allclose(mine, stage, atol=1e-5)  # residuals are float32


def test_one_linear_party_reaches_least_squares_in_one_round():
    x, y = regression()
    ours = GAL("regression", rounds=3, learners=LeastSquares(), learning_rate=1.0, weights="paper").fit([x], y)
    design = np.column_stack([np.ones(len(x)), x])
    expected = design @ np.linalg.lstsq(design, y, rcond=None)[0]
    np.testing.assert_allclose(ours.predict([x]), expected, atol=1e-5)


@pytest.mark.parametrize("loss", ["l2", "l1", "huber", "cross_entropy", "three classes"])
@pytest.mark.parametrize("learner", [Tree(), LeastSquares()])
def test_the_training_loss_never_rises(loss, learner):
    x, y = regression()
    task, name = ("regression", loss) if loss in ("l2", "l1", "huber") else ("classification", "cross_entropy")
    if task == "classification":
        y = np.digitize(y, [0.0] if loss == "cross_entropy" else [-0.5, 0.5])
    model = GAL(task, name, rounds=15, learners=learner, weights="paper").fit([x[:, :2], x[:, 2:4], x[:, 4:]], y)
    losses = np.array([r.train_loss for r in model.history_])
    assert len(losses) > 1
    assert (np.diff(losses) <= 1e-12).all()


def test_theorem_1_the_joint_least_squares_optimum_is_approached():
    rng = np.random.default_rng(1)
    x = rng.normal(size=(400, 9)) @ (np.eye(9) + 0.2 * rng.normal(size=(9, 9)))
    y = x @ rng.normal(size=9) + 0.3 * rng.normal(size=400)
    parts = [x[:, :3], x[:, 3:6], x[:, 6:]]
    model = GAL("regression", rounds=300, learners=LeastSquares(), weights="paper").fit(parts, y)
    design = np.column_stack([np.ones(400), x])
    optimum = design @ np.linalg.lstsq(design, y, rcond=None)[0]
    floor = np.mean((y - optimum) ** 2)
    reached = np.mean((y - model.predict(parts)) ** 2)
    assert reached >= floor * (1 - 1e-6)  # float32 parts leave the span by about 1e-7
    assert reached - floor < 1e-3 * floor
    alone = GAL("regression", rounds=300, learners=LeastSquares(), weights="paper").fit(parts[:1], y)
    assert np.mean((y - alone.predict(parts[:1])) ** 2) > 2 * floor


def test_prediction_of_the_fitted_rows_is_F():
    x, y = regression()
    model = GAL("regression", rounds=5, learners=Tree(), weights="paper").fit([x[:, :3], x[:, 3:]], y)
    # parts are float32, one a party, as in a prediction over the network
    np.testing.assert_allclose(model.predict([x[:, :3], x[:, 3:]]), y.mean() + y.std() * model.F_[:, 0], atol=1e-5)


def test_a_second_run_gives_the_same_bits_and_another_seed_another_split():
    x, y = regression()
    runs = [
        GAL("regression", rounds=4, learners=Tree(), seed=s, validation=0.2).fit([x[:, :3], x[:, 3:]], y)
        for s in (0, 0, 1)
    ]
    assert runs[0].F_.tobytes() == runs[1].F_.tobytes()
    assert (runs[0].train_mask_ != runs[2].train_mask_).any()
    assert runs[0].train_mask_.sum() == 240


@pytest.mark.parametrize("classes", [2, 3])
def test_text_classes_come_back_with_probabilities(classes):
    x, y = regression()
    names = np.array(["ill", "well", "unknown"])[np.digitize(y, [0.0, 0.7][: classes - 1])]
    model = GAL(rounds=5, learners=Tree()).fit([x[:, :3], x[:, 3:]], names)
    p = model.predict_proba([x[:, :3], x[:, 3:]])
    assert p.shape == (300, classes)
    np.testing.assert_allclose(p.sum(axis=1), 1)
    assert (model.predict([x[:, :3], x[:, 3:]]) == np.unique(names)[p.argmax(axis=1)]).all()
    assert np.mean(model.predict([x[:, :3], x[:, 3:]]) == names) > 0.6


def test_the_linear_learner_by_name():
    x, y = regression()
    model = GAL("regression", rounds=3).fit([x[:, :3], x[:, 3:]], y)
    assert np.mean((y - model.predict([x[:, :3], x[:, 3:]])) ** 2) < np.var(y)


def test_labels_that_cannot_be_learnt_are_refused():
    x, _ = regression()
    for task in ("classification", "regression"):
        with pytest.raises(DataError):
            GAL(task, learners=Tree()).fit([x], np.zeros(300))
