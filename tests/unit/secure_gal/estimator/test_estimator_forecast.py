"""`GAL.forecast`: what a fit will take, held against what it took."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from secure_gal import GAL

X = np.random.default_rng(0).normal(size=(90, 6))
BLOCKS = [X[:, :2], X[:, 2:4], X[:, 4:]]
Y = np.where(X.sum(axis=1) > 0, "ill", "well")
SUMS: dict[str, Any] = {"predictions": "sum", "beyond": {"sums": 9.0, "own-sums": 9.0}}


def gal(**settings: Any) -> GAL:
    return GAL(rounds=2, patience=9, parties=["hospital", "lab", "insurer"], **settings)


@pytest.mark.parametrize(
    "settings", [{}, {"ids": "psi"}, {"residuals": "ckks"}, SUMS, SUMS | {"residuals": "ckks"}], ids=str
)
def test_bytes_are_those_of_the_fit(settings: dict[str, Any]) -> None:
    estimator = gal(**settings)
    told = estimator.forecast(BLOCKS, Y)
    assert not [name for name in vars(estimator) if name.endswith("_")]
    cost = estimator.fit(BLOCKS, Y).cost_
    assert told["bytes"].keys() == cost["bytes"].keys()
    for pair, nbytes in cost["bytes"].items():
        assert told["bytes"][pair] == pytest.approx(nbytes, rel=0.03, abs=600), pair
    assert {party for party, _ in told["seconds"]} == {"hospital", "lab", "insurer"}
    assert all(seconds >= 0 for seconds in told["seconds"].values()) and told["seconds"]["hospital", "results"] > 0


def test_budgets_say_what_is_taken_of_what_there_is() -> None:
    told = gal(residuals="ckks").forecast(BLOCKS, Y)["budgets"]
    assert told["ids asked about"][0] == 90 and told["reply ciphertexts"][0] == 2 and told["reply ciphertexts"][1] > 2


def test_a_table_leaves_the_estimator_as_it_was_and_a_network_has_seconds() -> None:
    estimator = GAL(
        rounds=2, parties={"hospital": [0, 1], "lab": [2, 3]}, learners={"lab": "mlp", "hospital": "linear"}
    )
    told = estimator.forecast(X, Y)
    assert told["seconds"]["lab", "fits"] > told["seconds"]["hospital", "fits"]
    assert not [name for name in vars(estimator) if name.endswith("_")]


def test_one_party_sends_nothing() -> None:
    assert GAL().forecast([X], Y) == {"bytes": {}, "seconds": {}, "budgets": {}}
