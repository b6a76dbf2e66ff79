"""Fits that get no weight: what is found, what is not, and that honest parties are left alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from secure_gal import GAL
from secure_gal.estimator.listener import DataNote
from secure_gal.gal.doubt import (
    FEW_ROWS,
    FEWEST,
    LARGEST,
    LEAST_KEPT_BACK,
    MOST_KEPT_BACK,
    Rows,
    credible,
    doubts,
    told_rows,
)
from secure_gal.gal.ensemble import Ensemble
from secure_gal.gal.losses import get_loss
from secure_gal.gal.verdict import findings
from secure_gal.holdings.sponsor import SponsorData
from secure_gal.settings.load import load_party
from tests.support.party_files import ROWS, party

Array = np.ndarray[Any, np.dtype[Any]]
N = 400
RNG = np.random.default_rng(0)
R = RNG.standard_normal((N, 1)).astype(np.float32)
NOISE = RNG.standard_normal((N, 1)).astype(np.float32)
TRAIN = np.arange(N) < 300
HONEST = 0.3 * R + 0.3 * NOISE


def why(fit: Array, train: Array = TRAIN, out_of_fold: bool = True) -> str | None:
    return doubts(Rows(R[train], R[~train]), {"lab": fit.astype(np.float32)}, train, out_of_fold).get("lab")


def only_told(told: Array, untold: Array) -> Array:
    return np.where(TRAIN[:, None], told, untold)


@pytest.mark.parametrize(
    ("fit", "found"),
    [
        (HONEST, None),
        (-HONEST, None),  # no weight by itself
        (NOISE, None),
        (0 * NOISE, None),
        (1e6 * NOISE, "too-large"),
        (only_told(R, NOISE), "copied"),
        (R, "copied"),
        (0.01 * R, "copied"),
        (only_told(R + 0.2 * NOISE, NOISE), "only-where-told"),
        (only_told(R + 0.2 * NOISE, -R), "only-where-told"),
        (only_told(R + 0.2 * NOISE, 0.6 * R), None),  # what it says of rows that it was not told is worth as much
    ],
)
def test_which_fits_are_set_aside(fit: Array, found: str | None) -> None:
    assert why(fit) == found


def test_fitted_values_may_be_the_residual_and_explain_what_they_have_seen() -> None:
    """By the paper's rule an overfitted learner is honest."""
    for fit in (R, only_told(R + 0.2 * NOISE, NOISE)):
        assert why(fit, out_of_fold=False) is None
    assert why(2 * LARGEST * NOISE, out_of_fold=False) == "too-large"


def test_a_handful_of_rows_says_nothing() -> None:
    few = np.arange(N) < FEWEST - 1
    assert why(R, few) is None
    assert why(only_told(R + 0.2 * NOISE, NOISE), np.arange(N) < N - FEWEST + 1) is None, "of held-out rows"


def ensemble(weights: str, doubted: tuple[str, ...]) -> Ensemble:
    y = np.asarray(RNG.integers(0, 2, N))
    names = ("hospital", "lab", "insurer")
    loss = get_loss("cross_entropy", 1)
    return Ensemble(loss, y, TRAIN, "classification", names, weights, "search", 3, 3, "l2", True, doubted=doubted)  # type: ignore[arg-type]


@pytest.mark.parametrize("weights", ["fitted", "uniform"])
def test_a_fit_that_is_set_aside_has_no_weight_and_is_named(weights: str) -> None:
    made = ensemble(weights, ("lab", "insurer"))
    r = made.loss.residual(made.labels(np.ones(N, bool)), made.F)
    honest = (0.3 * r + 0.3 * NOISE).astype(np.float32)
    record = made.commit({"hospital": honest, "lab": only_told(r, NOISE).astype(np.float32), "insurer": honest})
    assert record.set_aside == {"lab": "copied"} and record.weights["lab"] == 0 < record.weights["hospital"]
    found = {f.about: f for f in findings(made, "auc", ("well", "ill"))}
    assert found["lab"].kind == "copied" and "lab answered with the residual" in found["lab"].text
    other = ensemble(weights, ("lab", "insurer"))
    other.restore(made.state())
    assert other.history == made.history


def test_the_sponsor_does_not_doubt_itself_and_nothing_is_learnt_from_doubted_parties_alone() -> None:
    made = ensemble("fitted", ())
    copied = dict.fromkeys(made.parties, made.loss.residual(made.labels(TRAIN | True), made.F).astype(np.float32))
    assert made.commit(copied).set_aside == {}
    made = ensemble("fitted", made.parties)
    copied = dict.fromkeys(made.parties, made.loss.residual(made.labels(TRAIN | True), made.F).astype(np.float32))
    record = made.commit(copied)
    assert set(record.set_aside) == set(made.parties) and record.eta == 0 and made.finished and made.kept == 0


def test_a_party_that_copied_once_has_no_weight_again() -> None:
    """What it says later shows less, for F has taken in what it said before it was found out."""
    made = ensemble("fitted", ("lab", "insurer"))
    r = made.loss.residual(made.labels(np.ones(N, bool)), made.F)
    honest = (0.3 * r + 0.3 * NOISE).astype(np.float32)
    made.commit({"hospital": honest, "lab": only_told(r, NOISE).astype(np.float32), "insurer": honest})
    later = made.commit({"hospital": NOISE, "lab": honest, "insurer": 1e6 * NOISE})
    assert later.set_aside == {"lab": "copied", "insurer": "too-large"}
    last = made.commit({"hospital": NOISE, "lab": honest, "insurer": honest})
    assert last.set_aside == {"lab": "copied"}, "one fit that has diverged is forgiven"


def test_rows_that_are_kept_back_are_a_twentieth_and_never_more_than_few_studies_can_spare() -> None:
    for rows, kept in ((FEW_ROWS - 1, 0), (FEW_ROWS, LEAST_KEPT_BACK), (4000, 200), (50_000, MOST_KEPT_BACK)):
        train = np.arange(rows + 9) % (rows + 9) >= 9  # nine validate
        told = told_rows(train, 3)
        assert (train & ~told).sum() == kept and not (told & ~train).any()
        assert np.array_equal(told, told_rows(train, 3))
        assert not kept or not np.array_equal(told, told_rows(train, 4))


def test_a_noised_copy_of_what_was_told_is_found_by_rows_that_were_kept_back() -> None:
    """Every row trains, and the party answers for kept rows what it got, 0, and noise."""
    everyone = np.ones(N, dtype=bool)
    y, told, loss = np.asarray(RNG.integers(0, 2, N)), told_rows(everyone, 0), get_loss("cross_entropy", 1)
    names, found = ("hospital", "lab"), {}
    for kept in (None, told):
        made = Ensemble(
            loss,
            y,
            everyone,
            "classification",
            names,
            "fitted",
            "search",
            3,
            3,
            "l2",
            True,
            doubted=("lab",),
            told=kept,
        )
        shown = made.told()
        assert np.array_equal(shown[told], made.residual()[told])
        assert np.array_equal(shown[~told] == 0, np.full(shown[~told].shape, kept is not None))
        found[kept is None] = made.commit({"hospital": 0.1 * NOISE, "lab": shown + 0.1 * NOISE})
    assert found[True].set_aside == {} and found[True].weights["lab"] > 0.8, "without them"
    assert found[False].set_aside == {"lab": "only-where-told"} and found[False].weights["lab"] == 0


@pytest.mark.parametrize("learner", ["linear", "gb"])
@pytest.mark.parametrize("seed", range(3))
def test_no_honest_party_is_set_aside(learner: str, seed: int) -> None:
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((500, 8))
    y = (x[:, 0] + x[:, 5] + 0.5 * rng.standard_normal(500) > 0).astype(int)
    made = GAL(rounds=4, learners=learner, validation=0.2, seed=seed).fit([x[:, :4], x[:, 4:]], y)
    assert made.n_rounds_ and all(r.set_aside == {} for r in made.history_)


def test_a_sponsors_study_doubts_its_assistors_and_not_itself(tmp_path: Path) -> None:
    file = party(tmp_path)
    settings, study = load_party(file)
    model = SponsorData(settings, study, tmp_path, lambda _: None)
    model.prepare(np.arange(ROWS), np.ones(ROWS, dtype=np.bool_))
    for copies, found in (("lab", {"lab": "copied"}), ("hospital", {})):
        made = model.ensemble(("hospital", "lab"))
        honest = np.random.default_rng(0).standard_normal((ROWS, 1)).astype(np.float32)
        fits = {"hospital": honest, "lab": honest} | {copies: made.residual()}
        assert made.commit(fits).set_aside == found


class Diverging:
    """A learner whose values are far beyond its residual."""

    def fit(self, x: Array, residual: Array, seed: int) -> Diverging:
        return self

    def predict(self, x: Array) -> Array:
        return 1e4 * x[:, :1]


def test_the_researchers_api_doubts_every_party_but_the_first() -> None:
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((200, 4)), rng.standard_normal(200)
    for learners, found in ((["linear", Diverging()], {"party-1": "too-large"}), ([Diverging(), "linear"], {})):
        made = GAL("regression", rounds=1, learners=learners).fit([x[:, :2], x[:, 2:]], y)
        assert made.history_[0].set_aside == found


def test_parts_that_go_too_far_are_pulled_back_row_by_row_and_absurd_ones_say_nothing() -> None:
    learnt = np.column_stack([np.linspace(-1, 3, 101), np.full(101, 5.0)]).astype(np.float32)
    furthest = 6 * np.linspace(-1, 3, 101).std()  # beyond all of them
    within = np.tile([[2.0, 5.0]], (100, 1))
    assert np.array_equal(credible(learnt, within), within)
    some = within.copy()
    some[:60], some[60:80] = [1 + 3 * furthest - 0.01, 5.0], [1 - 3 * furthest - 0.01, 5.0]
    counted = credible(learnt, some)
    assert np.allclose(counted[:60], [1 + furthest, 5.0])
    assert np.allclose(counted[60:80], [1.0, 5.0]), "the mean of what was learnt from"
    assert np.array_equal(counted[80:], within[80:])
    alone = np.vstack([credible(learnt, row[None]) for row in some])
    assert np.array_equal(alone, counted), "a row counts the same whoever else is in its batch"


def test_the_estimator_says_what_it_pulled_back_and_its_last_stage_is_its_prediction() -> None:
    rng = np.random.default_rng(0)
    x = rng.standard_normal((300, 4))
    made = GAL("regression", rounds=3).fit([x[:, :2], x[:, 2:]], x @ [1, 2, 3, 4] + rng.standard_normal(300))
    new = rng.standard_normal((6, 4))
    new[0], new[1] = 40 * new[0], 12 * new[1]
    with pytest.warns(DataNote, match="2 of 6 rows have an assistor's part far outside"):
        predicted = made.predict([new[:, :2], new[:, 2:]])
    last = list(made.staged_predict([new[:, :2], new[:, 2:]]))[-1]
    np.testing.assert_array_equal(last, predicted)


def test_a_ciphertext_study_keeps_rows_back_from_its_assistors(tmp_path: Path) -> None:
    """By the estimator, whose roles are the product's: what left is 0 there, and the sponsor fits all rows itself."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((FEW_ROWS, 4))
    y = (x[:, 0] + x[:, 2] + rng.standard_normal(FEW_ROWS) > 0).astype(int)
    told = told_rows(np.ones(FEW_ROWS, dtype=bool), 0)
    for residuals, kept in (("none", 0), ("ckks", LEAST_KEPT_BACK)):
        made = GAL(rounds=2, residuals=residuals).fit([x[:, :2], x[:, 2:]], y)
        sent = made.fitted_.sponsor.state["residual/0001"]
        assert (sent == 0).sum() == kept and (not kept or not sent[~told].any())
        assert made.n_rounds_ and all(r.set_aside == {} for r in made.history_)
