"""What a study says of itself: better than alone or not, and whatever would pass in silence."""

from __future__ import annotations

import typing
from typing import Any

import numpy as np
import pytest

from secure_gal.gal.ensemble import Ensemble
from secure_gal.gal.losses import get_loss
from secure_gal.gal.verdict import Finding, FindingKind, findings, verdict

Array = np.ndarray[Any, np.dtype[Any]]
N = 40


def made(y: Array, parties: tuple[str, ...] = ("hospital", "lab"), train: Array | None = None) -> Ensemble:
    rows = np.ones(len(y), dtype=np.bool_) if train is None else train
    return Ensemble(
        get_loss("cross_entropy", 1), y, rows, "classification", parties, "fitted", "search", 3, 5, "l2", True
    )


def kinds(ensemble: Ensemble, classes: tuple[str, ...] = ("well", "ill")) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for finding in findings(ensemble, "auc", classes):
        found.setdefault(finding.kind, []).append(finding.about)
    return found


LABELS = np.arange(N) % 2


# --- the verdict -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("shift", "word"), [(0.5, "better"), (0.0, "no better"), (-0.5, "worse")])
def test_the_interval_decides_the_word(shift: float, word: str) -> None:
    rng = np.random.default_rng(0)
    gal = rng.random(N)
    found = verdict(gal, gal + shift + 0.1 * rng.standard_normal(N))
    assert found is not None and found.word == word and found.low <= found.gain <= found.high


def test_the_interval_is_paired_over_rows_and_covers_as_often_as_it_says() -> None:
    """500 studies of 200 rows: 95% of the intervals hold the true gain; 2.6% or fewer false alarms of this test."""
    rng, truth, held = np.random.default_rng(1), 0.02, 0
    for _ in range(500):
        hard = 5 * rng.random(200)  # what both have in common: unpaired, it would drown the gain
        found = verdict(hard, hard + truth + 0.1 * rng.standard_normal(200))
        assert found is not None and found.high - found.low < 0.05
        held += found.low <= truth <= found.high
    assert 463 <= held <= 487


def test_no_difference_at_all_is_no_better() -> None:
    found = verdict(np.ones(N), np.ones(N))
    assert found is not None and (found.word, found.low, found.high) == ("no better", 0.0, 0.0)


def test_fewer_than_two_rows_are_not_judged() -> None:
    assert verdict(np.ones(1), np.ones(1)) is None and verdict(None, None) is None


# --- findings ----------------------------------------------------------------------------------------------------


def test_an_ordinary_study_has_nothing_to_note() -> None:
    ensemble = made(LABELS)
    noise = np.random.default_rng(0).standard_normal((2, N, 1)).astype(np.float32)
    for _ in range(2):
        r = ensemble.residual()
        ensemble.commit({"hospital": 0.2 * r + 0.3 * noise[0], "lab": 0.2 * r + 0.3 * noise[1]})
    assert ensemble.kept and kinds(ensemble) == {}


def test_nothing_learnt_is_said() -> None:
    ensemble = made(LABELS)
    ensemble.commit({"hospital": -ensemble.residual(), "lab": -ensemble.residual()})
    assert kinds(ensemble) == {"nothing-learnt": [""]}


def test_a_party_of_weight_0_throughout_is_named() -> None:
    ensemble = made(LABELS)
    values = np.where(np.arange(N) % 5 == 0, -1.0, 0.5)[:, None].astype(np.float32)
    ensemble.commit({"hospital": ensemble.residual() * values, "lab": -ensemble.residual()})
    assert kinds(ensemble) == {"no-weight": ["lab"]}


def test_a_round_without_a_finite_best_rate_is_named() -> None:
    ensemble = made(LABELS, ("hospital",))
    ensemble.commit({"hospital": ensemble.residual()})
    assert kinds(ensemble) == {"no-finite-rate": ["1"]}


def test_a_metric_that_is_not_defined_and_classes_of_one_part_only_are_named() -> None:
    train = np.arange(N) % 4 != 0
    only_trained = np.where(train, LABELS, 0)
    ensemble = made(only_trained, ("hospital",), train)
    ensemble.commit({"hospital": np.ones((N, 1), dtype=np.float32)})
    found = kinds(ensemble)
    assert found["metric-undefined"] == ["auc"] and found["class-not-held-out"] == ["ill"]
    assert kinds(made(np.where(train, 0, LABELS | (np.arange(N) % 8 == 0)), ("hospital",), train))[
        "class-not-trained"
    ] == ["ill"]


def test_a_study_without_rows_to_judge_by_says_so() -> None:
    ensemble = made(LABELS)
    ensemble.cross_fitted = False
    assert "not-judged" in kinds(ensemble)


@pytest.mark.parametrize("kind", typing.get_args(FindingKind))
def test_every_finding_has_words_with_what_it_is_about(kind: FindingKind) -> None:
    text = Finding(kind, "THIS").text
    assert len(text) > 40 and (kind in ("not-judged", "nothing-learnt") or "THIS" in text)
