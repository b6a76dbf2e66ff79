"""Rows come as a float64 table, as float32 that was read, or as `ArrayRows`: what is learnt from them is the same."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from secure_gal.data.arrays import ArrayRows
from secure_gal.features import fit_features
from secure_gal.learners import make_learner
from secure_gal.learners.base import as_table
from secure_gal.learners.cross_fit import cross_fit
from secure_gal.settings.party import LearnerSettings

HERE = Path(".")
RNG = np.random.default_rng(0)
X = RNG.normal(size=(120, 3)).astype(np.float32).astype(np.float64)
R = X[:, :1].astype(np.float32) ** 2
FOLDS = np.arange(120) % 3
FORMS = {"float32": X.astype(np.float32), "ArrayRows": ArrayRows(X)}


def test_a_table_is_not_copied() -> None:
    assert as_table(X) is X
    for form in FORMS.values():
        table = as_table(form)
        assert table.dtype == np.float64 and np.array_equal(table, X)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(
    "settings",
    [
        LearnerSettings(),
        LearnerSettings(features="auto"),
        LearnerSettings(loss="l1.5"),
        LearnerSettings(features="fourier", fresh_features=True),
        LearnerSettings(kind="gb", options={"max_iter": 3}),
    ],
    ids=str,
)
def test_learners_of_tables_take_every_form(settings: LearnerSettings, form: str) -> None:
    expected, found = (cross_fit(make_learner(settings, HERE), x, R, 1, FOLDS) for x in (X, FORMS[form]))
    np.testing.assert_array_equal(found.values, expected.values)
    np.testing.assert_array_equal(found.model.predict(FORMS[form]), expected.model.predict(X))


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", ["standardized", "polynomial", "binned", "trees", "fourier", "auto"])
def test_feature_maps_of_tables_take_every_form(name: str, form: str) -> None:
    expected, found = (fit_features((name,), x, HERE, 0) for x in (X, FORMS[form]))
    np.testing.assert_array_equal(found.transform(FORMS[form]), expected.transform(X))
