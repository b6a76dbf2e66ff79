"""Every mode of the product runs behind the estimator, through the same ports, and shows what its manifest says."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from secure_gal import GAL
from secure_gal.errors import ConsentError, SettingsError
from secure_gal.manifest import who_learns_what
from secure_gal.messages import MESSAGES

RNG = np.random.default_rng(0)
X = RNG.normal(size=(80, 6))
Y = np.where(X.sum(axis=1) > 0, "ill", "well")
BLOCKS = [X[:, :2], X[:, 2:4], X[:, 4:]]
MODES: dict[str, dict[str, Any]] = {
    "clear": {},
    "psi": {"ids": "psi"},
    "rounded": {"residuals": "rounded"},
    "dp": {"residuals": "dp", "epsilon": 6.0, "classes": ["ill", "well"]},
    "noise": {"predictions": "noise", "noise": 0.05},
    "ckks": {"residuals": "ckks"},
    "sum": {"predictions": "sum", "beyond": {"sums": 9.0, "own-sums": 9.0}},
}


@pytest.fixture(scope="module", params=MODES)
def mode(request: pytest.FixtureRequest) -> tuple[str, GAL]:
    gal = GAL(rounds=2, parties=["hospital", "lab", "insurer"], **MODES[request.param])
    return request.param, gal.fit(BLOCKS, Y)


def test_it_learns(mode: tuple[str, GAL]) -> None:
    assert mode[1].score(BLOCKS, Y) > 0.85


def test_the_transcript_is_what_the_manifest_says(mode: tuple[str, GAL]) -> None:
    _, gal = mode
    said = {line.message for line in who_learns_what(gal.fitted_.study)}
    about_people = {row["message"] for row in gal.transcript_ if row["protection"] != "public"}
    assert about_people <= said | {"evaluation-keys", "sum-keys"}
    for row in gal.transcript_:
        assert row["message"] in MESSAGES and {row["sender"], row["receiver"]} <= {"hospital", "lab", "insurer"}
        assert "hospital" in (row["sender"], row["receiver"]), "assistors talk to the sponsor alone"
    assert sum(gal.cost_["bytes"].values()) == sum(row["bytes"] for row in gal.transcript_)


def test_it_is_saved_and_predicts_the_same(mode: tuple[str, GAL], tmp_path: Path) -> None:
    name, gal = mode
    gal.save(tmp_path / "study.gal")
    again = GAL.load(tmp_path / "study.gal")
    assert again.get_params()["rounds"] == 2 and again.history_ == gal.history_
    assert again.evaluation_ == gal.evaluation_ and again.manifest_ == gal.manifest_
    assert again.transcript_ == gal.transcript_ and again.cost_ == gal.cost_ and gal.cost_["bytes"]
    if name == "noise":  # fresh noise in every answer
        assert np.mean(again.predict(BLOCKS) == gal.predict(BLOCKS)) > 0.8
    else:
        decrypted = name in ("ckks", "sum")  # with fresh noise within the parameter set's error
        np.testing.assert_allclose(
            again.predict_proba(BLOCKS), gal.predict_proba(BLOCKS), atol=0.05 if decrypted else 0
        )
    assert (tmp_path / "study.gal").stat().st_mode & 0o777 == 0o600


def test_messages_are_kept_where_they_are_asked_for() -> None:
    gal = GAL(rounds=1, keep_messages=True).fit(BLOCKS[:2], Y)
    residual = next(row["content"] for row in gal.transcript_ if row["message"] == "residual")
    assert residual.values.shape == (80, 1) and residual.values.dtype == np.float32
    assert "content" not in GAL(rounds=1).fit(BLOCKS[:2], Y).transcript_[0]


def test_a_partys_limit_ends_the_study_and_is_gone_beyond_by_name() -> None:
    with pytest.raises(ConsentError, match="sums"):
        GAL(rounds=2, predictions="sum").fit(BLOCKS, Y)
    with pytest.raises(SettingsError, match="beyond: 'sums'"):
        GAL(rounds=2, predictions="sum", beyond={"sums": 0.01}).fit(BLOCKS, Y)


def test_results_are_rows_that_make_frames() -> None:
    gal = GAL(rounds=2, parties=["hospital", "lab"]).fit(BLOCKS[:2], Y)
    auc = gal.evaluation_["roc_auc"]
    assert auc["gal"]["low"] <= auc["gal"]["value"] <= auc["gal"]["high"] and auc["difference"]["value"] > 0
    assert [row["party"] for row in gal.contributions_] == ["hospital", "lab"]
    assert {"said", "seen", "rows"} <= set(gal.calibration_[0]) and sum(row["rows"] for row in gal.calibration_) == 80
    assert gal.verdict_.startswith("better: mean loss") and gal.findings_ == []
    alone = GAL(rounds=2).fit(X, Y)
    assert (alone.evaluation_, alone.contributions_, alone.transcript_) == ({}, [], [])
