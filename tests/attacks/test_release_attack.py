"""What whoever sees decrypted values beside the ciphertexts can find of the secret key (Li and Micciancio 2021).

The attacker here has more than any party: every message, everything that was drawn while the reply was computed, and
the phase before the reply was rounded. What a decryption adds is then e = delta s + (what is known) + noise, with
delta, the rounding of c1, known to it and s the key: learning with errors without a modulus, where least squares is as
good as it gets (Bootle, Delaplace, Espitau, Fouque and Tibouchi, ASIACRYPT 2018). Each attack is run without the noise,
too, and with less of it: there it finds the key, so it can fail.
"""

from __future__ import annotations

import math

import numpy as np
import pytest
from tenseal import sealapi

from crypto.ckks import calculator, embedding, flooding, release, ring, sealapi_files, sum_calculator, wide
from crypto.ckks.calculator import Calculator
from crypto.ckks.ciphertexts import read_reply, write_reply
from crypto.ckks.encrypted_ridge import EncryptedRidge
from crypto.ckks.fits import SUM, TRAINING, Layout
from crypto.ckks.products import KEPT, PRODUCT_PRIMES, Products
from crypto.ckks.secret import SecretContext
from crypto.ckks.secret_sum import SumContext
from crypto.ckks.sets import PARAMETER_SETS, SUM_SETS
from crypto.ckks.sum_calculator import SumCalculator
from crypto.ckks.sum_keys import EncryptionKey, ProductKeys
from crypto.ckks.wide import Limbs
from secure_gal.attacks.secret_key import chance, hits, in_ring, least_squares, matched, shown
from tests.support.ckks_keys import keys, ridge, secret
from tests.support.exact_ring import secret_residues

RELEASED = pytest.mark.parametrize("name", ["strict", "standard", "sum"])


def ternary(n: int, rng: np.random.Generator) -> np.ndarray:
    return rng.integers(-1, 2, n).astype(float)


def noise(n: int, bits: int | None, rng: np.random.Generator) -> np.ndarray:
    """As `flooding.draw` gives it, or none."""
    return np.zeros(n) if bits is None else rng.standard_normal(n) * 2.0**bits


# --- pooled replies ---------------------------------------------------------------------------------------------------


def pooled(name: str, replies: int, bits: int | None, rows: int | None = None) -> float:
    """Hits of the attack on so many replies, whose errors are those of the format of a parameter set.

    Args:
        bits: of the noise at decryption, None without.
        rows: values of each reply that are shown, all by default; where they are fewer, a matched filter.
    """
    params, rng = (PARAMETER_SETS | SUM_SETS)[name], np.random.default_rng(1)
    n, unit = params.n, release.rounding_unit(params)
    key, seen = ternary(n, rng), []
    for _ in range(replies):
        delta = rng.uniform(-unit / 2, unit / 2, n)
        error = in_ring(delta, key) + noise(n, bits, rng)
        seen.append((delta, error if rows is None else shown(error, rows)))
    return hits(least_squares(seen) if rows is None else matched(seen), key)


@RELEASED
def test_many_replies_tell_no_coefficient(name: str) -> None:
    params = (PARAMETER_SETS | SUM_SETS)[name]
    assert pooled(name, 60, params.release_bits) < chance(params.n)
    assert pooled(name, 2, None) == 1.0, "without noise two replies give all of the key"
    weaker = round(math.log2(release.rounding_unit(params)))  # noise of one unit: pooling averages it away
    assert pooled(name, 60, weaker) > 0.9


@RELEASED
def test_part_filled_replies_tell_no_coefficient(name: str) -> None:
    params = (PARAMETER_SETS | SUM_SETS)[name]
    assert pooled(name, 60, params.release_bits, rows=params.n // 4) < chance(params.n)
    assert pooled(name, 60, None, rows=params.n // 4) > 0.5


def test_inner_products_tell_no_coefficient() -> None:
    """Each is one number <a, s> with a known: thousands of them, as the first coordinate of polynomials."""
    study, rng = Products(30_000, 2, 2.0), np.random.default_rng(2)
    n, count = 100, 2_000  # a key this short is *easier* to find from as many numbers
    key = ternary(n, rng)
    a = rng.standard_normal((count, n)) * study.key_noise / math.sqrt(n * 2 / 3)
    for sigma, found in ((2.0**study.release_bits, False), (0.0, True)):
        told = a @ key + rng.standard_normal(count) * sigma
        estimate = np.linalg.lstsq(a, told, rcond=None)[0]
        assert (hits(estimate, key) > chance(n)) == found


# --- real replies -----------------------------------------------------------------------------------------------------


class Recorded:
    """Real replies before they are rounded, and the exact phases of what is decrypted."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.before: list[np.ndarray] = []
        self.plain: list[sealapi.Plaintext] = []
        write = write_reply

        def recorded(params, residues, **options):  # type: ignore[no-untyped-def]
            self.before.append(residues)
            return write(params, residues, **options)

        for user in (calculator, sum_calculator):
            monkeypatch.setattr(user, "write_reply", recorded)


def exact_phase(cipher: SecretContext, residues: np.ndarray) -> np.ndarray:
    """c0 + c1 s of residues (2, primes, n) of coefficients, centred whole numbers (n,)."""
    params, primes = cipher.params, cipher.params.primes[: residues.shape[1]]
    evaluator, carrier = sealapi.Evaluator(ring.context(params)), sealapi.Ciphertext()
    level = ring.level(params, len(primes))
    members = sealapi_files.ciphertext_members(level, params.n, 1.0, residues, ntt=False)
    sealapi_files.load(carrier, ring.context(params), members)
    evaluator.transform_to_ntt_inplace(carrier)
    split = sealapi_files.split_ciphertext(sealapi_files.save(carrier), len(primes), params.n, seeded=False)[0].astype(
        object
    )
    moduli = np.array(primes, dtype=object)[:, None]
    phase = (split[0] + split[1] * secret_residues(cipher)[: len(primes)]) % moduli
    members = sealapi_files.ciphertext_members(
        level, params.n, 1.0, np.stack([phase, np.ones_like(phase)]).astype(np.uint64)
    )
    sealapi_files.load(carrier, ring.context(params), members)
    evaluator.transform_from_ntt_inplace(carrier)
    rows = sealapi_files.split_ciphertext(sealapi_files.save(carrier), len(primes), params.n, seeded=False)[0][0]
    return centred(wide.compose(rows, primes), math.prod(primes))


def centred(limbs: Limbs, modulus: int) -> np.ndarray:
    whole = sum(limb.astype(object) << (64 * i) for i, limb in enumerate(limbs))
    return np.where(whole > modulus // 2, whole - modulus, whole)


def key_of(cipher: SecretContext) -> np.ndarray:
    """s as coefficients -1, 0, 1."""
    params = cipher.params
    zero, one = np.zeros((1, params.n), np.uint64), np.zeros((1, params.n), np.uint64)
    one[0, 0] = 1
    return exact_phase(cipher, np.stack([zero, one])).astype(float)


def quiet(count: int, bits: int, key: bytes | None = None) -> Limbs:
    """Draws of zero."""
    return [np.full(count, flooding.centre(bits) >> (64 * i) & (2**64 - 1), dtype=np.uint64) for i in range(2)]


def released_errors(
    cipher: SecretContext, rows: np.ndarray, before: list[np.ndarray]
) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """What the attacker makes of decrypted replies: (delta, e) of each."""
    params, deltas, errors = cipher.params, [], []
    modulus = math.prod(params.reply_primes)
    for row, residues in zip(rows, before, strict=True):
        first, second = read_reply(params, row)
        seed = release.noise_seed(cipher._noise_key, params.name, row.tobytes())
        drawn = flooding.draw(params.n, params.release_bits, seed)
        noisy = wide.add(first, drawn, -flooding.centre(params.release_bits), params.reply_primes)
        found = exact_phase(cipher, np.stack([wide.residues(p, params.reply_primes) for p in (noisy, second)]))
        honest = exact_phase(cipher, residues)
        told = centred(first, modulus) - centred(wide.compose(residues[0], params.reply_primes), modulus)
        deltas.append(
            (centred(second, modulus) - centred(wide.compose(residues[1], params.reply_primes), modulus)) * 1.0
        )
        errors.append(((found - honest - told + modulus // 2) % modulus - modulus // 2) * 1.0)
    return [d.astype(float) for d in deltas], [e.astype(float) for e in errors]


@pytest.mark.parametrize("name", ["strict", "standard"])
def test_predictions_shown_to_an_assistor_do_not_give_the_key(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Real replies of a full block, decrypted with the noise that they have."""
    params, recorded = PARAMETER_SETS[name], Recorded(monkeypatch)
    u, r = ridge(params.n, 3, 1)
    job = EncryptedRidge.of(keys(name, 4), u, u, cores=1)
    rows = np.concatenate([job.fit(secret(name).encrypt(scale * r), 1) for scale in (0.01, 1.0)])
    job.close()
    attack(secret(name), rows, recorded.before, monkeypatch)


def test_sums_shown_to_an_aggregator_do_not_give_the_key(monkeypatch: pytest.MonkeyPatch) -> None:
    cipher = SumContext.generate(SUM)
    key, calculator = (
        EncryptionKey(cipher.public_keys(0)),
        SumCalculator(ProductKeys(cipher.public_keys(0, combines=True))),
    )
    values = np.random.default_rng(0).uniform(-1, 1, (SUM.n, 1))
    layout = Layout(SUM.n, 0, 1)
    fits = [layout.split(key.encrypt(v, v[:0], 8.0)) for v in (values, -values / 2)]
    recorded = Recorded(monkeypatch)
    rows = np.concatenate([calculator.weighted_sum(fits, [1 << 19, 1 << 19]) for _ in range(2)])
    attack(cipher, rows, recorded.before, monkeypatch)


def attack(cipher: SecretContext, rows: np.ndarray, before: list[np.ndarray], monkeypatch: pytest.MonkeyPatch) -> None:
    params, key = cipher.params, key_of(cipher)
    assert set(np.unique(key)) == {-1.0, 0.0, 1.0}
    deltas, errors = released_errors(cipher, rows, before)
    for error in errors:  # flooding is taken off with what is known; what is left is the noise at decryption
        assert np.std(error) == pytest.approx(2.0**params.release_bits, rel=9 / math.sqrt(2 * params.n))
    assert hits(least_squares(zip(deltas, errors, strict=True)), key) < chance(params.n)
    monkeypatch.setattr(flooding, "draw", quiet)
    deltas, errors = released_errors(cipher, rows, before)
    assert hits(least_squares(zip(deltas, errors, strict=True)), key) == 1.0, (
        "without the noise the same attack gives all of the key"
    )


# --- the numbers ------------------------------------------------------------------------------------------------------


@RELEASED
def test_the_bits_that_a_set_states_follow_from_the_derivation(name: str) -> None:
    params = (PARAMETER_SETS | SUM_SETS)[name]
    assert params.secrecy <= release.secrecy(params) < params.secrecy + 1
    assert params.secrecy >= {"strict": 40, "sum": 40, "standard": 18}[name]
    assert f"{params.secrecy} bits" in params.describe()
    assert 6 * release.deviation(params) < params.error


@pytest.mark.parametrize("values", [100, 455, 30_000, 500_000])
@pytest.mark.parametrize("ridge_fits", [True, False])
def test_inner_products_are_released_with_forty_bits(values: int, ridge_fits: bool) -> None:
    study = Products(values, math.ceil(values / TRAINING.n), 2.0 if ridge_fits else 9.0)
    assert release.bits(study.key_noise, 2.0**study.release_bits, SUM.tau) >= 40
    largest = study.scale * 2 * study.longest**2 * study.ciphertexts
    assert largest < math.prod(PRODUCT_PRIMES) / 2, "nothing wraps"
    assert 2.0 ** (8 * (wide.whole_bytes(PRODUCT_PRIMES) - KEPT)) * math.sqrt(SUM.n / 18) < study.key_noise


def test_the_derivation_is_the_theorem() -> None:
    """tau t^2 / (2 sigma^2) = 2^-(kappa + 7), whatever the numbers."""
    kappa = release.bits(3.0, 2.0**30, 2**16)
    assert pytest.approx(2.0 ** -(kappa + 7)) == 2**16 * 9.0 / (2 * 4.0**30)


def test_every_ciphertext_has_noise_of_its_own() -> None:
    seeds = {
        release.noise_seed(key, name, body) for key in (bytes(32), b"k" * 32) for name in "ab" for body in (b"1", b"2")
    }
    assert len(seeds) == 8 and all(len(seed) == 32 for seed in seeds)
    assert release.noise_seed(bytes(32), "a", b"1") == release.noise_seed(bytes(32), "a", b"1")


@pytest.mark.parametrize("name", ["strict", "standard"])
def test_a_decrypted_reply_has_the_noise_that_is_stated(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The difference to the same decryption without it, coefficient by coefficient; false alarms below 1e-9."""
    params, cipher = PARAMETER_SETS[name], secret(name)
    calculator = Calculator(keys(name, 1))
    rows = [calculator.sanitise(None, 100) for _ in range(2)]
    limbs = [read_reply(params, row) for row in rows]
    noisy = [cipher._decrypt(*pair, row.tobytes()) for pair, row in zip(limbs, rows, strict=True)]
    monkeypatch.setattr(flooding, "draw", quiet)
    bare = [cipher._decrypt(*pair, row.tobytes()) for pair, row in zip(limbs, rows, strict=True)]
    added = [np.concatenate([(a - b).real, (a - b).imag]) for a, b in zip(noisy, bare, strict=True)]
    for values in added:
        found = embedding.coefficients(values) * params.reply_scale / 2.0**params.release_bits
        assert np.mean(found**2) == pytest.approx(1.0, abs=6.2 * math.sqrt(2 / params.n))
    assert abs(np.corrcoef(*added)[0, 1]) < 6.2 / math.sqrt(params.n)
