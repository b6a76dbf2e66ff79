"""The curious sponsor over many rounds: where its attack on real sums begins to succeed, and what fresh features
change.

Sums here were encrypted, added, flooded and decrypted by the code of studies; `benchmarks.sum_exposure` measures the
same on more of them. What one round's whole transcript gives to sponsor and aggregator: test_sum_study.py.
"""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.sum_exposure import FEATURES, FEW_ROWS, SUCCESS
from benchmarks.sum_transcripts import COLUMNS, FLOOR, FOURIER, FRESH, Ring, Transcript, record
from crypto.ckks.fits import Layout
from secure_gal.attacks.sums import exposure, sum_attacks
from secure_gal.protection.sums.exposure import equations, reason
from secure_gal.protection.sums.exposure import exposure as ratio_of
from secure_gal.settings.limits import LIMIT
from secure_gal.settings.party import LearnerSettings
from tests.support.real_sums_in_memory import CLEAR, N, Rows, payloads, run
from tests.support.study_in_memory import NAMES

SEEDS = range(3)


@pytest.fixture(scope="module")
def ring() -> Ring:
    return Ring()


def best(transcripts: list[Transcript], rounds: int) -> float:
    """The best column's gain, mean over studies."""
    return float(np.mean([max(t.attack(rounds, seed)) for seed, t in enumerate(transcripts)]))


def consent_needed(widths: tuple[int, ...], rounds: int) -> bool:
    names = {f"p{m}": p for m, p in enumerate(widths)}
    return any(reason(equations(rounds, 1), names, name) for name in names)


@pytest.mark.parametrize("dominant", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_the_attack_begins_to_succeed_above_the_limit(ring: Ring, dominant: bool) -> None:
    """Five columns each: one sum (a ratio of 0.1) is within the limits, two (0.2) are not, ten give everything."""
    studies = [record(ring, (5, 5), dominant, COLUMNS, 10, seed) for seed in SEEDS]
    assert not consent_needed((5, 5), 1) and best(studies, 1) < SUCCESS
    assert consent_needed((5, 5), 2) and best(studies, 3) > SUCCESS
    assert best(studies[:1], 10) > 0.9


@pytest.mark.parametrize("widths", [(1, 1), (1, 1, 1), (2, 2), (3, 17)])
def test_the_first_sum_is_a_copy_of_one_of_few_columns(ring: Ring, widths: tuple[int, ...]) -> None:
    """So no number of rounds and no company of wide assistors makes consent needless."""
    assert best([record(ring, widths, True, COLUMNS, 1, seed) for seed in SEEDS], 1) > SUCCESS
    assert consent_needed(widths, 1)
    assert "first sum is a noisy copy" in reason(1, {"small": widths[0], "large": 1000}, "small")
    assert reason(1, {"small": widths[0], "large": 1000}, "large") == ""


def test_a_dominant_assistor_is_not_hidden_by_the_others_width(ring: Ring) -> None:
    """Three columns beside seventeen: two sums are 0.1 of all features, and copies of the three."""
    studies = [record(ring, (3, 17), True, COLUMNS, 2, seed) for seed in range(4)]
    assert best(studies, 2) > SUCCESS
    widths = {"three": 3, "seventeen": 17}
    assert ratio_of(2, widths) <= LIMIT and reason(2, widths, "three") and not reason(2, widths, "seventeen")


@pytest.mark.parametrize("seeds", [range(1), pytest.param(range(1, 5), marks=pytest.mark.slow)], ids=["one", "four"])
def test_single_fits_are_solved_for_with_one_map_and_not_with_fresh_ones(
    ring: Ring, seeds: range, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Twenty sums are 1.4 for each feature of both maps. Fresh maps leave no more than the sum itself shows."""
    if len(seeds) == 1:
        monkeypatch.setattr("secure_gal.attacks.sums.STARTS", 1)  # for speed; the linear solution is the first start
    fixed, fresh = (
        [record(ring, (3, 3), False, learner, 20, seed, FEW_ROWS) for seed in seeds] for learner in (FOURIER, FRESH)
    )
    solved, _ = np.mean([t.single_fits(20, FEATURES, 0) for t in fixed], axis=0)
    left, alone = np.mean([t.single_fits(20, FEATURES, 0) for t in fresh], axis=0)
    assert solved > 0.9
    assert left < alone + 0.1 < 0.7


@pytest.mark.slow
@pytest.mark.parametrize("learner", [FOURIER, FRESH])
def test_many_features_of_few_columns_hide_the_columns_no_better(ring: Ring, learner: LearnerSettings) -> None:
    """31 features of one column each: what counts is the columns."""
    studies = [record(ring, (1, 1), False, learner, 3, seed) for seed in SEEDS]
    assert best(studies, 3) > SUCCESS


def test_the_sponsor_of_a_networked_study_reconstructs_columns_from_its_own_transcript() -> None:
    """Eight sums that it decrypted, for eight columns: every column, at the ratio of 1."""
    network, cipher = run(CLEAR, rounds=8)
    sponsor = network.sponsor.node.role
    train, history = network.sponsor.store.values["train"].astype(bool), sponsor.ensemble.history
    assert len(history) == 8
    n, sums, residuals = int(train.sum()), [], []
    for t in range(1, 9):
        (answer,) = payloads(network, "hospital", "weighted-sum", t)
        (sent,) = payloads(network, "insurer", "residual", t)
        scale = np.abs(sent["values"]).max()
        sums.append(cipher.decrypt_sum(answer["ciphertexts"], Layout(n, N - n, 1), "lab")[:n] * scale)
        residuals.append(sent["values"])
    blocks = [Rows(name).x[train] for name in NAMES]
    found = sum_attacks(
        blocks[1:],
        np.stack(sums),
        np.stack(residuals),
        np.array([[r.weights[p] for p in NAMES[1:]] for r in history]),
        [4, 4],
        blocks[0],
        [[f"{m}.{j}" for j in range(4)] for m in range(2)],
        seed=0,
        repeats=1,
        floor=FLOOR,
    )
    known = [f.gain.value for f in found if f.attack == "regression on sums, known rows"]
    assert len(known) == 8 and max(known) > 0.9
    print("gains by regression:", np.round(known, 2))


def test_one_figure_for_the_attack_and_the_limit() -> None:
    assert exposure(3, 2, [5, 7]) == ratio_of(equations(3, 2), {"a": 5, "b": 7}) == 0.5
    assert reason(10, {"a": 75, "b": 25}, "a") == ""
    assert "0.11 (limit 0.1)" in reason(11, {"a": 75, "b": 25}, "a")
    assert "0.40 for its own features" in reason(4, {"a": 10, "b": 90}, "a")
