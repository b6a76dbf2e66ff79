"""Encodings that are made before there are keys: those of the first round, where this process will need them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from crypto.ckks import ridge_blocks
from crypto.ckks.encoder import Encoder
from crypto.ckks.encrypted_ridge import Basis, EncryptedRidge
from crypto.ckks.job import KEYS
from crypto.ckks.keys import keys_bytes
from crypto.ckks.sets import PARAMETER_SETS
from secure_gal.errors import PeerViolation, StateError
from secure_gal.holdings.encrypted import EncryptedRidgeFits
from secure_gal.holdings.rings import ReplyRing
from tests.support.ckks_keys import PEER, keys, ridge, secret

STANDARD = PARAMETER_SETS["standard"]


@pytest.fixture
def encoded(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Grows by one with every polynomial that is encoded."""
    made: list[int] = []
    encode = Encoder.encode

    def counted(encoder: Encoder, *args: Any) -> Any:
        made.append(1)
        return encode(encoder, *args)

    monkeypatch.setattr(Encoder, "encode", counted)
    return made


def test_the_first_round_finds_what_was_encoded_before_keys_came(encoded: list[int]) -> None:
    u, r = ridge(STANDARD.n + 20, 6, 1)
    basis = Basis(STANDARD, 8, u, u)
    basis.encode(1)
    ahead = len(encoded)
    assert ahead == 2 * 2 * 8, "of two blocks, 8 diagonals on either side"
    assert basis.job.folder and (Path(basis.job.folder) / KEYS).stat().st_size == keys_bytes(STANDARD, 8)
    job = EncryptedRidge(keys("standard", 8), basis)
    for scale in (1.0, -0.5):
        found = secret("standard").decrypt(job.fit(secret("standard").encrypt(scale * r), 1), len(u), 1, PEER)
        assert np.abs(found - scale * u @ (u.T @ r)).max() < STANDARD.error
    assert len(encoded) == ahead
    job.close()
    assert not Path(basis.job.folder).exists()


@pytest.mark.parametrize("plaintexts", [0, 5])
def test_no_more_is_encoded_ahead_than_is_kept(plaintexts: int, encoded: list[int]) -> None:
    u, _ = ridge(300, 6, 1)
    room = 2 * plaintexts * ridge_blocks.ciphertext_bytes(STANDARD) // 2  # half of it for either side
    basis = Basis(STANDARD, 8, u, u, cache_bytes=room)
    basis.encode(1)
    assert len(encoded) == 2 * plaintexts
    basis.close()


@pytest.mark.parametrize("where", ["processes", "workers"])
def test_what_others_compute_is_not_encoded_here(
    where: str, encoded: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    u, _ = ridge(300, 6, 1)
    basis = Basis(STANDARD, 8, u, u, cores=2 if where == "processes" else 1)
    if where == "workers":
        monkeypatch.setattr("crypto.ckks.encrypted_ridge.current", object)
    basis.encode(1)
    assert not encoded
    basis.close()


def test_keys_that_are_refused_leave_no_fit_behind_and_what_was_encoded_to_the_next(encoded: list[int]) -> None:
    u, r = ridge(300, 6, 1)
    ring = ReplyRing(STANDARD, True, 1)
    fits: Any = EncryptedRidgeFits.__new__(EncryptedRidgeFits)
    fits._ring, fits._u, fits._train, fits._padded, fits.features = ring, u, 300, 8, object()
    fits._ridge, fits._basis = ring.ridge(8, keys("standard", 8).raw, u, 300, PEER, None), ring.encoded(8, u, 300)
    ahead = len(encoded)
    with pytest.raises(PeerViolation):
        fits.use_keys(b"no keys", PEER)
    with pytest.raises(StateError, match="before the evaluation keys came"):
        fits._ready()
    fits.use_keys(keys("standard", 8).raw, PEER)
    fits._ready().fit(secret("standard").encrypt(r), 1, PEER)
    assert len(encoded) == ahead + 2, "what a row leaves out of its own residual, in two polynomials"
    fits.close()


def test_a_party_whose_keys_never_come_leaves_nothing_on_disk() -> None:
    u, _ = ridge(300, 6, 1)
    fits = EncryptedRidgeFits.__new__(EncryptedRidgeFits)
    fits._ridge, fits._basis = None, ReplyRing(STANDARD, True, 1).encoded(8, u, 300)
    folder = Path(fits._basis.job.folder)
    assert folder.exists()
    fits.close()
    assert not folder.exists()
