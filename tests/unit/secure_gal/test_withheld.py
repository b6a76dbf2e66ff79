"""How much of a row's own residual its values of later rounds leave out: derivation, losses, worth, and bounds."""

from __future__ import annotations

from typing import Any, get_args

import numpy as np
import pytest
from sklearn.datasets import make_classification

from secure_gal import GAL
from secure_gal.errors import PeerViolation
from secure_gal.gal import ensemble as ensemble_module
from secure_gal.gal.losses import get_loss
from secure_gal.gal.withheld import LEAST, MOST_NEEDED, least, withheld
from secure_gal.holdings.local import LocalParty
from secure_gal.learners.linear import LinearLearner
from secure_gal.settings.study import LossName

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
