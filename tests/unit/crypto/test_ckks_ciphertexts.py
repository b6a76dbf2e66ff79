"""Requests and replies: exact sizes, strict reading, and every way a ciphertext can be wrong."""

from __future__ import annotations

import threading

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crypto.ckks import seal_files
from crypto.ckks.calculator import Calculator
from crypto.ckks.ciphertexts import check_requests, spread
from crypto.ckks.encrypted_ridge import EncryptedRidge
from crypto.ckks.params import RANGE
from crypto.ckks.secret import SecretContext
from crypto.ckks.sets import PARAMETER_SETS
from crypto.errors import Malformed, Unsuitable
from tests.support.ckks_keys import PEER, SETS, expendable, keys, reply, ridge, secret

FAST = PARAMETER_SETS["fast"]


# --- packing ----------------------------------------------------------------------------------------------------------


@settings(max_examples=50, deadline=None)
@given(st.lists(st.integers(0, 2**60 - 1), min_size=1, max_size=9))
def test_packing_is_exact(values: list[int]) -> None:
    residues = np.array(values * 2, dtype=np.uint64)
    packed = seal_files.pack(residues)
    assert len(packed) == 15 * len(values)
    assert int.from_bytes(packed[:15].tobytes(), "little") == int(residues[0]) + (int(residues[1]) << 60)
    assert (seal_files.unpack(packed) == residues).all()


def test_threads_have_their_own_scratch_files() -> None:
    values = np.linspace(-1, 1, 500)[:, None]
    assert keys("fast", 1).params is secret("fast").params  # made before the threads ask for them
    failures: list[BaseException] = []

    def work(sign: int) -> None:
        try:
            for _ in range(5):
                got = secret("fast").decrypt(reply("fast", sign * values[:, 0]), 500, 1, PEER)
                assert np.abs(got - sign * values).max() < FAST.error
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=(sign,)) for sign in (1, -1)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures


# --- requests that arrive ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("bad", [1.0001, -1.5, np.nan, np.inf])
def test_values_that_cannot_be_encrypted(bad: float) -> None:
    values = np.zeros((5, 2))
    values[3, 1] = bad
    with pytest.raises(Unsuitable):
        secret("fast").encrypt(values)
    with pytest.raises(Unsuitable):
        secret("fast").encrypt(np.zeros((0, 1)))


def test_encryption_is_fresh_and_ordered() -> None:
    values = np.random.default_rng(0).uniform(-1, 1, (FAST.n + 1, 3))
    one, two = secret("fast").encrypt(values), secret("fast").encrypt(values)
    assert one.shape == (6, FAST.request_bytes) and (one != two).mean() > 0.9
    check_requests(FAST, one)


def test_requests_that_must_be_refused() -> None:
    good = secret("fast").encrypt(np.zeros((5, 1)))
    for bad in (good[:, :-1], np.pad(good, ((0, 0), (0, 1))), good[0], good.astype(np.uint16)):
        with pytest.raises(Malformed):
            check_requests(FAST, bad)
    beyond = good.copy()
    beyond[0, 15:30] = 0xFF
    with pytest.raises(Malformed, match="below its prime"):
        check_requests(FAST, beyond)


def test_a_request_of_another_level_or_set() -> None:
    """Level, degree and scale are not in the bytes, so another level can only show as another length."""
    strict = secret("strict").encrypt(np.zeros((5, 1)))
    for bad in (strict, strict[:, : FAST.request_bytes - 1], strict[:, :-64]):
        with pytest.raises(Malformed):
            check_requests(FAST, bad)


# --- replies that arrive ----------------------------------------------------------------------------------------------


@SETS
def test_a_reply_decrypts(name: str) -> None:
    values = np.random.default_rng(0).uniform(-30, 30, PARAMETER_SETS[name].n)
    got = secret(name).decrypt(reply(name, values), len(values), 1, PEER)
    assert np.abs(got[:, 0] - values).max() < PARAMETER_SETS[name].error


@pytest.mark.parametrize("factor", [1.05, 2.0, 10.0, 100.0, 1e4])
@pytest.mark.parametrize("shape", ["one", "constant", "noise"])
@SETS
def test_values_out_of_range_are_refused_not_wrapped(name: str, shape: str, factor: float) -> None:
    params = PARAMETER_SETS[name]
    values = np.zeros(params.n)
    values[17] = factor * RANGE
    if shape == "constant":
        values[:] = factor * RANGE
    elif shape == "noise":
        values = factor * RANGE * np.random.default_rng(1).standard_normal(params.n)
    with pytest.raises(Malformed, match="within 32"):
        expendable(name).decrypt(reply(name, values), params.n, 1, PEER)


def test_a_wrongly_scaled_reply_is_refused() -> None:
    """The sponsor decodes at the scale of the name: what was computed at another one comes out of range or as noise."""
    values = np.linspace(-1, 1, 50)
    with pytest.raises(Malformed):
        expendable("fast").decrypt(reply("fast", values * 2.0**10), 50, 1, PEER)


@SETS
def test_replies_under_another_key_and_random_bytes(name: str) -> None:
    params = PARAMETER_SETS[name]
    with pytest.raises(Malformed, match="within 32"):
        SecretContext.generate(params).decrypt(reply(name, np.zeros(9)), 9, 1, PEER)
    rng = np.random.default_rng(2)
    small = rng.integers(0, 255, (1, params.reply_bytes), dtype=np.uint8)  # no coefficient of 255s: all are below
    with pytest.raises(Malformed, match="within 32"):
        expendable(name).decrypt(small, 9, 1, PEER)
    with pytest.raises(Malformed, match="below its modulus"):
        secret(name).decrypt(np.full((1, params.reply_bytes), 255, dtype=np.uint8), 9, 1, PEER)


def test_a_request_under_another_key_gives_a_refused_reply() -> None:
    u, r = ridge(200, 2, 1)
    job = EncryptedRidge(keys("fast", 2), u, u, cores=1)
    replies = job.fit(SecretContext.generate(FAST).encrypt(r), 1)
    job.close()
    with pytest.raises(Malformed, match="within 32"):
        expendable("fast").decrypt(replies, 200, 1, PEER)


def test_replies_of_the_wrong_shape() -> None:
    good = reply("fast", np.zeros(9))
    for bad, rows, outputs in [
        (good, 9, 2),
        (good, FAST.n + 1, 1),
        (good[:0], 9, 1),
        (good[:, :-1], 9, 1),
        (good[:, 1:], 9, 1),
        (good[0], 9, 1),
        (good.astype(np.int64), 9, 1),
    ]:
        with pytest.raises(Malformed):
            secret("fast").decrypt(bad, rows, outputs, PEER)


# --- fuzz: mutated frames are refused or computed with; nothing dies --------------------------------------------------


def test_mutated_requests_never_kill_the_process() -> None:
    rng = np.random.default_rng(3)
    good, calculator, refused = secret("fast").encrypt(np.full((5, 1), 0.5)), Calculator(keys("fast", 1)), 0
    for _ in range(150):
        bad = good.copy()
        at, count = rng.integers(good.shape[1]), rng.integers(1, 40)
        bad[0, at : at + count] = rng.choice([0, 255, rng.integers(256)])
        try:
            check_requests(FAST, bad)
            calculator.read_request(bad[0])
        except Malformed:
            refused += 1
    assert 20 < refused < 150


def test_mutated_replies_never_kill_the_process() -> None:
    rng = np.random.default_rng(4)
    good, refused = reply("fast", np.full(9, 0.5)), 0
    for _ in range(150):
        bad = good.copy()
        at, count = rng.integers(good.shape[1]), rng.integers(1, 40)
        bad[0, at : at + count] = rng.integers(256)
        try:
            expendable("fast").decrypt(bad, 9, 1, PEER)
        except Malformed:
            refused += 1
    assert refused > 100  # what is left changed low bits only


@pytest.mark.parametrize(("filled", "hides"), [(0, False), (4, False), (5, True), (8, True)])
def test_a_polynomial_of_which_half_is_zero_hides_nothing(filled: int, hides: bool) -> None:
    assert spread(np.array([3] * filled + [0] * (8 - filled), dtype=np.uint8)) == hides
