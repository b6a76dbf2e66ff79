"""Over rounds the sums are linear equations in the assistors' features: where the attack on them begins to succeed.

The limit of `secure_gal.sum_exposure` is half of the ratio T*K / sum p_m at which all columns are recovered here.
"""

from __future__ import annotations

import numpy as np
import pytest

from crypto.ckks_fits import SUM
from secure_gal.assistance import Ensemble
from secure_gal.attacks.sums import exposure, recover_spaces
from secure_gal.losses import get_loss
from secure_gal.sum_exposure import LIMIT, equations
from secure_gal.sum_exposure import exposure as ratio_of
from secure_gal.sum_weights import constrained_weights

ROWS, NOISE = 600, SUM.error / 10
"""A sum's error has a standard deviation of about a twentieth of its bound."""


def captured(columns: int, rounds: int, seed: int) -> list[float]:
    """For both assistors, the share of its column space that lies in what the attack recovers as that."""
    rng = np.random.default_rng(seed)
    blocks = [rng.exponential(size=(ROWS, columns)) for _ in range(2)]
    own = rng.standard_normal((ROWS, 2))
    y = own @ rng.standard_normal(2) + sum(x @ rng.standard_normal(columns) for x in blocks)
    y = (y + np.sin(3 * blocks[0][:, 0]) + 0.5 * rng.standard_normal(ROWS))[:, None]
    u = [np.linalg.qr(x - x.mean(0))[0] for x in (own, *blocks)]
    train = np.ones(ROWS, dtype=bool)
    ensemble = Ensemble(get_loss("huber", 1), y, train, "regression", ("s", "a", "b"), "fitted", "search", 99, 99, "l2")
    sums, residuals, weights = [], [], []
    for _ in range(rounds):
        r = ensemble.residual().astype(np.float64)
        fitted = [basis @ (basis.T @ r) for basis in u]
        d = np.stack([(f - r).ravel() for f in fitted], axis=1)
        w = constrained_weights(d.T @ d, [1, 2])
        total = w[1] * fitted[1] + w[2] * fitted[2] + NOISE * np.abs(r).max() * rng.standard_normal(r.shape)
        sums.append(total), residuals.append(r), weights.append(w[1:])
        ensemble.advance(w, w[0] * fitted[0] + total)
    spaces = recover_spaces(np.array(sums), np.array(residuals), np.array(weights), [columns] * 2, seed=0, floor=1e-3)
    shares = []
    for basis, space in zip(u[1:], spaces, strict=True):
        q = np.linalg.qr(space)[0]
        shares.append(float(np.mean(np.sum((q.T @ basis) ** 2, axis=0))))
    return shares


@pytest.mark.parametrize(("columns", "rounds", "low", "high"), [(2, 1, 0.0, 0.4), (2, 2, 0.0, 0.65), (2, 4, 0.9, 1.0)])
def test_the_attack_begins_to_succeed_above_the_limit(columns: int, rounds: int, low: float, high: float) -> None:
    """Below the limit no more is found than the share of the joint space that the sums span; at 1, everything."""
    shares = [share for seed in range(3) for share in captured(columns, rounds, seed)]
    assert low <= float(np.mean(shares)) <= high
    ratio = exposure(rounds, 1, [columns, columns])
    assert ratio == ratio_of(equations(rounds, 1), {"a": columns, "b": columns})
    assert (ratio <= LIMIT) == (high < 1.0)
