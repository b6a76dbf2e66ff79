"""What a reply says beyond the fit: the noise that the circuit adds, the noise that hides it, and what is left to find.

The attacks are a sponsor's, who has the secret key, the requests in full and all replies.
"""

from __future__ import annotations

import math
import secrets

import numpy as np
import pytest
from scipy.stats import chi2, kstest, norm
from tenseal import sealapi

from crypto.ckks import flooding, release, ridge_blocks, ring, sealapi_files, wide
from crypto.ckks.calculator import Calculator
from crypto.ckks.ciphertexts import read_reply, write_reply
from crypto.ckks.embedding import slot_values
from crypto.ckks.encrypted_ridge import EncryptedRidge
from crypto.ckks.leave_one_out import OwnResiduals, factors, longest_row
from crypto.ckks.ridge_blocks import Encodings, Split, scale_bits
from crypto.ckks.sets import PARAMETER_SETS
from tests.support.ckks_keys import PEER, keys, ridge, secret
from tests.support.exact_ring import Exact, Undithered, Unsanitised, coefficients, phase, plain_residues

STANDARD = PARAMETER_SETS["standard"]
SETS = pytest.mark.parametrize("name", sorted(PARAMETER_SETS))


# --- the flooding noise -----------------------------------------------------------------------------------------------


def drawn(count: int, bits: int, key: bytes | None = None) -> np.ndarray:
    """Centred draws in units of sigma."""
    low, high = (limb.astype(float) for limb in flooding.draw(count, bits, key))
    return (low + high * 2.0**64 - flooding.centre(bits)) / 2.0**bits


@pytest.mark.parametrize("bits", [18, 32, 60, 64, 86, 92, 96])
def test_noise_has_its_distribution(bits: int) -> None:
    """Variance and shape; false alarms: 1e-9 (variance, with room for kurtosis 3 - 0.1) and 1e-6 (shape)."""
    draws = drawn(200_000, bits)
    assert np.abs(draws).max() <= flooding.TERMS // 2
    assert abs(float(draws.mean())) < 6.2 / np.sqrt(len(draws))
    low, high = chi2.ppf([5e-10, 1 - 5e-10], len(draws)) / len(draws)
    assert low < np.mean(draws**2) < high
    # A sum of 12 uniforms differs from a Gaussian by less than 0.002 in distribution function.
    assert kstest(draws[:20_000], norm.cdf).statistic < 0.002 + math.sqrt(math.log(2 / 1e-6) / 2 / 20_000)
    for limb, width in zip(flooding.draw(200_000, bits), (min(bits, 64), bits - 64), strict=True):
        for at in range(0, max(width - 7, 0), 8):  # every byte below the top one takes every value
            assert len(np.unique(limb >> np.uint64(at) & np.uint64(0xFF))) == 256


def test_noise_is_never_the_same_but_under_the_same_key() -> None:
    assert (drawn(1000, 90) != drawn(1000, 90)).all()
    assert (drawn(1000, 90, bytes(32)) == drawn(1000, 90, bytes(32))).all()
    assert (drawn(1000, 90, bytes(32)) != drawn(1000, 90, bytes(31) + b"1")).all()


def test_a_single_number_has_the_same_distribution() -> None:
    found = np.array([flooding.one(90) for _ in range(2000)], dtype=float) / 2.0**90
    low, high = chi2.ppf([5e-10, 1 - 5e-10], len(found)) / len(found)
    assert low < np.mean(found**2) < high and abs(found.mean()) < 6.2 / np.sqrt(len(found))


def test_fisher_information_of_the_noise() -> None:
    """The density of a sum of 12 uniforms by convolution on a fine grid."""
    steps = 400
    box = np.full(steps, 1 / steps)
    density = box
    for _ in range(flooding.TERMS - 1):
        density = np.convolve(density, box)
    slope = np.gradient(density)
    kept = density > 1e-200
    fisher = np.sum(slope[kept] ** 2 / density[kept]) * flooding.TERMS * steps**2 / 12
    assert 1.0 < fisher < flooding.FISHER


# --- the noise that it has to hide ------------------------------------------------------------------------------------


def data_noise(name: str, u: np.ndarray, r: np.ndarray, new: np.ndarray, weights: np.ndarray, shares: int = 1) -> float:
    """L2 norm of a reply's data-dependent noise before primes are dropped; fitted rows `new`, less `weights` times the
    residual; diagonals in so many equal shares."""
    params, width = PARAMETER_SETS[name], ring.padded(PARAMETER_SETS[name], u.shape[1])
    real = Calculator(keys(name, width))
    requests = secret(name).encrypt(r)
    rows = (u.astype(np.float32), new.astype(np.float32))
    splits = Split.first(width), Split.second(params, width, 1)
    kept = 2**30  # bytes: both circuits meet the same dither
    first, second = (Encodings(real, rows[i], width, splits[i], i == 0, kept) for i in (0, 1))
    own, phases = OwnResiduals(real, weights, kept), []
    for calculator in (Exact(real, secret(name)), Unsanitised(real, secret(name))):
        parts = (range(at, at + width // shares) for at in range(0, width, width // shares))
        z = [ridge_blocks.inner_products(calculator, first, requests, part, 1)[0] for part in parts]
        head = ridge_blocks.fold(calculator, width, z)
        own._calculator = calculator
        ridge_blocks.fitted(calculator, second, [head], range(1), (own, requests))
        phases.append(calculator.results[0])
    exact, noisy = phases
    noise = coefficients(real, (noisy - exact) % np.array(params.primes[: params.levels], dtype=object)[:, None])
    return float(np.linalg.norm(np.array([int(x) for x in noise], dtype=float)))


@SETS
@pytest.mark.parametrize("residual", ["correlated", "random"])
@pytest.mark.parametrize("leave_one_out", [False, True])
def test_data_dependent_noise_is_within_its_bound(name: str, residual: str, leave_one_out: bool) -> None:
    """Every fitted row has norm 1, the worst that clipping allows, and every slot is in use; what leave-one-out values
    take off is anything up to the residual."""
    params = PARAMETER_SETS[name]
    rng = np.random.default_rng(0)
    u, r = ridge(params.n, 14, 1)
    feature = np.clip(u[:, :1] * np.sqrt(len(u)), -1, 1)
    r = feature if residual == "correlated" else rng.uniform(-1, 1, r.shape)
    new = rng.standard_normal((params.n, 14))
    weights = rng.uniform(0, 1, params.n) * leave_one_out
    measured = data_noise(name, u, r, new / np.linalg.norm(new, axis=1)[:, None], weights)
    assert params.switching_noise / 30 < measured < params.switching_noise


@SETS
def test_data_dependent_noise_of_few_long_rows_is_within_its_bound(name: str) -> None:
    """As long as leave-one-out values may make 50 rows that have a ciphertext to themselves."""
    params, rng = PARAMETER_SETS[name], np.random.default_rng(0)
    u, r = ridge(params.n, 14, 1)
    new = rng.standard_normal((50, 14))
    new *= longest_row(params, 50, 50) / np.linalg.norm(new, axis=1)[:, None]
    measured = data_noise(name, u, r, new, rng.uniform(0, 20, 50))
    assert params.switching_noise / 30 < measured < params.switching_noise


@SETS
@pytest.mark.parametrize("shares", [1, 16])
def test_noise_is_within_its_bound_where_it_is_largest(name: str, shares: int) -> None:
    """A training row of leverage 1 that meets the slots where a switch has most of its energy, fitted rows in the one
    direction in which its noise adds up; and the noise is the same for any number of shares."""
    params, u = PARAMETER_SETS[name], np.zeros((PARAMETER_SETS[name].n, 14))
    u[1] = 14**-0.5
    r = np.random.default_rng(0).uniform(-1, 1, (params.n, 1))
    measured = data_noise(name, u, r, np.tile(u[1], (params.n, 1)), np.zeros(params.n), shares)
    assert params.switching_noise / 60 < measured < params.switching_noise


@pytest.mark.parametrize("coin", [True, False])
def test_switching_noise_has_no_mean_by_the_coin_alone(coin: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rotations of twenty requests, in the slot of the first three that the key makes the loudest: without the coin
    their noise is nearly one and the same."""
    if not coin:
        monkeypatch.setattr(secrets, "randbits", lambda bits: 0)
    real, owner, noise = Calculator(keys("standard", 1)), secret("standard"), []
    exact, whole = Exact(real, owner), np.array(STANDARD.primes[: STANDARD.levels], dtype=object)[:, None]
    for row in owner.encrypt(np.zeros((STANDARD.n, 20))):
        turned = phase(real, owner, real.rotate(real.read_request(row), 1))
        due = exact.phase(exact.rotate(exact.read_request(row), 1))
        slots = slot_values(coefficients(real, (turned - due) % whole).astype(float))
        noise.append(slots[:3] + 1j * slots[STANDARD.slots :][:3])
    found = np.array(noise)
    loudest = found[:, np.argmax(np.linalg.norm(found, axis=0))]
    signs = np.sign((loudest * loudest[0].conj()).real)
    assert len(np.unique(signs)) == 1 + coin
    assert np.std(loudest * signs) < 0.2 * abs(np.mean(loudest * signs))


@SETS
def test_the_distance_follows_from_the_bound(name: str) -> None:
    params = PARAMETER_SETS[name]
    bound = math.sqrt(params.tau) * params.data_noise / (2 * params.sigma)
    assert params.distance(params.tau) == pytest.approx(bound, rel=0.01)
    assert bound < 2.0**-params.kappa


# --- the whole reply is flooded ---------------------------------------------------------------------------------------


@SETS
@pytest.mark.parametrize("leave_one_out", [False, True])
def test_every_slot_is_flooded(name: str, leave_one_out: bool) -> None:
    """First and second half-block and the padding of both, with 200 rows and with one full block and a half.

    The noise is the reply less the clear fit; its deviation in each quarter of the slots is what sigma says, within
    what 9 sigmas of a chi-squared quantile allow.
    """
    params = PARAMETER_SETS[name]
    expected = release.deviation(params)
    u, r = ridge(200, 3, 1)
    job = EncryptedRidge.of(keys(name, 4), u, u, leave_one_out=leave_one_out, cores=1)
    replies = job.fit(secret(name).encrypt(r), 1)
    job.close()
    values = secret(name).decrypt(replies, params.n, 1, PEER)[:, 0]  # padding too
    scales, own = factors(u, longest_row(params, 200, 200)) if leave_one_out else (1.0, 0.0)
    values[:200] -= scales * (u @ (u.T @ r))[:, 0] - own * r[:, 0]
    for part in (values[:200], values[200 : params.slots], values[params.slots : -500], values[-500:]):
        assert np.std(part) == pytest.approx(expected, rel=9 / np.sqrt(2 * len(part)))


@SETS
def test_every_coefficient_is_flooded(name: str) -> None:
    """The first polynomial of a reply of zeros is noise of the stated sigma, the second is as it was."""
    params = PARAMETER_SETS[name]
    middle = np.full(params.n, math.prod(params.reply_primes) // 2)
    other = np.array([middle % prime for prime in params.reply_primes], dtype=np.uint64)
    row = write_reply(params, np.stack([np.zeros_like(other), other]))
    low, high = read_reply(params, row)[0]
    found = high.astype(float) * 2.0**64 + low.astype(float)
    whole = float(math.prod(params.reply_primes))
    found = np.where(found > whole / 2, found - whole, found)
    left_out = 2.0 ** (8 * (wide.whole_bytes(params.reply_primes) - params.reply_kept[0]))
    expected = math.hypot(params.sigma, left_out / math.sqrt(12))
    assert np.std(found) == pytest.approx(expected, rel=9 / math.sqrt(2 * params.n))
    assert np.median(np.abs(found)) == pytest.approx(0.6745 * expected, rel=0.2)
    untouched = wide.leading(wide.compose(other, params.reply_primes), params.reply_primes, params.reply_kept[1])
    assert (row[params.reply_kept[0] * params.n :] == untouched).all()


# --- what the sponsor can compute from a reply ------------------------------------------------------------------------


def c1(ciphertext: object, levels: int) -> np.ndarray:
    saved = sealapi_files.save(ciphertext)  # type: ignore[arg-type]
    return sealapi_files.split_ciphertext(saved, levels, STANDARD.n, seeded=False)[0][1]


def test_the_multiplier_is_found_in_an_unsanitised_reply_and_not_in_a_sanitised_one() -> None:
    """c1' / c1 is the plaintext: an attack on one multiplication, which has no defence but a fresh c1."""
    calculator = Calculator(keys("standard", 1))
    request = calculator.read_request(secret("standard").encrypt(np.full((50, 1), 0.5))[0])
    hidden = np.random.default_rng(0).standard_normal(STANDARD.slots) + 0j
    plain = calculator.encode(hidden, STANDARD.second_bits)
    assert plain is not None
    product = calculator.add_products(None, [request], [plain])
    assert product is not None
    multiplied = c1(product, 2).astype(object)
    below = c1(request, 2).astype(object)
    inverse = [[pow(int(x), -1, prime) for x in row] for row, prime in zip(below, STANDARD.primes, strict=False)]
    found = multiplied * np.array(inverse, dtype=object) % np.array(STANDARD.primes[:2], dtype=object)[:, None]
    assert (found == plain_residues(plain, STANDARD)).all()

    # What leaves shows nothing of that second polynomial, down to its last byte.
    evaluator = sealapi.Evaluator(ring.context(STANDARD))
    packed = calculator.sanitise(product, scale_bits(STANDARD, "f"))
    evaluator.transform_from_ntt_inplace(product)
    residues = sealapi_files.split_ciphertext(sealapi_files.save(product), 2, STANDARD.n, seeded=False)[0]
    assert (second(write_reply(STANDARD, residues)) != second(packed)).any(axis=1).all()


def second(reply: np.ndarray) -> np.ndarray:
    """The leading bytes of a reply's second polynomial, (n, kept)."""
    return reply[STANDARD.reply_kept[0] * STANDARD.n :].reshape(STANDARD.n, -1)


def test_a_guess_of_the_data_is_confirmed_by_an_unsanitised_reply_and_not_by_a_sanitised_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The sponsor repeats the computation with guessed data and the tosses of the coin, which are too few to hide
    anything: without re-randomising, c1 agrees to the last bit."""
    monkeypatch.setattr(secrets, "randbits", lambda bits: 0)
    u, r = ridge(200, 3, 1)
    requests, real = secret("standard").encrypt(r), Calculator(keys("standard", 4))

    class Dropped(Calculator):
        """No fresh encryption of zero: primes dropped and flooded only."""

        def sanitise(self, fitted, bits):  # type: ignore[no-untyped-def]
            self._evaluator.transform_from_ntt_inplace(fitted)
            residues, _ = sealapi_files.split_ciphertext(sealapi_files.save(fitted), 2, STANDARD.n, seeded=False)
            return write_reply(STANDARD, residues)

    careless = object.__new__(Dropped)
    careless.__dict__ |= real.__dict__

    def answer(calculator: Calculator, data: np.ndarray) -> np.ndarray:
        rows = data.astype(np.float32)
        split = Split.first(4), Split.second(STANDARD, 4, 1)
        encodings = [Undithered(calculator, rows, 4, split[i], i == 0, 0) for i in (0, 1)]
        shares = ridge_blocks.inner_products(calculator, encodings[0], requests, range(4), 1)
        reply = ridge_blocks.fitted(calculator, encodings[1], [ridge_blocks.fold(calculator, 4, shares)], range(1))
        return second(reply[0])

    assert (answer(careless, u) == answer(careless, u)).all()
    assert (answer(careless, u) != answer(careless, u * 0.99)).any(axis=1).mean() > 0.999
    for guess in (u, u * 0.99):
        assert (answer(real, u) != answer(real, guess)).any(axis=1).mean() > 0.999


def test_the_phase_of_a_request_is_what_the_exact_circuit_starts_from() -> None:
    calculator, values = Calculator(keys("standard", 1)), np.linspace(-1, 1, 50)
    row = secret("standard").encrypt(values[:, None])[0]
    found = coefficients(calculator, phase(calculator, secret("standard"), calculator.read_request(row)))
    assert np.abs(np.array([int(x) for x in found], dtype=float)).max() < 2.0**STANDARD.request_bits


@pytest.mark.parametrize(("name", "bits"), [("strict", 11.9151), ("standard", 51.9171)])
def test_the_bound_on_noise_that_depends_on_data_is_what_decision_3_derives(name: str, bits: float) -> None:
    assert math.log2(PARAMETER_SETS[name].data_noise) == pytest.approx(bits, abs=1e-3)
