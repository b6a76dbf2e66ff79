"""What leave-one-out values tell a curious sponsor that fitted values do not: as much of the columns, and leverages as
soon as training rows are predicted too (decision 0020)."""

from __future__ import annotations

import numpy as np
import pytest

from crypto.ckks.encrypted_ridge import EncryptedRidge, predict
from crypto.ckks.leave_one_out import factors
from tests.support.ckks_keys import PEER, Array, keys, secret, width

ROWS, COLUMNS, ROUNDS = 400, 12, 3


def study(seed: int) -> tuple[Array, Array, Array]:
    """Columns (N, p), U of a weak ridge with an intercept (N, p + 1), and residuals of so many rounds (N, T)."""
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((ROWS, COLUMNS))
    x -= x.mean(axis=0)
    u = np.linalg.solve(np.linalg.cholesky(x.T @ x + 4.0 * np.eye(COLUMNS)), x.T).T
    signal = x @ rng.standard_normal((COLUMNS, 2 * COLUMNS)) / np.sqrt(COLUMNS)
    r = np.clip(0.4 * signal + 0.3 * rng.standard_normal(signal.shape), -1, 1)
    return x, np.column_stack([u, np.full(ROWS, 1 / np.sqrt(ROWS))]), r


@pytest.mark.parametrize("leave_one_out", [False, True])
def test_a_prediction_of_training_rows_tells_leverages_beside_leave_one_out_values_only(leave_one_out: bool) -> None:
    """The sponsor has three rounds of an assistor with twelve columns, and asks for a prediction of the same rows."""
    _, u, r = study(0)
    r, name = r[:, :ROUNDS], "standard"
    public = keys(name, width(name, u.shape[1]))
    job = EncryptedRidge.of(public, u, u, leave_one_out=leave_one_out, cores=1)
    answers = [job.fit(secret(name).encrypt(r[:, [t]]), 1) for t in range(ROUNDS)]
    combined = r.sum(axis=1, keepdims=True) / ROUNDS
    head = job.head(secret(name).encrypt(combined), 1)
    job.close()
    rounds = sum(secret(name).decrypt(a, ROWS, 1, PEER)[:, 0] for a in answers) / ROUNDS
    part = secret(name).decrypt(predict(public, head, 1, u, cores=1), ROWS, 1, PEER)[:, 0]
    found = (part - rounds) / (combined[:, 0] - rounds)
    clear = np.abs(combined[:, 0] - rounds) > 0.1
    leverage = np.einsum("ij,ij->i", u, u)
    correlation = np.corrcoef(found[clear], leverage[clear])[0, 1]
    print(f"leave-one-out {leave_one_out}: correlation with leverage {correlation:.3f}")
    assert correlation > 0.98 if leave_one_out else abs(correlation) < 0.3


def columns_found(x: Array, seen: Array) -> float:
    """R2 of the best column by regression on what was seen, fitted on half of the rows and scored on the others."""
    half = len(x) // 2
    with_one = np.column_stack([seen, np.ones(len(x))])
    guess = with_one[half:] @ np.linalg.lstsq(with_one[:half], x[:half], rcond=None)[0]
    return float(np.max(1 - np.sum((x[half:] - guess) ** 2, axis=0) / np.sum(x[half:] ** 2, axis=0)))


@pytest.mark.parametrize("rounds", [3, 6, 12, 24])
def test_columns_are_found_as_fast_from_leave_one_out_values_as_from_fitted_ones(rounds: int) -> None:
    """By regression on every round's values, in both cases with the residuals, which the sponsor knows."""
    gains = []
    for seed in range(4):
        x, u, r = study(seed)
        r = r[:, :rounds]
        fitted = u @ (u.T @ r)
        scales, own = factors(u, 5.0)
        left_out = scales[:, None] * fitted - own[:, None] * r
        gains.append([columns_found(x, np.column_stack([seen, r])) for seen in (fitted, left_out)])
    mean = np.mean(gains, axis=0)
    print(f"{rounds} rounds of {COLUMNS} columns: R2 {mean[0]:.3f} fitted, {mean[1]:.3f} leave-one-out")
    assert abs(mean[0] - mean[1]) < 0.05
    assert rounds < COLUMNS + 1 or mean.min() > 0.95
