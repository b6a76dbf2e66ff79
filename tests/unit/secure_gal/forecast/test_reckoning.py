"""From a pace to a study: what a sponsor does while it waits is not waited for twice, and widths are those of fits."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from secure_gal.forecast import reckoning
from secure_gal.forecast.ciphertexts import Ciphers
from secure_gal.forecast.reckoning import of_sponsor
from secure_gal.forecast.timings import Pace, Sample, Timings
from secure_gal.forecast.widths import padded_width, widest
from secure_gal.gal.split import split_rows
from secure_gal.learners import ridge_features
from secure_gal.settings.address import one_machine
from secure_gal.settings.party import LearnerSettings
from secure_gal.settings.study import Protect
from tests.support.study_in_memory import study

CLEAR = study(rounds=10)
CKKS = study(protect=Protect(ids="clear", residuals="ckks"), rounds=10)
CIPHERS = Ciphers("standard", 64, keys=0.5, load=0.25, encrypt=0.0, decrypt=0.0, first=3.0, later=1.0)


def elapsed(settings: Any, pace: Pace, ciphers: Ciphers | None = None) -> float:
    return of_sponsor(settings, pace, ciphers, None, 100)[1]


@pytest.fixture(autouse=True)
def messages_take_no_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reckoning, "MESSAGE_SECONDS", 0.0)
    monkeypatch.setattr(reckoning, "ROUND_SECONDS", 0.0)


def test_fits_of_both_in_the_clear_are_made_at_once() -> None:
    assert elapsed(CLEAR, Pace(0.0, 1.0, first=5.0, later=0.5)) == pytest.approx(1.0 + (1.0 + 5.0) + 9 * 0.5)


@pytest.mark.parametrize(("own", "more"), [(0.5, 0.0), (10.5, 0.0), (12.0, 1.5)])
def test_the_best_own_model_is_waited_for_only_beyond_the_rounds(own: float, more: float) -> None:
    """Of which the first takes 1 + 5 seconds here, and each later one half of one."""
    without, with_ = (Pace(0.0, 1.0, first=5.0, later=0.5, own=seconds) for seconds in (0.0, own))
    assert elapsed(CLEAR, with_) - elapsed(CLEAR, without) == pytest.approx(more)
    assert of_sponsor(CLEAR, with_, None, None, 100)[0]["own model"] == own


@pytest.mark.parametrize(("imports", "more"), [(1.0, 0.0), (4.0, 3.0)])
def test_what_weights_are_searched_for_with_is_imported_while_others_fit(imports: float, more: float) -> None:
    """Who take a second longer for their first fit, as they encode their rows with it."""
    without, with_ = (Pace(seconds, 1.0, first=5.0, later=0.5) for seconds in (0.0, imports))
    assert elapsed(CLEAR, with_) - elapsed(CLEAR, without) == pytest.approx(more)


def test_encrypted_fits_begin_with_the_features_of_others_and_end_with_a_head() -> None:
    pace = Pace(0.0, 1.0, first=1.5, later=0.125)
    begin, keys = 1.0 + (1.0 + 1.5), 0.5 + 0.25
    encoding = 3.0 - 1.0 - 0.5  # while the sponsor makes keys
    rounds = max(1.5, encoding + 1.0) + 9 * max(0.125, 1.0)
    assert elapsed(CKKS, pace, CIPHERS) == pytest.approx(begin + keys + rounds + 0.5)


def test_rounds_that_are_worth_it_are_shared_out_to_the_cores_of_others() -> None:
    """`standard`, 40 blocks of 256 columns: about four seconds a round by the rule that shares them out."""
    wide = msgspec.structs.replace(CIPHERS, padded=256, keys=0.0)
    assert [msgspec.structs.replace(wide, cores=cores).shares(40, 40, 1) for cores in (1, 2, 64)] == [1, 2, 8]
    rows = 40 * wide.params.n
    seconds, alone = of_sponsor(CKKS, Pace(0.0, 0.0, 0.0, 0.0), wide, None, rows)
    shared = of_sponsor(CKKS, Pace(0.0, 0.0, 0.0, 0.0), msgspec.structs.replace(wide, cores=2), None, rows)[1]
    apart = sum(seconds.values()) + wide.load
    assert shared - apart == pytest.approx((alone - apart) / 2)


def test_bytes_take_either_side_its_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reckoning, "BYTE_SECONDS", 0.25)
    pace = Pace(0.0, 1.0, first=5.0, later=0.5)
    (still, before), (moving, after) = (of_sponsor(CLEAR, pace, None, None, 100, moved) for moved in (0, 8))
    assert moving["rounds"] - still["rounds"] == pytest.approx(2.0)
    assert after - before == pytest.approx(2.0 + 2.0 / len(CLEAR.assistors))


@pytest.mark.parametrize(
    ("address", "one"),
    [("tcp://127.0.0.1:5555", True), ("tcp://[::1]:1", True), ("tcp://hospital.example:5555", False)],
)
def test_parties_on_one_machine_share_its_cores(address: str, one: bool) -> None:
    assert one_machine(address) == one
    seconds = {"fits": 18.0, "results": 3.0}  # the path to the results is 7 seconds of the clock, the work 24 of CPU
    for cores, least, most in ((1, 24.0, 24.0), (2, 12.0, 15.5), (8, 7.0, 9.125)):
        found = reckoning.on_one_machine(10.0, seconds, 2.0, 3, cores)
        assert found == pytest.approx((least + most) / 2 + 3.0)


def test_ciphers_of_all_rounds_are_those_of_each() -> None:
    assert CIPHERS.fits(10, 2, 3) == CIPHERS.encoding(2) + 10 * CIPHERS.fit(2, 3) + CIPHERS.head(2, 3)


def test_the_best_own_model_and_its_library_are_no_part_of_the_results() -> None:
    timings = Timings((Sample(100, evaluation=2.0),), 50, 0.0, own=1.0, own_fits=5.0, own_imports=0.75)
    pace = timings.pace(100)
    assert (pace.own, pace.results) == (0.75 + 2 * 5.0 + 1.0, 2.0), "it is evaluated beside the rounds as well"


@pytest.mark.parametrize("rows", [150, 600, 3000])
@pytest.mark.parametrize(
    "learner",
    [
        LearnerSettings(),
        LearnerSettings(options={"ridge": "auto"}),
        LearnerSettings(features="auto"),
        LearnerSettings(features=("fourier",)),
    ],
    ids=["columns", "columns, auto ridge", "auto", "fourier"],
)
def test_the_width_that_is_told_is_the_one_of_the_fit(learner: LearnerSettings, rows: int) -> None:
    train = int(split_rows(rows, CKKS.validation, CKKS.seed).sum())
    x = np.random.default_rng(0).normal(size=(train, 9))
    found = ridge_features(learner, x, Path(), 0).width
    assert padded_width(CKKS, widest(CKKS, learner, 9, rows)) == padded_width(CKKS, found)


def test_a_learner_in_the_clear_says_nothing_of_others_widths() -> None:
    assert widest(CKKS, LearnerSettings("gb"), 9, 100_000) == 10
    assert padded_width(CLEAR, 100) == 0
