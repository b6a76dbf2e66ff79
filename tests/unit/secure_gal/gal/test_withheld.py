"""How much of a row's own residual its values of later rounds leave out: derivation, losses, worth, and bounds."""

from __future__ import annotations

from typing import Any, get_args

import numpy as np
import pytest
from sklearn.datasets import make_classification

from secure_gal import GAL
from secure_gal.errors import PeerViolation
from secure_gal.gal import ensemble as ensemble_module
from secure_gal.gal.ensemble import Ensemble
from secure_gal.gal.losses import get_loss
from secure_gal.gal.withheld import LEAST, MOST_NEEDED, fixed, least, withheld
from secure_gal.holdings.local import LocalParty, collapse
from secure_gal.learners.linear import LinearLearner
from secure_gal.settings.study import LossName, Protect
from tests.support.study_in_memory import study

Array = np.ndarray[Any, np.dtype[Any]]


@pytest.mark.parametrize(("name", "outputs"), [("cross_entropy", 3), *((name, 1) for name in get_args(LossName))])
def test_curvature_is_the_slope_of_the_residual(name: Any, outputs: int) -> None:
    rng = np.random.default_rng(0)
    f, loss = rng.standard_normal((20, outputs)), get_loss(name, outputs)
    y = rng.integers(0, max(2, outputs), 20) if name == "cross_entropy" else rng.uniform(0.5, 3.0, (20, 1))
    for k in range(outputs):
        step = np.zeros_like(f)
        step[:, k] = 1e-5
        slope = (loss.residual(y, f - step) - loss.residual(y, f + step))[:, k] / 2e-5
        np.testing.assert_allclose(loss.curvature(y, f)[:, k], slope, atol=1e-8)


def of_two_rounds(y: Array, x: Array, rate: float, share: float) -> Array:
    """F of the training rows after two rounds of squared loss, (N, 1)."""
    party = LocalParty("lab", x, np.ones(len(y), dtype=np.bool_), LinearLearner(1e-6), 0, folds=5)
    first = rate * party.fit_round(1, y.astype(np.float32))[1].astype(np.float64)
    return np.asarray(first + rate * party.fit_round(2, (y - first).astype(np.float32), share)[1])


def test_after_two_rounds_a_rows_value_does_not_depend_on_its_own_label_to_first_order() -> None:
    rng = np.random.default_rng(1)
    x, y, rate = rng.standard_normal((60, 6)), rng.standard_normal((60, 1)), 0.4
    shares = {"derived": withheld(np.ones((60, 1)), None, rate), "all of it": 1.0, "a fifth": 0.2}
    assert shares["derived"] == pytest.approx(0.6)
    moved: dict[str, list[float]] = {name: [] for name in shares}
    for row in range(12):
        other = y.copy()
        other[row] += 1.0
        for name, share in shares.items():
            change = of_two_rounds(other, x, rate, share) - of_two_rounds(y, x, rate, share)
            moved[name].append(float(change[row, 0]))
    means = {name: float(np.mean(values)) for name, values in moved.items()}
    assert means["all of it"] < -0.01 and means["a fifth"] > 0.01
    assert abs(means["derived"]) < 0.25 * abs(means["all of it"])


def test_a_share_is_bounded_and_a_party_without_weight_leaves_out_all() -> None:
    flat = np.full((5, 3), 0.2)
    assert withheld(flat, None, 0.0) == 1.0
    assert withheld(flat, None, 100.0) == LEAST
    assert withheld(flat, np.full(5, 0.5), 2.0) == pytest.approx(0.8)
    assert withheld(np.zeros((5, 1)), None, 100.0) == 1.0, "a loss with kinks alone claims nothing"


def test_a_party_with_many_coefficients_a_row_leaves_out_half_at_least() -> None:
    own = np.full(10, 0.03 / 0.97)
    assert [least(k, own) for k in (1, 10, 50)] == pytest.approx([LEAST, 0.3, MOST_NEEDED])
    assert least(5, 0.0) == LEAST
    rng = np.random.default_rng(0)
    x, r = rng.standard_normal((40, 30)), rng.standard_normal((40, 1)).astype(np.float32)
    party = LocalParty("lab", x, np.ones(40, dtype=np.bool_), LinearLearner(), 0, folds=5)
    told, half, all_of_it = (party.fit_round(2, r, share)[1].tobytes() for share in (LEAST, MOST_NEEDED, 1.0))
    assert told == half != all_of_it


def many_classes(seed: int) -> tuple[list[Array], Array, list[Array], Array]:
    """Ten classes of two modes each, 40 training rows a class, dealt to four parties, and one of noise."""
    rng = np.random.default_rng(seed)
    x, y = make_classification(
        1200, 20, n_informative=16, n_redundant=0, n_classes=10, class_sep=2.0, random_state=seed
    )
    blocks = [*np.split(x / x.std(axis=0), 4, axis=1), rng.standard_normal((1200, 60))]
    return [b[:400] for b in blocks], y[:400], [b[400:] for b in blocks], y[400:]


def outcome(seed: int) -> tuple[float, float, float]:
    """Loss of new rows, loss that was reported, and the weight that the party of noise got at most."""
    x, y, new, truth = many_classes(seed)
    made = GAL(rounds=12).fit(x, y)
    reported = made.history_[made.n_rounds_ - 1].train_loss
    weight = max(r.weights["party-4"] for r in made.history_)
    return get_loss("cross_entropy", 10).value(truth, made.decision_function(new)), reported, weight


@pytest.mark.parametrize("seed", [0, 1])
def test_many_classes_are_learnt_further_and_the_reported_loss_stays_honest(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    after, reported, of_noise = outcome(seed)
    assert reported > 0.97 * after, "out of fold"
    assert of_noise < 0.1
    monkeypatch.setattr(ensemble_module, "withheld", lambda *_: 1.0)
    assert after < 0.97 * outcome(seed)[0]
    monkeypatch.setattr(ensemble_module, "withheld", lambda *_: 0.0)
    with pytest.raises(PeerViolation, match="a share of 0 to leave out"):
        outcome(seed)  # a row that explains itself is not honest, and no assistor takes part in that


def test_a_fixed_share_follows_from_a_partys_own_leverages() -> None:
    """All of it from one coefficient for nine rows on, a fifth from one for 225; a row far out by itself."""
    h = np.full(12, 1 / 36)
    np.testing.assert_allclose(fixed(1, h), np.full(12, 0.5))
    np.testing.assert_allclose(fixed(4, h), np.ones(12))
    np.testing.assert_allclose(fixed(1, h / 100), np.full(12, LEAST))
    h[:3] = 0.0, 0.1, 0.3
    counted = [3 * np.sqrt(h.mean()), 3 * np.sqrt(0.1), 1.0]
    np.testing.assert_allclose(fixed(1, h)[:3], counted)
    assert np.array_equal(fixed(1, np.asarray(0.0)), LEAST), "folds and out-of-bag values have no leverage"


def test_a_party_of_a_study_with_encrypted_residuals_leaves_out_the_same_in_every_round() -> None:
    rng = np.random.default_rng(0)
    x, r = rng.standard_normal((400, 3)), rng.standard_normal((400, 2)).astype(np.float32)
    everyone = np.ones(400, dtype=np.bool_)
    party = LocalParty("lab", x, everyone, LinearLearner(), 0, folds=5, fixed_share=True)
    plain = LocalParty("lab", x, everyone, LinearLearner(), 0, folds=5).fit_round(1, r)[1]
    first, later = (party.fit_round(t, r)[1] for t in (1, 2))
    assert np.array_equal(first, later)
    z = np.column_stack([(x - x.mean(axis=0)) / x.std(axis=0), np.ones(400)])
    h = np.einsum("ij,ij->i", z @ np.linalg.inv(z.T @ z + np.diag([0.04, 0.04, 0.04, 0])), z)
    share = fixed(2, h)
    assert share.min() < 0.45 < 0.8 < share.max() < 1
    np.testing.assert_allclose(first, plain + ((1 - share) * h / (1 - h) * r.T).T, atol=1e-5)


@pytest.mark.parametrize("seed", [0, 1])
def test_rows_that_keep_some_of_their_own_residual_report_honestly_where_coefficients_are_many(seed: int) -> None:
    """The hard set as in an encrypted study: four parties and one of noise, linear heads; beside fitted values."""
    x, y, new, truth = many_classes(seed)
    found = {}
    for share in ("fixed", "fitted"):
        loss, everyone, names = get_loss("cross_entropy", 10), np.ones(400, np.bool_), [f"p{m}" for m in range(5)]
        made = Ensemble(
            loss, y, everyone, "classification", tuple(names), "fitted", "search", 12, 12, "l2", cross_fitted=True
        )
        parties = {n: LocalParty(n, b, everyone, LinearLearner(), 0, 5, True) for n, b in zip(names, x, strict=True)}
        models: dict[str, list[Any]] = {n: [] for n in names}
        while not made.finished:
            fits = {n: p.fit_round(1, made.residual()) for n, p in parties.items()}
            for n, (model, values) in fits.items():
                models[n].append(model)
                fits[n] = model, values if share == "fixed" else model.predict(x[names.index(n)]).astype(np.float32)
            made.commit({n: values for n, (_, values) in fits.items()})
        parts = [collapse(models[n][: made.kept], made.coefficients(n), b) for n, b in zip(names, new, strict=True)]
        found[share] = loss.value(truth, made.F0 + sum(parts)), made.history[made.kept - 1].train_loss
    assert found["fixed"][1] > 0.95 * found["fixed"][0], "out of fold"
    assert found["fitted"][1] < 0.8 * found["fitted"][0] and found["fixed"][0] < found["fitted"][0]


@pytest.mark.parametrize(
    ("loss", "weights", "residuals", "local", "fixed_share", "told"),
    [
        ("l2", "fitted", "none", "l2", False, True),
        ("l1", "fitted", "none", "l2", True, False),
        ("quantile", "fitted", "none", "l2", True, False),
        ("huber", "uniform", "none", "l2", False, True),
        ("l2", "fitted", "ckks", "l2", True, False),
        ("l1", "paper", "none", "l1", True, False),
        ("l2", "paper", "none", "l2", False, False),
    ],
)
def test_local_losses_and_shares_follow_from_the_study(
    loss: Any, weights: Any, residuals: Any, local: str, fixed_share: bool, told: bool
) -> None:
    """A residual of signs is fitted by its mean, and has no curvature to tell a share by."""
    protect = Protect(ids="clear", residuals=residuals)
    made = study(task="regression", loss=loss, weights=weights, protect=protect)
    assert (made.local_loss, made.fixed_share, made.partly_withheld) == (local, fixed_share, told)


def test_an_l1_study_learns_on_with_ridge_heads_and_reports_honestly() -> None:
    """Twelve columns, heavy tails: with all of its own residual left out for ever learning ended after two rounds."""
    rng = np.random.default_rng(5)
    x = rng.standard_normal((1400, 12))
    y = x @ rng.standard_normal(12) + rng.standard_t(2, 1400)
    blocks, new = [x[:1000, c : c + 2] for c in range(0, 12, 2)], [x[1000:, c : c + 2] for c in range(0, 12, 2)]
    gal = GAL("regression", loss="l1", rounds=10).fit(blocks, y[:1000])
    error = float(np.abs(gal.predict(new) - y[1000:]).mean())
    joint = GAL("regression", loss="l1", rounds=10).fit([x[:1000]], y[:1000])
    assert gal.n_rounds_ >= 5
    assert error < 1.03 * float(np.abs(joint.predict([x[1000:]]) - y[1000:]).mean())
