"""The secret key and its file, and evaluation keys that arrive: exact lengths, and every way one can be wrong."""

from __future__ import annotations

import contextlib
import copy
import pickle
from pathlib import Path

import numpy as np
import pytest

from crypto.ckks.keys import PublicKeys, keys_bytes
from crypto.ckks.secret import SecretContext
from crypto.ckks.sets import PARAMETER_SETS
from crypto.errors import Malformed, Unsuitable
from tests.support.ckks_keys import PEER, SETS, keys, raw_keys, reply, secret

STANDARD = PARAMETER_SETS["standard"]


# --- the secret key ---------------------------------------------------------------------------------------------------


def test_the_secret_is_dull_and_stays() -> None:
    assert repr(secret("standard")) == "SecretContext(standard, secret)"
    with pytest.raises(TypeError):
        pickle.dumps(secret("standard"))
    with pytest.raises(TypeError):
        copy.deepcopy(secret("standard"))


@SETS
def test_the_key_file_round_trips(tmp_path: Path, name: str) -> None:
    path = tmp_path / "ckks.key"
    secret(name).save(path)
    assert path.stat().st_mode & 0o777 == 0o600
    with pytest.raises(Unsuitable, match="never overwritten"):
        secret(name).save(path)
    again = SecretContext.load(path)
    values = np.linspace(-1, 1, 100)
    assert again.params is PARAMETER_SETS[name]
    assert np.abs(again.decrypt(reply(name, values), 100, 1, PEER)[:, 0] - values).max() < again.params.error


def test_a_key_file_that_must_be_refused(tmp_path: Path) -> None:
    path = tmp_path / "ckks.key"
    with pytest.raises(Unsuitable, match="cannot be read"):
        SecretContext.load(path)
    secret("standard").save(path)
    good = path.read_bytes()
    path.chmod(0o640)
    with pytest.raises(Unsuitable, match="chmod 600"):
        SecretContext.load(path)
    path.chmod(0o600)
    for bad in (
        b"",
        good[:-1],
        good[:1000],
        good + b"\0",
        good.replace(b"standard", b"slow"),
        good[:50] + b"\xff" * 99999,
    ):
        path.write_bytes(bad)
        with pytest.raises(Unsuitable, match="is not a CKKS key file"):
            SecretContext.load(path)


# --- keys that arrive -------------------------------------------------------------------------------------------------


@SETS
def test_keys_have_their_exact_length(name: str) -> None:
    params = PARAMETER_SETS[name]
    raw = raw_keys(name, 16)
    assert len(raw) == keys_bytes(params, 16) and "P=16" in repr(keys(name, 16))
    for bad in (b"", raw[:-1], raw + b"\0", raw[: len(raw) // 2]):
        with pytest.raises(Malformed, match="evaluation keys of"):
            PublicKeys.from_bytes(params, 16, bad)


@pytest.mark.parametrize("at", [0, 300_000, 400_000, -100_000])
def test_a_key_with_a_residue_beyond_its_prime(at: int) -> None:
    raw = bytearray(raw_keys("standard", 16))
    start = at % len(raw)
    raw[start : start + 64] = b"\xff" * 64
    with pytest.raises(Malformed, match=r"(evaluation|public) key with a residue"):
        PublicKeys.from_bytes(STANDARD, 16, bytes(raw))


# --- fuzz: mutated frames are refused or computed with; nothing dies --------------------------------------------------


def test_mutated_keys_never_kill_the_process() -> None:
    rng, raw = np.random.default_rng(5), raw_keys("standard", 16)
    for _ in range(6):
        bad = bytearray(raw)
        for at in rng.integers(0, len(raw) - 8, 2):
            bad[at : at + 8] = rng.bytes(8)
        with contextlib.suppress(Malformed):
            PublicKeys.from_bytes(STANDARD, 16, bytes(bad))
