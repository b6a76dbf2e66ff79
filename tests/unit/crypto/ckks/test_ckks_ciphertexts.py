"""Requests and replies: exact sizes, strict reading, and every way a ciphertext can be wrong."""

from __future__ import annotations

import threading

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crypto.ckks import sealapi_files
from crypto.ckks.calculator import Calculator
from crypto.ckks.ciphertexts import check_requests, spread
from crypto.ckks.encrypted_ridge import EncryptedRidge
from crypto.ckks.params import RANGE
from crypto.ckks.products import Products
from crypto.ckks.secret import SecretContext
from crypto.ckks.sets import PARAMETER_SETS
from crypto.errors import Malformed, Unsuitable
from tests.support.ckks_keys import PEER, SETS, expendable, keys, reply, ridge, secret

STANDARD = PARAMETER_SETS["standard"]


# --- packing ----------------------------------------------------------------------------------------------------------


@settings(max_examples=50, deadline=None)
@given(st.lists(st.integers(0, 2**60 - 1), min_size=1, max_size=9))
def test_packing_is_exact(values: list[int]) -> None:
    residues = np.array(values * 2, dtype=np.uint64)
    packed = sealapi_files.pack(residues)
    assert len(packed) == 15 * len(values)
    assert int.from_bytes(packed[:15].tobytes(), "little") == int(residues[0]) + (int(residues[1]) << 60)
    assert (sealapi_files.unpack(packed) == residues).all()


def test_threads_have_their_own_scratch_files() -> None:
    values = np.linspace(-1, 1, 500)[:, None]
    assert keys("standard", 1).params is secret("standard").params  # made before the threads ask for them
    failures: list[BaseException] = []

    def work(sign: int) -> None:
        try:
            for _ in range(5):
                got = secret("standard").decrypt(reply("standard", sign * values[:, 0]), 500, 1, PEER)
                assert np.abs(got - sign * values).max() < STANDARD.error
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
        secret("standard").encrypt(values)
    with pytest.raises(Unsuitable):
        secret("standard").encrypt(np.zeros((0, 1)))


def test_encryption_is_fresh_and_ordered() -> None:
    values = np.random.default_rng(0).uniform(-1, 1, (STANDARD.n + 1, 3))
    one, two = secret("standard").encrypt(values), secret("standard").encrypt(values)
    assert one.shape == (6, STANDARD.request_bytes) and (one != two).mean() > 0.9
    check_requests(STANDARD, one)


def test_requests_that_must_be_refused() -> None:
    good = secret("standard").encrypt(np.zeros((5, 1)))
    for bad in (good[:, :-1], np.pad(good, ((0, 0), (0, 1))), good[0], good.astype(np.uint16)):
        with pytest.raises(Malformed):
            check_requests(STANDARD, bad)
    beyond = good.copy()
    beyond[0, 10:20] = 0xFF
    with pytest.raises(Malformed, match="below its modulus"):
        check_requests(STANDARD, beyond)


def test_a_request_of_another_level_or_set() -> None:
    """Level, degree and scale are not in the bytes, so another level can only show as another length."""
    strict = secret("strict").encrypt(np.zeros((5, 1)))
    for bad in (strict, strict[:, : STANDARD.request_bytes - 1], strict[:, :-64]):
        with pytest.raises(Malformed):
            check_requests(STANDARD, bad)


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
        expendable("standard").decrypt(reply("standard", values * 2.0**10), 50, 1, PEER)


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
    job = EncryptedRidge.of(keys("standard", 2), u, u, cores=1)
    replies = job.fit(SecretContext.generate(STANDARD).encrypt(r), 1)
    job.close()
    with pytest.raises(Malformed, match="within 32"):
        expendable("standard").decrypt(replies, 200, 1, PEER)


def test_replies_of_the_wrong_shape() -> None:
    good = reply("standard", np.zeros(9))
    for bad, rows, outputs in [
        (good, 9, 2),
        (good, STANDARD.n + 1, 1),
        (good[:0], 9, 1),
        (good[:, :-1], 9, 1),
        (good[:, 1:], 9, 1),
        (good[0], 9, 1),
        (good.astype(np.int64), 9, 1),
    ]:
        with pytest.raises(Malformed):
            secret("standard").decrypt(bad, rows, outputs, PEER)


# --- fuzz: mutated frames are refused or computed with; nothing dies --------------------------------------------------


def test_mutated_requests_never_kill_the_process() -> None:
    rng = np.random.default_rng(3)
    good, calculator, refused = secret("standard").encrypt(np.full((5, 1), 0.5)), Calculator(keys("standard", 1)), 0
    for _ in range(150):
        bad = good.copy()
        at, count = rng.integers(good.shape[1]), rng.integers(1, 40)
        bad[0, at : at + count] = rng.choice([0, 255, rng.integers(256)])
        try:
            check_requests(STANDARD, bad)
            calculator.read_request(bad[0])
        except Malformed:
            refused += 1
    assert 5 < refused < 150


def test_mutated_replies_never_kill_the_process() -> None:
    rng = np.random.default_rng(4)
    good, refused = reply("standard", np.full(9, 0.5)), 0
    for _ in range(150):
        bad = good.copy()
        at, count = rng.integers(good.shape[1]), rng.integers(1, 40)
        bad[0, at : at + count] = rng.integers(256)
        try:
            expendable("standard").decrypt(bad, 9, 1, PEER)
        except Malformed:
            refused += 1
    assert refused > 100  # what is left changed low bits only


@pytest.mark.parametrize(("filled", "hides"), [(0, False), (4, False), (5, True), (8, True)])
def test_a_polynomial_of_which_half_is_zero_hides_nothing(filled: int, hides: bool) -> None:
    assert spread(np.array([3] * filled + [0] * (8 - filled), dtype=np.uint8)) == hides


@pytest.mark.parametrize(
    ("leading", "found"), [([0], False), ([1], True), ([0, 1], False), ([0, 0, 1], False), ([0, 1, 1], True)]
)
def test_a_polynomial_hides_something_where_more_than_half_of_it_is_large(leading: list[int], found: bool) -> None:
    assert spread(np.array(leading, np.uint8)) is found


@pytest.mark.parametrize(
    ("longest", "bits", "lift", "flooding", "release"),
    [
        (
            2.0,
            [57, 57, 57, 56, 56, 55, 55, 54, 53, 51],
            [8, 8, 8, 7, 7, 6, 6, 5, 4, 2],
            [93, 94, 94, 94, 94, 93, 94, 94, 94, 93],
            [95, 96, 96, 96, 96, 95, 96, 96, 96, 95],
        ),
        (
            9.0,
            [55, 55, 55, 54, 54, 53, 53, 52, 50, 49],
            [6, 6, 6, 5, 5, 4, 4, 3, 1, 0],
            [94] * 10,
            [96] * 10,
        ),
    ],
)
def test_scale_and_noise_of_inner_products_by_how_many_ciphertexts_there_are(
    longest: float, bits: list[int], lift: list[int], flooding: list[int], release: list[int]
) -> None:
    """Both ends compute the same from what is public; steps lie between these counts."""
    counts = (1, 2, 3, 5, 9, 17, 33, 100, 1000, 4096)
    made = [Products(count * 16_384, count, longest) for count in counts]
    assert [p.bits for p in made] == bits and [p.lift for p in made] == lift
    assert [p.flooding_bits for p in made] == flooding and [p.release_bits for p in made] == release
