"""What pooled data reach without GAL: central models, gradient boosting round by round, and the joint optimum."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.optimize import minimize
from sklearn.ensemble import GradientBoostingRegressor, HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression

from benchmarks.paper.case import Case
from benchmarks.paper.data.split import Split
from benchmarks.paper.learners import TREE
from benchmarks.paper.outcome import Outcome, accuracy, area, deviation, score
from secure_gal.data.log_codec import fit_codec
from secure_gal.gal.losses import get_loss


def central(case: Case, split: Split, seed: int) -> Outcome:
    """A classifier of scikit-learn's on everything: `gb` or `logistic`."""
    model = HistGradientBoostingClassifier(random_state=seed) if case.learner == "gb" else LogisticRegression()
    if isinstance(model, LogisticRegression):
        model.set_params(max_iter=2000)
    model.fit(split.joint, split.y)
    if case.source.metric == "auc":
        return Outcome([area(model.predict_proba(split.test_joint)[:, 1], split.test_y)])
    return Outcome([accuracy(model.predict(split.test_joint), split.test_y)])


def boosting(case: Case, split: Split, seed: int) -> Outcome:
    """Friedman's gradient boosting under l2 by scikit-learn, with the trees that `learner = "tree"` has: each leaf is
    a mean, so the exact eta is 1 in every round."""
    model = GradientBoostingRegressor(n_estimators=case.rounds, learning_rate=1.0, random_state=0, **TREE).fit(
        split.joint, split.y
    )
    first = np.full(len(split.test_y), split.y.mean())
    stages = [first, *model.staged_predict(split.test_joint)]
    return Outcome([deviation(stage, split.test_y) for stage in stages], eta=[1.0] * case.rounds, kept=case.rounds)


def optimum(case: Case, split: Split, seed: int) -> Outcome:
    """The least L_1 over linear functions of all columns: the infimum of theorem 1 for linear parties."""
    everyone = np.ones(len(split.y), dtype=np.bool_)
    codec = fit_codec(case.source.task, case.loss_name, list(split.y), everyone)
    y, loss = codec.encode(list(split.y)), get_loss(case.loss_name, codec.outputs)
    design, new = (np.column_stack([x, np.ones(len(x))]) for x in (split.joint, split.test_joint))

    def value(theta: np.ndarray) -> tuple[float, np.ndarray]:
        f = design @ theta.reshape(-1, codec.outputs)
        return loss.value(y, f), -(design.T @ loss.residual(y, f)).ravel() / len(y)

    start: Any = np.zeros(design.shape[1] * codec.outputs)
    found = minimize(value, start, jac=True, method="L-BFGS-B", options={"maxiter": 10_000, "ftol": 1e-14})
    f = new @ found.x.reshape(-1, codec.outputs)
    return Outcome([score(case.source.metric, codec, f, split.test_y)], [float(found.fun)])
