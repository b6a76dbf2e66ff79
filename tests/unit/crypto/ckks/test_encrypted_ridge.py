"""The homomorphic fit against the same fit in the clear, within the bound that decision 0003 derives."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from joblib import parallel_config

from crypto.ckks import ridge_blocks, shards
from crypto.ckks.encrypted_ridge import EncryptedRidge, predict
from crypto.ckks.ridge_blocks import Split
from crypto.ckks.ring import padded
from crypto.ckks.sets import PARAMETER_SETS
from crypto.errors import Malformed, Misuse, Unsuitable
from tests.support.ckks_keys import PEER, Array, error_bound, keys, ridge, secret, width

STANDARD, STRICT = PARAMETER_SETS["standard"], PARAMETER_SETS["strict"]


def fit(name: str, u_train: Array, u_all: Array, r: Array, **options: int) -> Array:
    """Encrypt, fit, decrypt."""
    job = EncryptedRidge.of(keys(name, width(name, u_all.shape[1])), u_train, u_all, **{"cores": 1, **options})
    try:
        replies = job.fit(secret(name).encrypt(r), r.shape[1])
        return secret(name).decrypt(replies, len(u_all), r.shape[1], PEER)
    finally:
        job.close()


def check(name: str, rows: int, p: int, outputs: int) -> None:
    u, r = ridge(rows, p, outputs)
    error = np.abs(fit(name, u, u, r) - u @ (u.T @ r)).max()
    assert error < error_bound(PARAMETER_SETS[name], u, u, r)
    assert error < PARAMETER_SETS[name].error * np.abs(r).max()


@pytest.mark.parametrize(
    ("p", "outputs", "rows"),
    [*itertools.product([1, 3, 12], [1, 3], [300, STANDARD.n + 700]), (130, 3, STANDARD.n + 700)],
)
def test_standard_fit_is_the_clear_fit(p: int, outputs: int, rows: int) -> None:
    check("standard", rows, p, outputs)


@pytest.mark.parametrize(("p", "outputs", "rows"), [(1, 1, 300), (12, 3, STRICT.n + 700)])
def test_strict_fit_is_the_clear_fit(p: int, outputs: int, rows: int) -> None:
    check("strict", rows, p, outputs)


@pytest.mark.slow
@pytest.mark.parametrize("rows", [300, STRICT.n + 700])
@pytest.mark.parametrize("outputs", [1, 3])
@pytest.mark.parametrize("p", [1, 3, 12, 130, 4096])
def test_strict_fit_is_the_clear_fit_at_every_size(p: int, outputs: int, rows: int) -> None:
    check("strict", rows, p, outputs)


def test_the_bound_can_fail() -> None:
    u, r = ridge(300, 3, 1)
    wrong = u @ (u.T @ r) + 2 * error_bound(STANDARD, u, u, r)
    assert np.abs(fit("standard", u, u, r) - wrong).max() > error_bound(STANDARD, u, u, r)


def test_validation_rows_and_another_order() -> None:
    u, r = ridge(STANDARD.n + 50, 5, 2)
    train, shuffled = u[:700], u[::-1]
    assert np.abs(fit("standard", train, u, r[:700]) - u @ (train.T @ r[:700])).max() < STANDARD.error
    assert np.abs(fit("standard", train, shuffled, r[:700]) - shuffled @ (train.T @ r[:700])).max() < STANDARD.error


def test_more_training_rows_than_rows_to_fit() -> None:
    u, r = ridge(2 * STANDARD.n, 2, 1)
    assert np.abs(fit("standard", u, u[:10], r) - u[:10] @ (u.T @ r)).max() < STANDARD.error


@pytest.mark.parametrize("room", [0, 3 * ridge_blocks.ciphertext_bytes(STANDARD), 2**30])
def test_every_cache_gives_the_same_round_after_round(room: int) -> None:
    u, r = ridge(STANDARD.n + 20, 6, 2)
    job = EncryptedRidge.of(keys("standard", 8), u, u, cores=1, cache_bytes=room)
    for scale in (1.0, -0.5):
        replies = job.fit(secret("standard").encrypt(scale * r), 2)
        assert (
            np.abs(secret("standard").decrypt(replies, len(u), 2, PEER) - scale * u @ (u.T @ r)).max() < STANDARD.error
        )
    kept = shards._workers[job._basis.job.folder]._kept
    assert sum(len(encodings._kept) for encodings in kept.values()) <= room // (
        ridge_blocks.ciphertext_bytes(STANDARD) // 2
    )
    job.close()


def test_outputs_in_small_groups(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ridge_blocks, "GROUP_BYTES", 9 * ridge_blocks.ciphertext_bytes(STANDARD))
    check("standard", 300, 6, 3)


@pytest.mark.parametrize("backend", ["threading", "loky"])
def test_shards_run_side_by_side(backend: str) -> None:
    u, r = ridge(3 * STANDARD.n, 4, 2)
    with parallel_config(backend=backend):
        for _ in range(2):
            assert np.abs(fit("standard", u, u, r, cores=2) - u @ (u.T @ r)).max() < STANDARD.error


def test_prediction_needs_only_the_head(tmp_path: Path) -> None:
    u, r = ridge(900, 5, 3)
    new = np.random.default_rng(1).standard_normal((STANDARD.n + 3, 5)) / 40
    job = EncryptedRidge.of(keys("standard", 8), u, u, cores=1)
    (tmp_path / "head").write_bytes(job.head(secret("standard").encrypt(r), 3))
    job.close()
    replies = predict(keys("standard", 8), (tmp_path / "head").read_bytes(), 3, new, cores=1)
    assert np.abs(secret("standard").decrypt(replies, len(new), 3, PEER) - new @ (u.T @ r)).max() < STANDARD.error


def test_long_rows_are_clipped_to_norm_one() -> None:
    u, r = ridge(900, 2, 1)
    new = 3 * np.array([[0.6, 0.8], [0.1, 0.0]])
    job = EncryptedRidge.of(keys("standard", 2), u, u, cores=1)
    replies = predict(keys("standard", 2), job.head(secret("standard").encrypt(r), 1), 1, new, cores=1)
    job.close()
    clipped = np.array([[0.6, 0.8], [0.3, 0.0]])
    assert np.abs(secret("standard").decrypt(replies, 2, 1, PEER) - clipped @ (u.T @ r)).max() < 6 * STANDARD.error


def test_a_zero_fit_is_a_fresh_encryption_of_zero() -> None:
    u, r = ridge(100, 3, 2)
    nothing = np.zeros((100, 3))
    job = EncryptedRidge.of(keys("standard", 4), nothing, nothing, cores=1)
    requests = secret("standard").encrypt(r)
    first, second = job.fit(requests, 2), job.fit(requests, 2)
    head = job.head(requests, 2)
    job.close()
    for replies in (first, second, predict(keys("standard", 4), head, 2, u, cores=1)):
        assert np.abs(secret("standard").decrypt(replies, 100, 2, PEER)).max() < STANDARD.error
    assert (first != second).mean() > 0.9


@pytest.mark.parametrize("count", [0, 1, 3])
def test_a_wrong_number_of_requests(count: int) -> None:
    u, r = ridge(100, 3, 1)
    job = EncryptedRidge.of(keys("standard", 4), u, u, cores=1)
    requests = np.repeat(secret("standard").encrypt(r), count, axis=0)
    with pytest.raises(Malformed, match="2 are due"):
        job.fit(requests, 2)
    with pytest.raises(Malformed):
        job.head(requests, 2)
    job.close()


def test_u_that_no_ridge_fit_has() -> None:
    u, _ = ridge(100, 3, 1)
    for bad in (2 * u, np.where(u == u.max(), np.nan, u), np.where(u == u.max(), np.inf, u)):
        with pytest.raises(Unsuitable):
            EncryptedRidge.of(keys("standard", 4), bad, u, cores=1)
    with pytest.raises(Unsuitable):
        EncryptedRidge.of(keys("standard", 4), u, np.full((2, 3), np.nan), cores=1)
    with pytest.raises(Unsuitable):
        EncryptedRidge.of(keys("standard", 4), u, u[:0], cores=1)
    for train, all_ in ((u[:, 0], u), (u, u[:, 0]), (u[:, :2], u)):
        with pytest.raises(Misuse, match="does not fit keys of width 4"):
            EncryptedRidge.of(keys("standard", 4), train, all_, cores=1)
    with pytest.raises(Misuse):
        EncryptedRidge.of(keys("standard", 2), u, u, cores=1)
    with pytest.raises(Misuse):
        predict(keys("standard", 4), bytes(STANDARD.sum_bytes), 2, u, cores=1)


def test_nothing_stays_on_disk() -> None:
    u, _ = ridge(100, 3, 1)
    job = EncryptedRidge.of(keys("standard", 4), u, u, cores=1)
    folder = Path(job._basis.job.folder)
    assert folder.stat().st_mode & 0o077 == 0
    job.close()
    assert not folder.exists()


@pytest.mark.parametrize("params", [STANDARD, STRICT], ids=lambda params: params.name)
def test_splits_cover_all_diagonals(params: object) -> None:
    assert isinstance(params, type(STANDARD))
    for p in (1, 2, 100, 4096):
        for blocks in (1, 4, 500):
            for split in (Split.first(padded(params, p)), Split.second(params, padded(params, p), blocks)):
                assert split.babies * split.giants == padded(params, p)


def test_u_is_never_written_through_a_map(monkeypatch: pytest.MonkeyPatch) -> None:
    """A page of a map for which the disk has no room ends the process by SIGBUS."""
    opened, modes = np.lib.format.open_memmap, []

    def record(path: Path, mode: str = "r+", **options: Any) -> Any:
        modes.append(mode)
        return opened(path, mode=mode, **options)

    monkeypatch.setattr(np.lib.format, "open_memmap", record)
    check("standard", 300, 3, 1)
    assert {*modes} == {"r"}
