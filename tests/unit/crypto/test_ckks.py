"""Parameter sets, keys, requests and replies: exact sizes, strict reading, and every way a ciphertext can be wrong."""

from __future__ import annotations

import contextlib
import copy
import pickle
import pkgutil
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import crypto.ckks
from crypto.ckks import seal_files
from crypto.ckks.calculator import Calculator
from crypto.ckks.ciphertexts import check_requests, spread
from crypto.ckks.encrypted_ridge import EncryptedRidge
from crypto.ckks.keys import PublicKeys, keys_bytes
from crypto.ckks.params import RANGE
from crypto.ckks.ridge_blocks import scale_bits
from crypto.ckks.ring import padded
from crypto.ckks.secret import SecretContext
from crypto.ckks.sets import PARAMETER_SETS
from crypto.ckks.slots import in_halves
from crypto.errors import Malformed, Misuse, Unsuitable
from tests.support.ckks_keys import PEER, expendable, keys, raw_keys, ridge, secret

FAST = PARAMETER_SETS["fast"]
SETS = pytest.mark.parametrize("name", sorted(PARAMETER_SETS))


def reply(name: str, values: np.ndarray) -> np.ndarray:
    """A sanitised reply of one block, made with the public key only; doubled up from small values, so that it wraps."""
    params, calculator = PARAMETER_SETS[name], Calculator(keys(name, 1))
    bits, doublings = scale_bits(params, "f"), max(0, int(np.log2(np.abs(values).max() + 1)))
    total = calculator.zero(bits, params.levels)
    plain = calculator.encode(in_halves(values / 2**doublings, params.slots), bits)
    if plain is not None:
        calculator._evaluator.add_plain_inplace(total, plain)
    for _ in range(doublings):
        calculator._evaluator.add_inplace(total, total)
    return calculator.sanitise(total, bits)[None]


# --- parameter sets ---------------------------------------------------------------------------------------------------


@SETS
def test_a_parameter_set_keeps_what_it_states(name: str) -> None:
    params = PARAMETER_SETS[name]
    bits = sum(prime.bit_length() for prime in params.primes)
    assert bits <= {"strict": 305, "fast": 214}[name]  # ePrint 2024/463: 192 and 128 bits, ternary secret
    assert params.distance(params.tau) <= 2.0**-params.kappa < params.distance(8 * params.tau)
    assert len(params.primes) == len(set(params.primes)) == params.levels + 1
    assert all(prime >> 59 == 1 and prime % (2 * params.n) == 1 for prime in params.primes)
    assert params.capacity > 1.9 * RANGE
    slot_noise = params.sigma * np.sqrt(params.n / 2) / params.reply_scale
    assert 5.5 * slot_noise < params.error
    assert str(params.tau) in params.describe() and "\n" not in params.describe()


def test_bytes_a_value() -> None:
    for name, (out, back, key_bytes) in {"fast": (20, 16, 12e6), "strict": (28, 28, 40e6)}.items():
        params = PARAMETER_SETS[name]
        assert params.request_bytes <= out * params.n and params.reply_bytes <= back * params.n
        assert keys_bytes(params, 4096) <= key_bytes


def test_padded_widths() -> None:
    assert [padded(FAST, p) for p in (1, 2, 3, 12, 16, 130, 4096)] == [1, 2, 4, 16, 16, 256, 4096]
    for p in (0, -1, 4097):
        with pytest.raises(Misuse):
            padded(FAST, p)
    for width in (0, 3, 8192):
        with pytest.raises(Misuse):
            keys_bytes(FAST, width)


def test_the_public_side_imports_no_secret_side() -> None:
    """Whatever an evaluator loads; and the same question of the secret side, which answers yes."""
    code = (
        "import importlib, sys\n"
        "for name in sys.argv[1:]: importlib.import_module(f'crypto.ckks.{name}')\n"
        "sys.exit(any(name.startswith('crypto.ckks.secret') for name in sys.modules))"
    )
    names = [module.name for module in pkgutil.iter_modules(crypto.ckks.__path__)]
    public = [name for name in names if not name.startswith("secret")]
    assert len(public) > 15 and len(names) - len(public) == 2
    for chosen, loads in ((public, False), (["secret"], True), (["secret_sum"], True)):
        assert subprocess.run([sys.executable, "-c", code, *chosen], check=False).returncode == loads


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


# --- the secret key ---------------------------------------------------------------------------------------------------


def test_the_secret_is_dull_and_stays() -> None:
    assert repr(secret("fast")) == "SecretContext(fast, secret)"
    with pytest.raises(TypeError):
        pickle.dumps(secret("fast"))
    with pytest.raises(TypeError):
        copy.deepcopy(secret("fast"))


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
    secret("fast").save(path)
    good = path.read_bytes()
    path.chmod(0o640)
    with pytest.raises(Unsuitable, match="chmod 600"):
        SecretContext.load(path)
    path.chmod(0o600)
    for bad in (b"", good[:-1], good[:1000], good + b"\0", good.replace(b"fast", b"slow"), good[:50] + b"\xff" * 99999):
        path.write_bytes(bad)
        with pytest.raises(Unsuitable, match="is not a CKKS key file"):
            SecretContext.load(path)


# --- keys that arrive -------------------------------------------------------------------------------------------------


@SETS
def test_keys_have_their_exact_length(name: str) -> None:
    params = PARAMETER_SETS[name]
    raw = raw_keys(name)
    assert len(raw) == keys_bytes(params, 1) == keys_bytes(params, 4096)
    assert keys(name, 16).raw == raw and "P=16" in repr(keys(name, 16))
    for bad in (b"", raw[:-1], raw + b"\0", raw[: len(raw) // 2]):
        with pytest.raises(Malformed, match="evaluation keys of"):
            PublicKeys.from_bytes(params, 16, bad)


@pytest.mark.parametrize("at", [0, 300_000, 400_000, -100_000])
def test_a_key_with_a_residue_beyond_its_prime(at: int) -> None:
    raw = bytearray(raw_keys("fast"))
    start = at % len(raw)
    raw[start : start + 64] = b"\xff" * 64
    with pytest.raises(Malformed, match=r"(evaluation|public) key with a residue"):
        PublicKeys.from_bytes(FAST, 16, bytes(raw))


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


def test_mutated_keys_never_kill_the_process() -> None:
    rng, raw = np.random.default_rng(5), raw_keys("fast")
    for _ in range(6):
        bad = bytearray(raw)
        for at in rng.integers(0, len(raw) - 8, 2):
            bad[at : at + 8] = rng.bytes(8)
        with contextlib.suppress(Malformed):
            PublicKeys.from_bytes(FAST, 16, bytes(bad))


@pytest.mark.parametrize(("filled", "hides"), [(0, False), (4, False), (5, True), (8, True)])
def test_a_polynomial_of_which_half_is_zero_hides_nothing(filled: int, hides: bool) -> None:
    assert spread(np.array([3] * filled + [0] * (8 - filled), dtype=np.uint8)) == hides
